// What the scheduler is told, and what it wants done: plain values, so that a run can be simulated
// and replayed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flow/attempt.hpp"
#include "journal/records.hpp"
#include "scheduler/ready_queue.hpp"

namespace reprise::scheduler {

/// One attempt, told apart from every other of its run; late news about an earlier one is
/// recognised by `number`.
struct AttemptRef {
  RunIndex run;
  TaskId task;
  std::uint32_t number = 0;
  bool operator==(const AttemptRef&) const = default;
};

// ---- events ----

/// Starts a run. With `past`, continues it from what its journal says; values in it must be at
/// hand.
struct Submit {
  RunIndex run;
  std::shared_ptr<const RunContext> context;
  std::vector<journal::Batch> past;
  bool forget_cancel = false;  // a person started it again: an unfinished cancellation is void
  bool resume = false;         // a person said go on: paused tasks do
  std::vector<std::string> resume_tasks;  // only these, by name as shown; empty = all
};

/// The cache's answer for one attempt.
struct Answer {
  AttemptRef attempt;
  std::optional<Key> key;        // none: the task cannot be cached; `reason` says why
  std::optional<Payload> value;  // a hit
  std::optional<RunId> origin;   // of a hit
  std::string reason;            // bypasses only, e.g. "uncacheable: text is not UTF-8"
};
struct LookedUp {
  std::vector<Answer> answers;
};

struct Report {
  AttemptRef attempt;
  Outcome outcome;
};
/// Attempts that ended.
struct Reported {
  std::vector<Report> reports;
};

/// Attempts that have been running for a while; short ones are never announced.
struct Began {
  struct Start {
    AttemptRef attempt;
    Time at;
  };
  std::vector<Start> starts;
};

/// Cancels a run, or only `tasks` (names as shown) with everything downstream of them.
struct Cancel {
  RunIndex run;
  std::vector<TaskId> tasks;  // empty = all
  std::string reason;
};

/// A worker has this many slots from now on.
struct SlotsChanged {
  std::uint32_t slots = 0;
};

/// Time has passed: retries may be due.
struct Tick {};

/// Forget a finished run.
struct Forget {
  RunIndex run;
};

using Event = std::variant<Submit, LookedUp, Reported, Began, Cancel, SlotsChanged, Tick, Forget>;

// ---- effects ----

/// A run came to rest: finished, or paused with nothing that could go on by itself.
struct Ended {
  RunIndex run;
  RunState state = RunState::success;
  std::string message;
};

/// To be carried out in this order: record, tell, then the rest.
struct Effects {
  std::vector<journal::Batch> batches;  // to the journal and to subscribers, in order
  std::vector<Attempt> look_ups;        // one round trip to the cache for all of them
  std::vector<Attempt> dispatches;      // one message to the worker
  std::vector<AttemptRef> stops;        // attempts to end
  std::vector<Ended> ended;             // to be told once `batches` are durable
  std::optional<Time> wake_at;          // a Tick is wanted then at the latest
};

}  // namespace reprise::scheduler
