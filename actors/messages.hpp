// Everything actors say to each other, in one place. Each message carries a batch: one per hop and
// tick, however many tasks it speaks of. Within a process the structures travel as they are,
// without serialization; between processes the link packs the same structures into frames
// (cluster/).
//
//   engine ──Begin, CancelRun, PauseRun──▶ scheduler
//   scheduler ──LookUp──▶ cache ──LookedUp──▶ scheduler
//   scheduler ──Dispatch, Stop──▶ worker ──Store, GiveUp──▶ cache ──Stored──▶ worker
//   worker ──Began, Reported──▶ scheduler ──KeepResults──▶ cache ──Kept──▶ scheduler
//   scheduler ──Append──▶ journal ──Durable──▶ scheduler, and from there to whoever waits
//   scheduler ──BeginNested──▶ nest ──Reported──▶ scheduler; engine ──NestedOver──▶ nest
//   scheduler ──RunOver──▶ cache, worker; scheduler ──Recorded──▶ worker ──Adopted──▶ scheduler
//   (of workers that outlive their server)
#pragma once

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "actors/nested_flow.hpp"
#include "cache/store.hpp"
#include "flow/attempt.hpp"
#include "journal/journal.hpp"
#include "scheduler/events.hpp"

namespace reprise::actors {

/// engine → scheduler: start or continue a run; answered by nothing, its end comes as Ended.
struct Begin {
  scheduler::Submit submit;
};

/// engine → scheduler, answered with Status: cancel a run or the named tasks and what depends on
/// them.
struct CancelRun {
  scheduler::RunIndex run;
  std::vector<std::string> tasks;
  std::string reason;
};

/// engine → scheduler, answered with Status.
struct PauseRun {
  scheduler::RunIndex run;
  std::vector<std::string> tasks;
  std::string reason;
};

/// engine → scheduler, answered with Result<Payload> once what it rests on is durable.
struct AskValue {
  scheduler::RunIndex run;
  NodeId node;
};

/// engine → scheduler, answered with the states of all nodes by name.
struct AskStates {
  scheduler::RunIndex run;
};

/// engine or scheduler → scheduler: changes that wait for company go to the journal now.
struct WriteOut {};

/// engine → scheduler: forget a finished run.
struct ForgetRun {
  scheduler::RunIndex run;
};

using StatesAnswer = Result<std::map<std::string, scheduler::InitialState>>;

/// scheduler → cache: all attempts that want a look-up, in one round trip.
struct LookUp {
  std::vector<Attempt> attempts;
};

/// scheduler → cache: results that were held back until hooks had seen them; each is answered with
/// Kept.
struct KeepResults {
  std::vector<scheduler::Keep> keeps;
};

/// engine → worker: news go to this scheduler. Comes before anything else.
struct Serve {
  caf::actor scheduler;
};

/// scheduler → nest: runs to begin for tasks that run flows.
struct BeginNested {
  std::vector<scheduler::Nest> nests;
};

/// engine → nest: such a run came to rest, and that is durable.
struct NestedOver {
  NestedEnd end;
};

/// scheduler → worker.
struct Dispatch {
  std::vector<Attempt> attempts;
};
struct Stop {
  std::vector<scheduler::AttemptRef> attempts;
};
/// Those of them that did not begin are wanted back: answered with Retracted by whom they wait at.
struct Retract {
  std::vector<scheduler::AttemptRef> attempts;
};
struct Retracted {
  std::vector<scheduler::AttemptRef> attempts;
};
/// What was reported of these attempts is durable. Only where SchedulerActorOptions say so.
struct Recorded {
  std::vector<scheduler::AttemptRef> attempts;
};

/// owner → worker: attempts that have not begun come back at once, cancelled without having run.
struct Withdraw {};

/// worker's slots → worker, through a queue (finished_queue.hpp): an attempt that ended, with what
/// is needed to keep its result.
struct Finished {
  scheduler::Report report;
  std::shared_ptr<const RunContext> context;
  NodeId node;
  std::int32_t map_index = -1;
  std::string label;       // as in Attempt
  std::optional<Key> key;  // keep the value under this key
};

/// worker → cache: results to keep, before they are reported. `ticket` comes back with Stored.
struct Store {
  std::uint64_t ticket = 0;
  std::vector<cache::Commit> commits;
};
struct Stored {
  std::uint64_t ticket = 0;
  std::vector<std::string> unkept{};  // one per commit: why it was not kept; empty = it was
};

/// worker → cache: attempts with these keys ended without a result to keep.
struct GiveUp {
  std::vector<Key> keys;
  cache::UseCounts why{};
};

/// scheduler → cache, worker: the run came to rest; nothing more comes of what it was to compute.
struct RunOver {
  scheduler::RunIndex run;
  RunId id;
  std::uint64_t past_cache = 0;  // tasks that would have been looked up, had the run not said off
};

/// scheduler → journal: batches in order; `ticket` comes back with Durable once they are on disk.
struct Append {
  std::uint64_t ticket = 0;
  std::vector<std::pair<RunId, journal::Summary>> summaries;  // of runs that end with these batches
  std::vector<journal::Batch> batches;
};
struct Durable {
  std::uint64_t ticket = 0;
  Status status;  // an error: nothing of this Append was kept
};

/// engine → journal: something rare to do on the journal's own thread.
struct WithJournal {
  std::function<void(journal::Journal&)> action;
};

}  // namespace reprise::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Begin)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::CancelRun)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::PauseRun)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::AskValue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::AskStates)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::StatesAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::ForgetRun)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::WriteOut)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::LookUp)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Serve)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::BeginNested)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::NestedOver)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Dispatch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Stop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Retract)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Retracted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Recorded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Withdraw)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Store)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::GiveUp)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::RunOver)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Append)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Durable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::WithJournal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::scheduler::LookedUp)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::scheduler::Kept)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::KeepResults)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::scheduler::Reported)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::scheduler::Began)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::scheduler::Adopted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::scheduler::Returned)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::scheduler::WorkersChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::Status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::Result<reprise::Payload>)
