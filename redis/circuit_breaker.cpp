#include "redis/circuit_breaker.hpp"

#include <algorithm>

namespace reprise::redis {
namespace {

// SplitMix64 (https://prng.di.unimi.it/splitmix64.c); in [0, 1).
double next_fraction(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

}  // namespace

bool CircuitBreaker::allows(Time now) {
  switch (state_) {
    case BreakerState::closed:
      return true;
    case BreakerState::half_open:
      return false;
    case BreakerState::open:
      if (now < reopens_) return false;
      state_ = BreakerState::half_open;
      return true;
  }
  return true;
}

void CircuitBreaker::succeeded() {
  state_ = BreakerState::closed;
  failures_ = 0;
  pause_ = Duration{0};
}

void CircuitBreaker::failed(Time now) {
  if (state_ == BreakerState::half_open) return open(now);
  if (state_ == BreakerState::closed && ++failures_ >= options_.failures) open(now);
}

void CircuitBreaker::open(Time now) {
  pause_ =
      pause_ == Duration{0} ? options_.first_pause : std::min(pause_ * 2, options_.longest_pause);
  const double factor = 1 + options_.jitter * (2 * next_fraction(random_) - 1);
  reopens_ = now + std::chrono::duration_cast<Duration>(
                       std::chrono::duration<double, Duration::period>(pause_) * factor);
  state_ = BreakerState::open;
  failures_ = 0;
  ++openings_;
}

}  // namespace reprise::redis
