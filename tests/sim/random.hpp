// Chance of which everything follows from one seed (xoshiro256**, seeded by splitmix64; public
// domain, Blackman and Vigna, https://prng.di.unimi.it).
#pragma once

#include <array>
#include <cstdint>

#include "core/time.hpp"

namespace reprise::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15U;
      word = mix(seed);
    }
  }

  [[nodiscard]] std::uint64_t next() {
    const auto turn = [](std::uint64_t x, int by) { return (x << by) | (x >> (64 - by)); };
    const std::uint64_t result = turn(state_[1] * 5, 7) * 9;
    const std::uint64_t kept = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= kept;
    state_[3] = turn(state_[3], 45);
    return result;
  }
  /// 0 … n-1; n > 0. The bias of the remainder does not matter here.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return next() % n; }
  [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }
  [[nodiscard]] bool percent(std::uint64_t n) { return below(100) < n; }
  /// low … high, both included.
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  [[nodiscard]] Duration between(Duration low, Duration high) {
    return low + Duration{static_cast<std::int64_t>(
                     below(static_cast<std::uint64_t>((high - low).count()) + 1))};
  }
  template <class List>
  [[nodiscard]] auto& pick(List& list) {
    return list[below(list.size())];
  }
  /// Chance of its own: how much of it is used changes nothing else.
  [[nodiscard]] Random fork() { return Random(next()); }

  [[nodiscard]] static constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace reprise::sim
