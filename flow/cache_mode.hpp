// How a run uses the cache.
#pragma once

#include <cstdint>

namespace reprise {

enum class CacheMode : std::uint8_t {
  normal,
  refresh,  // reads nothing, writes
  read_only,
  write_only,  // as refresh; kept apart because a person means something else by it
  off,
  only,  // a miss fails the task
};

[[nodiscard]] constexpr bool reads(CacheMode mode) {
  return mode == CacheMode::normal || mode == CacheMode::read_only || mode == CacheMode::only;
}
[[nodiscard]] constexpr bool writes(CacheMode mode) {
  return mode == CacheMode::normal || mode == CacheMode::refresh || mode == CacheMode::write_only;
}

}  // namespace reprise
