// What the scheduler is told, and what it wants done: plain values, so that a run can be simulated
// and replayed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flow/attempt.hpp"
#include "flow/cache_life.hpp"
#include "journal/records.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/ready_queue.hpp"

namespace reprise::scheduler {

/// One attempt, told apart from every other of its run; late news about an earlier one is
/// recognised by `number`.
struct AttemptRef {
  RunIndex run;
  TaskId task;
  std::uint32_t number = 0;
  // Of the server whose numbers these are; 0 = of the one that is spoken of. Where workers outlive
  // servers (cluster/inventory.hpp); the scheduler knows its own alone.
  std::uint64_t epoch = 0;
  bool operator==(const AttemptRef&) const = default;
};

// ---- events ----

/// A state that a task has before its run begins.
struct InitialState {
  StateRecord state;
  std::uint32_t run_count = 0;   // attempts made before, in the round of a loop that goes on
  std::uint32_t loop_count = 1;  // the round that goes on
  Payload loop_result;           // of the round before
  // What the task took: used where an upstream has no value, and to judge a cached state.
  // none = not known
  std::optional<std::map<std::string, Payload>> inputs;
  std::optional<std::map<std::string, Payload>> parameters;  // of a cached state: the run's
  std::optional<Time> expires;                               // of a cached state
  std::vector<std::optional<InitialState>> elements;         // of a mapped task
  std::vector<std::string> labels;                           // of these; empty = their indices
};

/// How a run differs from a whole one that begins with nothing.
struct RunShape {
  std::map<std::string, InitialState> initial;  // by name of the node
  // Only these nodes and everything downstream of them are looked at; the nodes themselves without
  // asking what is upstream. Empty = all.
  std::vector<std::string> start_tasks;
  bool single_pass = false;             // ends instead of waiting for a retry or the end of a pause
  std::optional<Time> start_at;         // not before
  std::optional<RunState> finished_as;  // it is finished already: no task is looked at
};

/// Starts a run. With `past`, continues it from what its journal says; values in it must be at
/// hand.
struct Submit {
  RunIndex run;
  std::shared_ptr<const RunContext> context;
  std::vector<journal::Batch> past;
  bool forget_cancel = false;  // a person started it again: an unfinished cancellation is void
  bool resume = false;         // a person said go on: paused tasks do
  std::vector<std::string> resume_tasks{};  // only these, by name as shown; empty = all
  RunShape shape{};
  std::string ns{};           // namespace that it counts for
  std::int32_t priority = 0;  // added to those of its tasks
  // How long nodes usually take, by number; for those of which the flow does not say. Empty = not
  // known
  std::vector<float> usual_seconds{};
  // The attempt of another run that it was begun for (Nest), which that run's end is told.
  std::optional<AttemptRef> nested_in{};
};

/// A result past its expiry that stands in when computing it anew fails.
struct Fallback {
  Payload value;
  RunId origin;
  Time expired;
  Time until;  // it may do so before this
};

/// A failure that is remembered from an earlier run.
struct RememberedFailure {
  KeptFailure failure;
  std::optional<Time> until;  // it is
};

/// The cache's answer for one attempt.
struct Answer {
  AttemptRef attempt;
  std::optional<Key> key;        // none: the task cannot be cached; `reason` says why
  std::optional<Payload> value;  // a hit
  std::optional<RunId> origin;   // of a hit
  // Of a bypass, e.g. "uncacheable: text is not UTF-8"; of a result found at a target, where.
  std::string reason;
  // Of a miss of which nothing tells afterwards, e.g. "corrupt: the file … is damaged".
  std::string loss{};
  std::string refusal{};          // the task fails with this, whatever it would have given
  std::optional<Time> expired{};  // of a hit that is stale: since then
  bool refresh = false;           // … and this run is to compute it anew behind it, under `key`
  std::optional<RememberedFailure> failure{};  // a hit of that kind
  std::optional<Fallback> fallback{};          // of a miss
  // Of a task with a validator of its own: what it is to be asked about before this is a miss.
  std::vector<Candidate> candidates{};
};
/// An attempt's key is computed by another run; the answer comes later.
struct Waits {
  AttemptRef attempt;
  RunId owner;
  Time since;  // it computes
};
struct LookedUp {
  std::vector<Answer> answers;
  std::vector<Waits> waits{};
};

/// The cache's answer to a Keep.
struct Kept {
  AttemptRef attempt;
  bool kept = false;
  std::string why{};  // it was not
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

/// Dispatched attempts whose place is taken by what an earlier process had begun and a worker still
/// has (Attempt::begun_before): from here on they have that one's number.
struct Adopted {
  struct One {
    AttemptRef attempt;        // as dispatched
    std::uint32_t number = 0;  // that it has from now on; may be the same
    WorkerId worker = 0;       // that has it; 0: it has ended there
  };
  std::vector<One> attempts;
};

/// Cancels a run, or only `tasks` (names as shown) with everything downstream of them.
struct Cancel {
  RunIndex run;
  std::vector<TaskId> tasks;  // empty = all
  std::string reason;
};

/// Lets no further attempt of a run, or of `tasks` (names as shown), begin: what has not begun
/// becomes paused until a person resumes it. What runs goes on.
struct Pause {
  RunIndex run;
  std::vector<TaskId> tasks;  // empty = all
  std::string reason;
};

/// Workers that are new or not as they were, and those that are gone. Others are as before.
struct WorkersChanged {
  std::vector<WorkerOffer> workers;
  std::vector<WorkerId> gone;
};

/// Attempts that were sent out and never began: they are as if they had not been.
struct Returned {
  struct Attempt {
    AttemptRef attempt;
    std::string reason;     // why the worker did not take it, one line; empty: it was asked for it
    bool rejected = false;  // by the worker, which is not to be asked again soon
  };
  std::vector<Attempt> attempts;
};

/// Time has passed: retries may be due.
struct Tick {};

/// Forget a finished run.
struct Forget {
  RunIndex run;
};

using Event = std::variant<Submit, LookedUp, Kept, Reported, Began, Adopted, Returned, Cancel,
                           Pause, WorkersChanged, Tick, Forget>;

// ---- effects ----

/// A result to be kept in the cache. Usually the worker does that on its own; where hooks may still
/// refuse a result, it waits until they have seen it. Also a failure that is to be remembered
/// (`value` is a KeptFailure); without a value, nothing is kept after all.
struct Keep {
  AttemptRef attempt;
  std::shared_ptr<const RunContext> context;
  NodeId node;
  std::string label;  // of an element of a mapped task; empty: its index
  std::int32_t map_index = -1;
  Key key;
  Payload value;
  Duration cost{0};
  bool is_failure = false;
};

/// A run to be begun for a task that runs a flow. Its end is reported as that of the attempt; so is
/// what keeps it from beginning.
struct Nest {
  Attempt attempt;
  RunId run;                   // its id
  bool goes_on = false;        // it has begun before, unless the process ended just then
  bool resume = false;         // … and a person said go on: its paused tasks do
  bool forget_cancel = false;  // … as Submit::forget_cancel of the run that it is nested in
  std::string ns;              // namespace that it counts for
  std::int32_t priority = 0;
};

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
  std::vector<Keep> keeps;              // answered with Kept, each
  std::vector<Attempt> dispatches;      // one message to the worker
  std::vector<Nest> nests;              // runs to begin
  std::vector<AttemptRef> stops;        // attempts to end
  std::vector<AttemptRef> retracts;     // to be given back, those that did not begin
  std::vector<Ended> ended;             // to be told once `batches` are durable
  std::optional<Time> wake_at;          // a Tick is wanted then at the latest
};

}  // namespace reprise::scheduler
