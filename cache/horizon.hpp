// What is said when somebody asks for a past that was removed.
#pragma once

#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cache {

/// "history_horizon: …": not_found. Never answered with anything else than an error.
[[nodiscard]] Error past_horizon(Time asked, Time horizon);

}  // namespace reprise::cache
