// What stands behind reprise::skipping_clock.
#pragma once

#include <memory>

#include "core/clock.hpp"

namespace reprise::detail {

struct clock_state {
  std::shared_ptr<SkippingClock> clock = std::make_shared<SkippingClock>();
};

}  // namespace reprise::detail
