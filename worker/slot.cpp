#include "worker/slot.hpp"

#include <fmt/format.h>

namespace reprise::worker {

using namespace std::chrono_literals;

AttemptId id_of(const Attempt& attempt) {
  return {attempt.run, attempt.task, attempt.number};
}

Finished finish(const Attempt& attempt, Outcome outcome) {
  return {id_of(attempt),     attempt.node, attempt.map_index, attempt.label,     attempt.run_count,
          attempt.loop_count, attempt.key,  attempt.context,   std::move(outcome)};
}

Finished finish(Attempt&& attempt, Outcome outcome) {
  return {id_of(attempt),    attempt.node,       attempt.map_index, attempt.label,
          attempt.run_count, attempt.loop_count, attempt.key,       std::move(attempt.context),
          std::move(outcome)};
}

std::string as_written(Duration duration) {
  std::string text;
  const auto put = [&](auto unit, const char* name) {
    const auto count = std::chrono::duration_cast<decltype(unit)>(duration);
    if (count.count() == 0) return;
    text += fmt::format("{}{}", count.count(), name);
    duration -= count;
  };
  put(1h, "h");
  put(1min, "m");
  put(1s, "s");
  put(1ms, "ms");
  return text.empty()
             ? fmt::format("{}us",
                           std::chrono::duration_cast<std::chrono::microseconds>(duration).count())
             : text;
}

void rewrite(Outcome& outcome, StopReason reason, const TaskKind& kind) {
  outcome.state = reason == StopReason::timed_out ? TaskState::timed_out : TaskState::cancelled;
  outcome.failure =
      reason == StopReason::timed_out ? FailureClass::timeout : FailureClass::cancelled;
  outcome.message = reason == StopReason::timed_out
                        ? fmt::format("timed out after {}", as_written(kind.timeout))
                        : "cancelled while it was running";
  outcome.value = {};
  outcome.uncacheable.reset();
  outcome.start_time.reset();
}

}  // namespace reprise::worker
