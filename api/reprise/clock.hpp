// A clock for engines that shall not wait.
#pragma once

#include <chrono>
#include <memory>

namespace reprise {

namespace detail {
struct clock_state;
}

/// Time passes as everywhere, but jumps ahead where an engine has nothing to do but wait for a
/// retry or the end of a pause, and when it is told to. It does not shorten what bodies do. Copies
/// stand for the same clock; safe from any thread.
class skipping_clock {
 public:
  skipping_clock();

  /// @param by  not negative
  void advance(std::chrono::nanoseconds by) const;
  [[nodiscard]] std::chrono::system_clock::time_point now() const;

  [[nodiscard]] const std::shared_ptr<detail::clock_state>& state() const { return state_; }

 private:
  std::shared_ptr<detail::clock_state> state_;
};

}  // namespace reprise
