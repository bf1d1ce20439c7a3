// The embedded engine: scheduler, worker and cache actors in this process, over one data directory.
// Opens no port.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/key_space.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "flow/cache_mode.hpp"
#include "journal/journal.hpp"
#include "redis/settings.hpp"
#include "scheduler/events.hpp"
#include "scheduler/policy.hpp"
#include "worker/functions.hpp"

namespace caf {
class actor;
class actor_system;
}  // namespace caf

namespace reprise {

namespace cache {
class BlobStore;
class MacKeys;
}  // namespace cache
namespace journal {
class SqliteJournal;
}
namespace worker {
class Enforcement;
class FunctionPool;
}  // namespace worker

/// What has to be on disk before people are told (docs/durability.md).
enum class Durability : std::uint8_t {
  none,   // no journal: a crash forgets the run
  group,  // changes are written in order and synced together; answers wait for the sync
  sync,   // dependants wait for the sync too
};

/// What an actor that runs attempts works with (actors/messages.hpp: Serve, Dispatch, Stop).
struct WorkerParts {
  const journal::Epoch& epoch;                     // of a server
  const caf::actor& cache;                         // for Store and GiveUp
  const std::shared_ptr<cache::BlobStore>& blobs;  // where large values and files lie
};

struct EngineOptions {
  std::filesystem::path
      data;  // data directory; made when missing. Empty: everything in memory, nothing is kept
  unsigned slots = 0;  // attempts at once; 0 = as many as processors
  // What attempts may take besides: cpu_milli 0 = a processor for each slot; memory_bytes 0 = what
  // the machine has.
  Resources capacity{0, 0, {}};
  std::map<std::string, std::string> labels;  // that tasks may require
  scheduler::Policy policy;
  std::uint32_t live_runs_max = 0;   // a submit beyond is refused; 0 = unlimited
  std::uint64_t live_tasks_max = 0;  // tasks of all live runs, as they were written; 0 = unlimited
  Durability durability = Durability::group;
  // That sign results for others in `redis`, and without which nothing from there is taken; null:
  // whoever may write there is believed.
  std::shared_ptr<const cache::MacKeys> mac_keys{};
  std::uint64_t max_value_bytes = 1ull << 30;  // a result that is larger is not cached
  Duration grace{std::chrono::seconds{10}};  // between asking a task to stop and ending it by force
  std::filesystem::path secrets;  // folder of the secrets that commands ask for; may be empty
  std::shared_ptr<worker::FunctionTable> functions;  // null: the built-in functions only
  std::shared_ptr<worker::FunctionPool> pool;        // null: no function gets its own process
  std::shared_ptr<worker::Enforcement> enforcement;  // null: memory is limited by RLIMIT_AS
  std::function<void(std::string)> warn;  // one line for people, from any thread; may be empty
  std::shared_ptr<Clock> clock;           // null: the world's; shared with whoever moves it
  std::optional<redis::Settings> redis;   // a server that keeps results for several nodes, too
  KeySpace space;                         // whose keys these are, and the operator's salts
  /// Makes the actor that runs attempts; empty: one with slots in this process. Otherwise this is
  /// a server: it begins an epoch in its journal, and what the process before left running is its
  /// workers' business.
  std::function<caf::actor(caf::actor_system&, const WorkerParts&)> spawn_worker;
  std::string name;  // of a server, for the journal
  /// Of a server that shares its journal with others: that journal, over the one of its own
  /// directory. Empty: it does not.
  std::function<std::unique_ptr<journal::Journal>(std::unique_ptr<journal::SqliteJournal>)>
      share_journal;
  /// Whether that journal waits until it can be written. Any thread. Empty: it never does.
  std::function<bool()> journal_waits;
  /// Another server leads over the same journal: nothing is done here any more, and this server
  /// should end. From one thread of the engine. May be empty.
  std::function<void(const Error&)> on_superseded;
  /// A run came to rest and its end is durable: wait() has its result. From one thread of the
  /// engine; must be quick and must not call the engine. May be empty.
  std::function<void(const RunId&)> on_end;
  /// A run was begun for a task that runs a flow, or goes on; it ends as any other. From one thread
  /// of the engine; must be quick and must not call the engine. May be empty: then the engine
  /// forgets such runs by itself.
  std::function<void(const RunId&)> on_nested;
  /// What workers have now of what `call` may name in flows that are made while others run; for
  /// the rest their tasks wait. Empty: what `functions` has, and no more.
  std::function<std::map<std::string, Signature, std::less<>>()> known_functions;
};

/// The task of another run for which a run was begun.
struct NestedIn {
  RunId run;
  std::string task;         // as shown: "work", "work[s3]"
  std::uint32_t depth = 1;  // 1 … nesting_limit
  bool operator==(const NestedIn&) const = default;
};

struct RunOptions {
  Parameters parameters;  // given ones; defaults are filled in
  CacheMode cache = CacheMode::normal;
  // The run sees the cache as it was then: later results are not found, and nothing is kept.
  std::optional<Time> as_of;
  std::optional<RunId> parent;        // the run whose results this one begins with
  std::optional<NestedIn> nested_in;  // set by the engine
  bool always_new = false;  // do not continue an interrupted run of the same flow and parameters
  std::optional<RunId> resume;            // continue exactly this run; its paused tasks go on
  std::vector<std::string> resume_tasks;  // only these paused tasks, by name as shown; empty = all
  bool as_it_was = false;  // with `resume`: what is paused stays so, what is cancelled is so
  // Came through a server, which goes on with it by itself: the client's key for it, maybe empty.
  std::optional<std::string> submit_key;
  std::string ns;                          // namespace that it counts for; empty = the default one
  std::int32_t priority = 0;               // added to those of its tasks
  std::map<std::string, Payload> context;  // the user's own keys, by name
  // For people, to find the run and its results by; what the run does does not depend on them.
  std::map<std::string, std::string> labels;
  // Input files that come with the flow, as RunContext::files; their contents are in the blob
  // store.
  std::map<std::string, FileValue> files;
  scheduler::RunShape shape;
};

struct RunStarted {
  RunId id;
  bool continued = false;  // an interrupted run goes on
  std::string folder;      // of the run, below the data directory
  // Of a continued run: the nodes that had become many tasks, in that order, and how many each.
  std::vector<std::pair<NodeId, std::uint32_t>> expanded{};
  bool stable = false;  // it is on disk; without a submit_key, that is so from its first change on
};

struct RunResult {
  RunId id;
  RunState state = RunState::queued;
  std::string message;
  journal::Summary summary;
  std::uint64_t carried =
      0;  // tasks that an earlier process of this run had finished; summary counts the rest
  Duration makespan{0};  // of this process's part
  std::map<std::string, Payload> outputs;
};

class Engine {
 public:
  /// @error io, exhausted, denied: the data directory cannot be written; nothing was started
  [[nodiscard]] static Result<std::unique_ptr<Engine>> open(EngineOptions options);
  /// Stops everything; runs that are not finished become interrupted. Ends within the grace time
  /// and a second.
  virtual ~Engine() = default;

  /// Starts what runs attempts, which otherwise waits for the first run.
  virtual void start() = 0;

  /// Starts a run. Blocks until it is accepted. @error invalid_argument: flow or parameters;
  /// conflict: `resume` names a run that is finished or alive; not_found; io
  [[nodiscard]] virtual Result<RunStarted> submit(std::shared_ptr<const FlowSpec> flow,
                                                  RunOptions options) = 0;

  /// Blocks until the run is finished (or paused with nothing left to do) and durable; nullopt:
  /// `timeout` passed.
  [[nodiscard]] virtual std::optional<RunResult> wait(const RunId& run,
                                                      std::optional<Duration> timeout = {}) = 0;

  /// Cancels a run, or only these tasks and what is downstream of them. Returns once no new attempt
  /// will start.
  /// @error not_found, conflict: already finished
  virtual Status cancel(const RunId& run, std::vector<std::string> tasks, std::string reason) = 0;

  /// Lets nothing more of a run, or of these tasks, begin; what runs goes on to its end. Once
  /// nothing else is left the run rests as paused, which a submit with `resume` ends.
  /// @error not_found, conflict: already finished
  virtual Status pause(const RunId& run, std::vector<std::string> tasks, std::string reason) = 0;

  /// Adds changes to a run that is not known here any more, such as those of make_retry() and
  /// cancel_idle(); on disk when this returns. Blocks while the journal writes.
  /// @param summary  of a run that is finished then
  /// @error conflict: no journal is kept; denied: another server leads; unavailable: the journal
  /// cannot be written now, nothing was done; exhausted, io
  virtual Status amend(journal::Batch batch, std::optional<journal::Summary> summary) = 0;

  /// The result of a node (the list of results for a mapped one) once the run is finished or the
  /// node is.
  /// @error not_found: no result; unavailable: not finished
  [[nodiscard]] virtual Result<Payload> result(const RunId& run, NodeId node) = 0;

  /// The state of every node by name, of mapped ones with those of their elements.
  /// @error not_found; unavailable: the engine did not answer
  [[nodiscard]] virtual Result<std::map<std::string, scheduler::InitialState>> states(
      const RunId& run) = 0;

  /// The scheduler answers within `limit`. Blocks for as long.
  [[nodiscard]] virtual bool is_responding(Duration limit) = 0;

  /// Leaves all runs as they are, now: nothing more is recorded, what they started is ended by
  /// force, and they become interrupted. Nothing may be called afterwards but the destructor, which
  /// is then quick.
  virtual void abandon() = 0;

  /// Frees what is kept in memory of a finished run; its id is unknown afterwards. Does nothing to
  /// others.
  virtual void forget(const RunId& run) = 0;

  /// Calls `listener` with every batch of changes of every run, in order, from one thread of the
  /// engine; it must be quick. Batches are told as they happen, before they are durable. To be set
  /// before the first submit.
  using Listener = std::function<void(const journal::Batch& batch)>;
  virtual void listen(Listener listener) = 0;
};

}  // namespace reprise
