#include "tests/sim/world.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

namespace reprise::sim {

namespace {

// A process ends between two of its effects.
struct Crash {};

}  // namespace

std::string_view name(Invariant invariant) {
  static constexpr std::string_view names[] = {
      "I1 no lost task",         "I2 no phantom", "I3 unique commit",
      "I4 dependency safety",    "I5 fencing",    "I6 resource safety",
      "I7 no wrong cache",       "I8 cancel",     "I9 limits",
      "I10 bounded recovery",    "I11 no orphan", "I12 bounded memory",
      "I13 replay equals state", "I14 liveness",  "I15 determinism",
      "I16 observability truth"};
  return names[static_cast<std::size_t>(invariant)];
}

// ---- Process

void Process::start() {
  if (is_alive_) return;
  is_alive_ = true;
  is_paused_ = false;
  countdown_ = 0;
  ++life_;
  world_.trace(name_ + " starts", life_);
  on_start();
}

void Process::crash() {
  if (!is_alive_) return;
  world_.trace(name_ + " crashes", life_);
  is_alive_ = is_paused_ = false;
  countdown_ = 0;
  backlog_.clear();
  on_crash();
}

void Process::resume() {
  if (!std::exchange(is_paused_, false)) return;
  world_.trace(name_ + " goes on", life_);
  // What waited comes at once, in its order.
  Time when = world_.now();
  for (auto& action : std::exchange(backlog_, {})) {
    world_.at(when, *this, std::move(action));
    when += Duration{1};
  }
}

void Process::boundary(std::string_view site) {
  auto found = world_.sites.find(site);
  if (found == world_.sites.end())
    found = world_.sites.emplace(std::string(site), World::Site{}).first;
  ++found->second.passed;
  if (countdown_ == 0 || --countdown_ > 0) return;
  ++found->second.crashed;
  world_.trace(site);
  throw Crash{};
}

Time Process::now() const {
  return world_.now() + clock_offset;
}

// ---- World

void World::push(Event event) {
  heap_.push_back(std::move(event));
  std::push_heap(heap_.begin(), heap_.end(), Later{});
}

void World::at(Time when, std::function<void()> action) {
  push({std::max(when, now_), ties_.next(), nullptr, 0, std::move(action)});
}

void World::at(Time when, Process& process, std::function<void()> action) {
  push({std::max(when, now_), ties_.next(), &process, process.life(), std::move(action)});
}

bool World::step(Time until) {
  if (heap_.empty() || heap_.front().when > until) return false;
  std::pop_heap(heap_.begin(), heap_.end(), Later{});
  Event event = std::move(heap_.back());
  heap_.pop_back();
  now_ = event.when;
  ++events_;
  hash_ = Random::mix(hash_ ^ static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  if (event.process == nullptr) {
    event.action();
    return true;
  }
  Process& process = *event.process;
  if (!process.is_alive() || process.life() != event.life) return true;
  if (process.is_paused()) {
    process.backlog_.push_back(std::move(event.action));
    return true;
  }
  try {
    event.action();
  } catch (const Crash&) {
    process.crash();
  }
  return true;
}

void World::trace(std::string_view what, std::uint64_t a, std::uint64_t b) {
  std::uint64_t text = 0xcbf29ce484222325U;  // FNV-1a
  for (const char c : what) text = (text ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  hash_ = Random::mix(hash_ ^ text ^ Random::mix(a) ^ Random::mix(b + 1));
  if (!is_verbose) return;
  const double seconds = reprise::seconds(now_ - beginning());
  std::puts(fmt::format("{:12.6f}  {} {} {}", seconds, what, a, b).c_str());
}

// ---- Channel

void Channel::send(std::function<void()> action) {
  World& world = to_.world();
  last_ = std::max(last_ + Duration{1}, world.now() + world.random.between(least_, most_));
  world.at(last_, to_, std::move(action));
}

}  // namespace reprise::sim
