// Time as deciders see it: always passed in, never read from a clock.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reprise {

using Duration = std::chrono::nanoseconds;

/// Nanoseconds since 1970-01-01 UTC. Within one process values never go backwards: shells derive
/// them from one wall clock reading plus a monotonic clock.
using Time = std::chrono::time_point<std::chrono::system_clock, Duration>;

/// Now, as above. Shells and programs only.
[[nodiscard]] Time now();

/// RFC 3339 in UTC with microseconds: "2026-11-20T17:02:11.004312Z".
[[nodiscard]] std::string to_rfc3339(Time time);
[[nodiscard]] Result<Time> parse_rfc3339(std::string_view text);

/// "30s", "1h30m", "250ms"; units ms s m h d, each at most once, largest first or in any order.
/// @error invalid_argument: empty, unknown unit, no number, or above 10 years.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

/// For people: "412 ms", "1.2 s", "1m 04s", "2h 05m".
[[nodiscard]] std::string describe(Duration duration);

[[nodiscard]] constexpr double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace reprise
