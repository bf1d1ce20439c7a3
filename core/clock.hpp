// Where an engine takes the time from: the world's, or one that does not wait.
#pragma once

#include <atomic>

#include "core/time.hpp"

namespace reprise {

/// Safe from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Time now() const { return reprise::now(); }
  /// Nothing can happen before `at`: a clock that need not wait goes there at once. True when it is
  /// `at` or later now.
  virtual bool skip_to(Time at) { return now() >= at; }
};

/// Passes as the world's does, but jumps ahead where there is nothing to do but wait. For tests and
/// simulations of long waits.
class SkippingClock final : public Clock {
 public:
  [[nodiscard]] Time now() const override { return reprise::now() + ahead_.load(); }
  bool skip_to(Time at) override {
    const Duration missing = at - now();
    if (missing > Duration{0}) advance(missing);
    return true;
  }
  /// @param by  not negative
  void advance(Duration by) {
    Duration ahead = ahead_.load();
    while (!ahead_.compare_exchange_weak(ahead, ahead + by)) {
    }
  }

 private:
  std::atomic<Duration> ahead_{Duration{0}};
};

}  // namespace reprise
