// The states a task and a run can be in, and the questions one may ask of a state
// (docs/semantics.md).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace reprise {

/// State of a task. The order within the enumeration is part of the journal's format: append only.
enum class TaskState : std::uint8_t {
  pending,    // waits for its upstreams or has not been looked at
  ready,      // could run; waits for a slot
  scheduled,  // not before its start time
  retrying,   // failed; runs again at its start time
  paused,     // waits for a person, or for its start time when it has one
  resume,     // a person said go on
  queued,     // held back by a limit
  submitted,  // handed to a worker
  running,
  cancelling,  // asked to stop, still running
  success,
  cached,          // a success whose result is kept, or came, from the cache
  mapped,          // expanded into one task per element; its result is the list of theirs
  skipped,         // a success without having run
  looped,          // one iteration is over, the next follows
  failed,          // the body failed
  trigger_failed,  // the upstreams' outcome did not allow it to run
  timed_out,
  validation_failed,  // the result was refused
  cancelled,
  lost,  // its worker is gone; another attempt follows
};
inline constexpr int task_state_count = 21;

/// States that a task went through on its way to another one, in order; pending = none.
using PassedStates = std::array<TaskState, 2>;
inline void pass(PassedStates& passed, TaskState state) {
  (passed[0] == TaskState::pending ? passed[0] : passed[1]) = state;
}

/// State of a run.
enum class RunState : std::uint8_t {
  queued,
  running,
  paused,
  success,
  failed,
  cancelling,
  cancelled,
  interrupted,  // its process died; nothing is lost, it can be resumed
};

/// "trigger_failed": the name in JSON, files and messages.
[[nodiscard]] std::string_view name(TaskState state);
[[nodiscard]] std::string_view name(RunState state);
/// "TriggerFailed": the class name.
[[nodiscard]] std::string_view class_name(TaskState state);
/// From name() or class_name().
[[nodiscard]] std::optional<TaskState> task_state_from(std::string_view name);
[[nodiscard]] std::optional<RunState> run_state_from(std::string_view name);

// Questions follow the hierarchy: Scheduled, Paused, Resume, Retrying are Pending; Cached, Mapped,
// Skipped are Success; TriggerFailed, TimedOut, ValidationFailed are Failed; Cancelled is finished
// and neither.
[[nodiscard]] constexpr bool is_pending(TaskState s) {
  return s <= TaskState::resume || s == TaskState::lost;
}
[[nodiscard]] constexpr bool is_scheduled(TaskState s) {
  return s >= TaskState::scheduled && s <= TaskState::queued;
}
[[nodiscard]] constexpr bool is_running(TaskState s) {
  return s == TaskState::running || s == TaskState::cancelling;
}
[[nodiscard]] constexpr bool is_success(TaskState s) {
  return s >= TaskState::success && s <= TaskState::skipped;
}
[[nodiscard]] constexpr bool is_failed(TaskState s) {
  return s >= TaskState::failed && s <= TaskState::validation_failed;
}
[[nodiscard]] constexpr bool is_finished(TaskState s) {
  return s >= TaskState::success && s <= TaskState::cancelled;
}
/// Whether `state` is `kind` or one of the kinds of it: every Cached is a Success.
[[nodiscard]] constexpr bool is_kind_of(TaskState state, TaskState kind) {
  switch (kind) {
    case TaskState::pending:
      return is_pending(state);
    case TaskState::scheduled:
      return is_scheduled(state);
    case TaskState::running:
      return is_running(state);
    case TaskState::success:
      return is_success(state);
    case TaskState::failed:
      return is_failed(state);
    default:
      return state == kind;
  }
}
/// Finished for good or waiting for a person: nothing happens to it by itself any more.
[[nodiscard]] constexpr bool is_finished(RunState s) {
  return s == RunState::success || s == RunState::failed || s == RunState::cancelled;
}

}  // namespace reprise
