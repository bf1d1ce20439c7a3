// The parts that slot_pool.cpp is made of: what waits, what a slot has, and how an attempt's end is
// written down.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "worker/slot_pool.hpp"

namespace reprise::worker {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

constexpr TimePoint never = TimePoint::max();

struct Batch {
  std::vector<Attempt> attempts;  // without context: cancelled while waiting
};

// Part of a batch. An attempt belongs to one range at a time.
struct Range {
  std::shared_ptr<Batch> batch;
  std::size_t next = 0;
  std::size_t end = 0;
  [[nodiscard]] std::size_t size() const { return end - next; }
  [[nodiscard]] bool is_empty() const { return next == end; }
  // Skips the cancelled ones.
  [[nodiscard]] Attempt* pop() {
    while (next < end) {
      Attempt& attempt = batch->attempts[next++];
      if (attempt.context) return &attempt;
    }
    return nullptr;
  }
};

enum class StopReason : std::uint8_t { none, cancelled, timed_out, closing };

struct Slot {
  std::mutex mutex;  // guards all below; when the queue's is needed too, that one is locked first
  Range range;       // taken, not started
  std::vector<Finished> finished;    // not yet handed over
  TimePoint oldest_finished;         // when finished[0] ended
  const Attempt* current = nullptr;  // in `batch`; null = no body runs
  std::shared_ptr<Batch> batch;
  TimePoint started;
  TimePoint deadline = never;
  TimePoint give_up = never;  // when the body is abandoned
  StopReason reason = StopReason::none;
  std::stop_source stop;      // of the running attempt; renewed only after it was used
  bool is_abandoned = false;  // another slot has taken this one's place
  bool has_ended = false;     // its thread is about to return
  std::thread thread;
};

[[nodiscard]] AttemptId id_of(const Attempt& attempt);
/// What questions to user code are handled as.
inline const TaskKind question_kind = [] {
  TaskKind kind;
  kind.timeout = question_limit;
  return kind;
}();
[[nodiscard]] inline const TaskKind& kind_of(const Attempt& attempt) {
  return attempt.question ? question_kind : attempt.context->flow->kind_of(attempt.node);
}

[[nodiscard]] Finished finish(const Attempt& attempt, Outcome outcome);
/// Takes the context along.
[[nodiscard]] Finished finish(Attempt&& attempt, Outcome outcome);

/// "30s", "1m30s", "250ms", as one writes it in a flow file.
[[nodiscard]] std::string as_written(Duration duration);

/// What a body made of it does not count once it was asked to stop.
void rewrite(Outcome& outcome, StopReason reason, const TaskKind& kind);

}  // namespace reprise::worker
