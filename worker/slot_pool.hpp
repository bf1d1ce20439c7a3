// The threads that run attempts: one per slot.
//
// Attempts wait in one queue. A slot takes one at a time while bodies are long, and up to 64 at
// once while they take microseconds; what it has taken and not started is given back when a body
// turns out to be long. Finished attempts are handed over in batches, but never wait for a body
// that runs: a watching thread, which sleeps unless something is pending, sees to that, to time
// limits, and to bodies that do not stop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "worker/runner.hpp"

namespace reprise::worker {

struct AttemptId {
  std::uint32_t run = 0;
  TaskId task;
  std::uint32_t number = 1;
  auto operator<=>(const AttemptId&) const = default;
};

/// An attempt that is over.
struct Finished {
  AttemptId id;
  NodeId node;
  std::int32_t map_index = -1;
  std::string label;  // as in Attempt
  std::uint32_t run_count = 1;
  std::uint32_t loop_count = 1;
  std::optional<Key> key;
  std::shared_ptr<const RunContext> context;
  Outcome outcome;
};

/// An attempt whose body runs now.
struct RunningAttempt {
  AttemptId id;
  Time started;
  Duration elapsed{0};
};

/// Safe from any thread.
class SlotPool {
 public:
  /// Called from slots, from the watching thread and from within cancel(), several at once, never
  /// with a lock held.
  using Sink = std::function<void(std::vector<Finished>)>;

  struct Options {
    unsigned slots = 0;                        // 0 = number of processors
    Duration grace{std::chrono::seconds{10}};  // for a function to obey its stop token
    std::function<void(std::string)> warn{};   // one line, for people; may be empty
  };

  SlotPool(Options options, std::shared_ptr<Runner> runner, Sink sink);
  ~SlotPool();  // close()
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;

  /// Queues attempts; they start in this order. `context` is set in each. Each comes back through
  /// the sink exactly once, unless the pool is closed before.
  void submit(std::vector<Attempt> attempts);

  /// Attempts in the queue come back cancelled, without having run, before this returns; running
  /// ones are asked to stop and come back as cancelled. Unknown and finished ones are left alone.
  void cancel(std::span<const AttemptId> attempts);
  void cancel(AttemptId attempt) { cancel({&attempt, 1}); }
  void cancel_run(std::uint32_t run);
  /// Takes back those that did not start: they do not come through the sink.
  /// @return which
  [[nodiscard]] std::vector<AttemptId> retract(std::span<const AttemptId> attempts);
  /// Only what is in the queue comes back.
  void cancel_waiting();

  [[nodiscard]] std::vector<RunningAttempt> running() const;
  /// Waiting in the queue, roughly.
  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] unsigned slots() const;
  /// Threads given up because their body did not stop. They may still run: a program that ends then
  /// should do so by quick_exit.
  [[nodiscard]] std::size_t abandoned() const;

  /// Drops what is queued, asks what is running to stop, and returns when it has, at the latest
  /// after the grace time. Attempts that finished before are still handed over; those dropped or
  /// stopped here are not reported.
  void close();

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace reprise::worker
