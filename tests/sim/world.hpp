// Simulated time and what happens in it, on one thread: the earliest event is taken, what it does
// makes further ones. Of events at the same time chance decides. So a seed is a history: the same
// one gives the same trace, event by event.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "tests/sim/random.hpp"

namespace reprise::sim {

/// What must hold whatever breaks. checker.hpp says what each of them means here.
enum class Invariant : std::uint8_t {
  no_lost_task,         // I1
  no_phantom,           // I2
  unique_commit,        // I3
  dependency_safety,    // I4
  fencing,              // I5
  resource_safety,      // I6
  no_wrong_cache,       // I7
  cancel,               // I8
  limits,               // I9
  bounded_recovery,     // I10
  no_orphan,            // I11
  bounded_memory,       // I12
  replay_equals_state,  // I13
  liveness,             // I14
  determinism,          // I15
  observability_truth,  // I16
};
[[nodiscard]] std::string_view name(Invariant invariant);  // "I5 fencing"

/// An invariant does not hold: the simulation ends here.
struct Broken : std::runtime_error {
  Broken(Invariant which, const std::string& what)
      : std::runtime_error(std::string(name(which)) + ": " + what), invariant(which) {}
  Invariant invariant;
};

class World;

/// What dies, stops and comes again as a whole. Its events are lost when it dies, and wait while it
/// is stopped; its clock goes on.
class Process {
 public:
  Process(World& world, std::string name) : world_(world), name_(std::move(name)) {}
  virtual ~Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void start();
  /// As by kill -9: nothing of it runs any more.
  void crash();
  /// As by SIGSTOP.
  void pause() { is_paused_ = is_alive_; }
  void resume();
  /// It crashes at one of the next effect boundaries: the `countdown`th from now on.
  void crash_soon(std::uint64_t countdown) { countdown_ = countdown; }
  /// Between two effects.
  void boundary(std::string_view site);

  [[nodiscard]] bool is_alive() const { return is_alive_; }
  [[nodiscard]] bool is_paused() const { return is_paused_; }
  /// Counts its starts: what belongs to an earlier life is nobody's.
  [[nodiscard]] std::uint64_t life() const { return life_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] World& world() const { return world_; }
  /// By its own clock, which may be wrong.
  [[nodiscard]] Time now() const;
  Duration clock_offset{0};

 protected:
  virtual void on_start() = 0;
  virtual void on_crash() = 0;

 private:
  friend class World;
  World& world_;
  std::string name_;
  bool is_alive_ = false;
  bool is_paused_ = false;
  std::uint64_t life_ = 0;
  std::uint64_t countdown_ = 0;  // 0: it does not crash by itself
  std::deque<std::function<void()>> backlog_;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random(seed), ties_(seed ^ 0x7465) {}

  Random random;

  [[nodiscard]] Time now() const { return now_; }
  [[nodiscard]] static constexpr Time beginning() {
    return Time{std::chrono::hours{24 * 365 * 50}};
  }

  void at(Time when, std::function<void()> action);
  /// Lost when the process is not the one that it is now any more.
  void at(Time when, Process& process, std::function<void()> action);
  void after(Duration delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }
  void after(Duration delay, Process& process, std::function<void()> action) {
    at(now_ + delay, process, std::move(action));
  }
  /// The next event, if there is one before `until`; time goes there. False: there is none.
  bool step(Time until);

  /// Enters the trace: the same seed gives the same ones in the same order.
  void trace(std::string_view what, std::uint64_t a = 0, std::uint64_t b = 0);
  [[nodiscard]] std::uint64_t trace_hash() const { return hash_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] std::size_t waiting() const { return heap_.size(); }
  /// Prints the trace while it is made.
  bool is_verbose = false;

  /// How often effect boundaries were passed, and how often a process crashed there.
  struct Site {
    std::uint64_t passed = 0;
    std::uint64_t crashed = 0;
  };
  std::map<std::string, Site, std::less<>> sites;

 private:
  struct Event {
    Time when;
    std::uint64_t tie;
    Process* process;  // none: the world's own
    std::uint64_t life;
    std::function<void()> action;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.when != b.when ? a.when > b.when : a.tie > b.tie;
    }
  };
  void push(Event event);

  Random ties_;
  Time now_ = beginning();
  std::vector<Event> heap_;
  std::uint64_t hash_ = 0;
  std::uint64_t events_ = 0;
};

/// Messages from one place to another within a process, or between two: in order, each some time
/// after it was sent.
class Channel {
 public:
  Channel(Process& to, Duration least, Duration most) : to_(to), least_(least), most_(most) {}
  void send(std::function<void()> action);

 private:
  Process& to_;
  Duration least_, most_;
  Time last_{};
};

/// The time of a process, for those who want a clock.
class ProcessClock final : public Clock {
 public:
  explicit ProcessClock(const Process& process) : process_(process) {}
  [[nodiscard]] Time now() const override { return process_.now(); }
  bool skip_to(Time at) override { return now() >= at; }

 private:
  const Process& process_;
};

}  // namespace reprise::sim
