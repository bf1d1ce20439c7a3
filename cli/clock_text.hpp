// Times as people read them: local time, to the minute or second.
#pragma once

#include <string>

#include "core/time.hpp"
#include "core/ulid.hpp"

namespace reprise::cli {

/// "2026-11-20 17:02" in local time.
[[nodiscard]] std::string local_text(Time time);
/// "2026-11-20 17:02:11" in local time.
[[nodiscard]] std::string local_text_seconds(Time time);
/// When a run was made, as its id says: to the millisecond.
[[nodiscard]] Time made_at(const RunId& run);

}  // namespace reprise::cli
