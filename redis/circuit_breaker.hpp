// Whether it is worth asking a server at all. One that failed several times in a row is left alone
// for a while, so that nobody waits for it; then one question at a time finds out whether it is
// back.
//
//   closed ──(failures in a row)──▶ open ──(pause over)──▶ half open ──(success)──▶ closed
//                                     ▲                        │
//                                     └──(failure, twice as long)
#pragma once

#include <chrono>
#include <cstdint>

#include "core/time.hpp"

namespace reprise::redis {

struct BreakerOptions {
  std::uint32_t failures = 5;  // in a row, until it opens; at least 1
  Duration first_pause = std::chrono::seconds{2};
  Duration longest_pause = std::chrono::seconds{60};
  double jitter = 0.2;  // a pause is longer or shorter by up to this part

  bool operator==(const BreakerOptions&) const = default;
};

enum class BreakerState : std::uint8_t { closed, open, half_open };

/// A decider: no clock, no threads; randomness is the seed.
class CircuitBreaker {
 public:
  explicit CircuitBreaker(BreakerOptions options = {}, std::uint64_t seed = 0)
      : options_(options), random_(seed) {}

  /// Whether to ask now. True in `half_open` means: you are the one who finds out, and must say how
  /// it went; until then everybody else is told no.
  [[nodiscard]] bool allows(Time now);
  void succeeded();
  void failed(Time now);

  [[nodiscard]] BreakerState state() const { return state_; }
  /// When it may be asked again; of use while open.
  [[nodiscard]] Time reopens() const { return reopens_; }
  /// Times that it opened.
  [[nodiscard]] std::uint64_t openings() const { return openings_; }

 private:
  void open(Time now);

  BreakerOptions options_;
  std::uint64_t random_;
  BreakerState state_ = BreakerState::closed;
  std::uint32_t failures_ = 0;  // in a row
  Duration pause_{0};           // the last one, without jitter
  Time reopens_{};
  std::uint64_t openings_ = 0;
};

}  // namespace reprise::redis
