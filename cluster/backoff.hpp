// How long to wait before trying again.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/time.hpp"

namespace reprise::cluster {

/// Doubles with each failure up to `max`, half of it at random: many that lost the same peer do not
/// come back at the same moment, and none comes back at once.
/// @param failures  in a row before this one: 0, 1, …
/// @param random    any 64 random bits
[[nodiscard]] inline Duration backoff(std::uint32_t failures, Duration base, Duration max,
                                      std::uint64_t random) {
  Duration whole = std::min(base, max);
  for (std::uint32_t i = 0; i < failures && whole < max; ++i) whole = std::min(2 * whole, max);
  const auto half = static_cast<std::uint64_t>(whole.count()) / 2;
  return Duration(static_cast<std::int64_t>(half + random % (half + 1)));
}

}  // namespace reprise::cluster
