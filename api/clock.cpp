#include "reprise/clock.hpp"
#include "api/clock_state.hpp"

namespace reprise {

skipping_clock::skipping_clock() : state_(std::make_shared<detail::clock_state>()) {}

void skipping_clock::advance(std::chrono::nanoseconds by) const {
  state_->clock->advance(by);
}

std::chrono::system_clock::time_point skipping_clock::now() const {
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(state_->clock->now());
}

}  // namespace reprise
