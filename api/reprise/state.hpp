// States of tasks, and what belongs to one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/value.hpp"

namespace reprise {

enum class task_state : std::uint8_t {
  pending,    // waits for the tasks above it, or has not been looked at
  ready,      // could run; waits for a slot
  scheduled,  // not before its start time
  retrying,   // runs again at its start time
  paused,     // waits for a person, or for its start time when it has one
  resume,     // a person said go on
  queued,     // held back by a limit
  submitted,  // handed to a worker
  running,
  cancelling,  // asked to stop, still running
  success,
  cached,   // a success whose result is kept in the cache, or came from it
  mapped,   // taken apart into one task per element
  skipped,  // a success without having run
  looped,   // one round is over, the next follows
  failed,
  trigger_failed,  // the tasks above it did not end as it requires
  timed_out,
  validation_failed,  // its result was refused
  cancelled,
  lost,  // its worker is gone; another attempt follows
};

/// "trigger_failed".
[[nodiscard]] std::string_view name(task_state state);
/// "TriggerFailed".
[[nodiscard]] std::string_view class_name(task_state state);
/// From either; nullopt: there is none.
[[nodiscard]] std::optional<task_state> parse_task_state(std::string_view name);

/// Whether `state` is `kind`, or one of the kinds of it: cached, mapped and skipped are successes;
/// trigger_failed, timed_out and validation_failed are failed; scheduled, retrying, paused and
/// resume are pending.
[[nodiscard]] bool is_kind_of(task_state state, task_state kind);
/// Success, failed, cancelled and the kinds of them.
[[nodiscard]] bool is_finished(task_state state);

enum class run_state : std::uint8_t {
  queued,
  running,
  paused,  // waits for a person
  success,
  failed,
  cancelling,
  cancelled,
  interrupted,  // its process ended; it can be continued
};

/// Lower-case name, e.g. "success".
[[nodiscard]] std::string_view name(run_state state);

/// A state with all that belongs to it.
struct state {
  task_state kind = task_state::pending;
  std::string message{};
  std::optional<value> result{};
  std::optional<std::chrono::system_clock::time_point>
      start_time{};  // of scheduled, retrying, paused; a paused one without waits for a person

  bool operator==(const state&) const = default;
};

/// What a task has before its run begins.
struct given_state {
  reprise::state state{};
  std::uint32_t run_count = 0;         // attempts made before, in the round of a loop that goes on
  std::uint32_t loop_count = 1;        // the round that goes on
  std::optional<value> loop_result{};  // of the round before
  /// What the task took: used where a task above has no value of its own, and to judge a cached
  /// state. nullopt: not known.
  std::optional<std::map<std::string, value>> inputs{};
  std::optional<std::map<std::string, value>> parameters{};        // of a cached state
  std::optional<std::chrono::system_clock::time_point> expires{};  // of a cached state
  std::vector<std::optional<given_state>> elements{};              // of a mapped task
};

}  // namespace reprise
