#include "actors/engine.hpp"

#include <condition_variable>
#include <cstring>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>
#include <caf/all.hpp>

#include "actors/cache_actor.hpp"
#include "actors/commit.hpp"
#include "actors/file_hasher.hpp"
#include "actors/journal_actor.hpp"
#include "actors/messages.hpp"
#include "actors/nest_actor.hpp"
#include "actors/nested_flow.hpp"
#include "actors/run_options.hpp"
#include "actors/scheduler_actor.hpp"
#include "actors/worker_actor.hpp"
#include "cache/blob_store.hpp"
#include "cache/file_digests.hpp"
#include "cache/memory_store.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_invalidations.hpp"
#include "cache/redis_leases.hpp"
#include "cache/redis_store.hpp"
#include "cache/redis_wake_ups.hpp"
#include "cache/sqlite_leases.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/tiered_store.hpp"
#include "cache/upkeep.hpp"
#include "journal/data_folder.hpp"
#include "journal/history.hpp"
#include "journal/run_view.hpp"
#include "journal/sqlite_journal.hpp"
#include "worker/function_message.hpp"
#include "worker/local_runner.hpp"
#include "worker/machine.hpp"
#include "worker/process_tree.hpp"

namespace reprise {

namespace {

using actors::RunEnd;
using scheduler::RunIndex;

// Asked once: the system's answer may be long in coming.
const std::string& user_at_host() {
  static const std::string known = [] {
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    std::string user = std::to_string(getuid());
    passwd entry{};
    passwd* found = nullptr;
    char buffer[4096];
    if (getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr)
      user = found->pw_name;
    return fmt::format("{}@{}", user, host);
  }();
  return known;
}

Digest digest_of(const Parameters& parameters) {
  Map map;
  for (const auto& [name, value] : parameters)
    map.emplace_back(name, Bytes{std::string(value.digest.raw())});
  return digest_in("params", encode(Value{std::move(map)}).value_or(""));
}

// What the context says of the flow's parameters, below what was given as such.
Parameters with_context_parameters(const FlowSpec& flow, const RunOptions& options) {
  Parameters given = options.parameters;
  const auto entry = options.context.find("parameters");
  if (entry == options.context.end()) return given;
  const Result<Value> all = entry->second.value();
  for (const Parameter& parameter : flow.parameters) {
    const Value* value = all ? all->find(parameter.name) : nullptr;
    if (value == nullptr) continue;
    if (Result<Payload> payload = Payload::of(*value)) given.emplace(parameter.name, *payload);
  }
  return given;
}

// What earlier runs took is worth reading: some tasks have to wait for others, they differ, and the
// flow does not say how long they take.
bool order_matters(const FlowSpec& flow, unsigned slots) {
  return flow.nodes.size() > slots && flow.kinds.size() > 1 &&
         std::ranges::none_of(flow.nodes,
                              [](const Node& node) { return node.expected_seconds > 0; });
}

// By node; of a few newest changes, since a run waits for them to be read. Empty: nothing is known.
std::vector<float> usual_seconds(journal::Journal& journal, const FlowSpec& flow) {
  constexpr std::uint32_t runs = 2;
  constexpr std::size_t changes_max = 20'000;
  const auto usual = journal::usual_durations(journal, flow.name, runs, changes_max);
  if (usual.empty()) return {};
  std::vector<float> all;
  all.reserve(flow.nodes.size());
  for (const Node& node : flow.nodes) {
    const auto known = usual.find(node.name);
    all.push_back(known == usual.end() ? 0.0F : static_cast<float>(seconds(known->second)));
  }
  return all;
}

/// Found in the environment of everything that a run's commands started.
std::string process_mark(const RunId& run) {
  return "REPRISE_RUN=" + run.text();
}

/// The nodes that became many tasks, in that order, which is the order of those tasks' numbers.
std::vector<std::pair<NodeId, std::uint32_t>> expanded_in(const std::vector<journal::Batch>& past,
                                                          std::size_t nodes) {
  std::vector<std::pair<NodeId, std::uint32_t>> expanded;
  std::set<TaskId> known;
  for (const journal::Batch& batch : past)
    for (const journal::TaskChange& change : batch.tasks)
      if (change.state == TaskState::mapped && change.task.value < nodes &&
          known.insert(change.task).second)
        expanded.emplace_back(NodeId{change.task.value}, change.detail ? change.detail->width : 0);
  return expanded;
}

// Marks what other nodes removed as removed in the folder, so that it is explained as such.
std::function<void(const std::map<Key, Time>&)> forgetting(
    const journal::DataFolder& folder, const std::shared_ptr<cache::BlobStore>& blobs) {
  return [path = folder.cache_file(), blobs,
          blob_folder = folder.blobs()](const std::map<Key, Time>& removed) {
    auto upkeep = cache::Upkeep::open(path, blobs, blob_folder);
    if (!upkeep) return;  // it is passed over all the same
    for (const auto& [key, when] : removed) (void)(*upkeep)->remove({key}, when);
  };
}

class EmbeddedEngine final : public Engine {
 public:
  explicit EmbeddedEngine(EngineOptions options) : options_(std::move(options)) {}
  ~EmbeddedEngine() override { close(); }

  Status open();
  void start() override { start_actors(); }
  Result<RunStarted> submit(std::shared_ptr<const FlowSpec> flow, RunOptions options) override;
  std::optional<RunResult> wait(const RunId& run, std::optional<Duration> timeout) override;
  Status cancel(const RunId& run, std::vector<std::string> tasks, std::string reason) override;
  Status pause(const RunId& run, std::vector<std::string> tasks, std::string reason) override;
  Status amend(journal::Batch batch) override;
  Result<Payload> result(const RunId& run, NodeId node) override;
  Result<std::map<std::string, scheduler::InitialState>> states(const RunId& run) override;
  bool is_responding(Duration limit) override;
  void forget(const RunId& run) override;
  void abandon() override;
  void listen(Listener listener) override { listener_ = std::move(listener); }

 private:
  /// A run that is begun for a task of another one.
  struct Nested {
    RunId id;
    scheduler::AttemptRef attempt;
    std::string output;  // as in NestedBody
    bool resume = false;
    bool forget_cancel = false;
  };
  struct Entry {
    RunIndex index;
    std::optional<Nested> nested;
    std::string flow_name;
    std::uint64_t tasks = 0;  // as they were written
    Time started;
    std::optional<journal::RunLock> lock;
    std::optional<RunResult> result;
  };
  /// A run of this flow and these parameters that some process left unfinished, or the one asked
  /// for.
  struct Interrupted {
    RunId id;
    journal::RunLock lock;
    std::vector<journal::Batch> past;
    RunOptions options;  // that it began with
  };

  template <class Request>
  Status steer(const RunId& run, std::vector<std::string> tasks, std::string reason);
  Status begin_nested(const scheduler::Nest& nest);
  [[nodiscard]] RunOptions nested_options(const scheduler::Nest& nest) const;
  [[nodiscard]] Result<std::shared_ptr<const FlowSpec>> flow_of(const scheduler::Nest& nest);
  Result<RunStarted> begin(std::shared_ptr<const FlowSpec> flow, RunOptions options,
                           std::optional<Nested> nested);
  [[nodiscard]] Status room_for(const FlowSpec& flow, const RunOptions& options);
  [[nodiscard]] std::unique_ptr<cache::Store> store_of_newer_version();
  void join_tiers(std::unique_ptr<cache::Store> local, std::shared_ptr<cache::Leases> local_leases);
  void start_actors();
  [[nodiscard]] caf::actor spawn_local_worker();
  [[nodiscard]] scheduler::WorkerOffer local_offer() const;
  void close();
  void ended(RunEnd end);
  void journal_lost(const Error& error);
  [[nodiscard]] Status begin_epoch(bool keeps);
  [[nodiscard]] Result<std::optional<Interrupted>> find_interrupted(journal::Journal& journal,
                                                                    const Digest& flow,
                                                                    const Digest& parameters,
                                                                    const RunOptions& options);
  [[nodiscard]] Result<std::optional<Interrupted>> find_nested(journal::Journal& journal,
                                                               const RunId& id);
  [[nodiscard]] Result<std::vector<journal::Batch>> read_past(journal::Journal& journal,
                                                              const RunId& run);
  /// Runs `action` on the journal's thread and waits for it.
  template <class F>
  auto with_journal(F action) -> std::invoke_result_t<F, journal::Journal&>;
  [[nodiscard]] std::optional<RunIndex> index_of(const RunId& run);

  EngineOptions options_;
  std::optional<journal::DataFolder> folder_;
  std::filesystem::path temporary_;  // data of an engine that keeps nothing
  std::shared_ptr<cache::BlobStore> blobs_;
  std::unique_ptr<journal::Journal> journal_;  // until the actor takes it
  std::shared_ptr<cache::Store> store_;
  std::shared_ptr<cache::Leases> leases_;
  std::unique_ptr<cache::FileDigests> digests_;
  bool has_journal_ = false;
  journal::Epoch epoch_;  // of a server
  Listener listener_;

  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::actor scheduler_, worker_, cache_, journal_actor_, nest_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<RunId, Entry> runs_;
  std::unordered_map<RunIndex, RunId> by_index_;
  std::uint32_t next_index_ = 0;
  std::optional<Error> journal_error_;
};

Status EmbeddedEngine::open() {
  if (!options_.clock) options_.clock = std::make_shared<Clock>();
  const worker::Machine machine = worker::this_machine();
  if (options_.slots == 0) options_.slots = worker::slots_for(options_.capacity.cpu_milli, machine);
  if (!options_.functions) {
    options_.functions = std::make_shared<worker::FunctionTable>();
    worker::add_builtins(*options_.functions);
  }
  const bool keeps = !options_.data.empty();
  std::filesystem::path data = options_.data;
  if (!keeps) {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      return tl::unexpected(system_error(fmt::format("make folder \"{}\"", pattern), errno));
    data = temporary_ = pattern;
  }
  auto folder = journal::DataFolder::open({.path = data, .create = true});
  if (!folder) return tl::unexpected(folder.error());
  folder_ = std::move(*folder);

  auto blobs = cache::BlobStore::open({.folder = folder_->blobs(), .sync = keeps});
  if (!blobs) return tl::unexpected(blobs.error());
  blobs_ = std::move(*blobs);
  if (keeps && options_.durability != Durability::none) {
    auto journal = journal::SqliteJournal::open({.path = folder_->journal_file()});
    if (!journal) return tl::unexpected(journal.error());
    if (options_.share_journal)
      journal_ = options_.share_journal(std::move(*journal));
    else
      journal_ = std::move(*journal);
    has_journal_ = true;
  }
  if (options_.spawn_worker)
    if (const Status began = begin_epoch(keeps); !began) return began;
  std::unique_ptr<cache::Store> local;
  std::shared_ptr<cache::Leases> local_leases;
  if (!keeps) {
    local = std::make_unique<cache::MemoryStore>();
    digests_ = *cache::FileDigests::open({});
  } else if (auto store =
                 cache::SqliteStore::open({.path = folder_->cache_file(), .blobs = blobs_});
             !store) {
    local = store_of_newer_version();
    if (!local) return tl::unexpected(store.error());
    digests_ = *cache::FileDigests::open({});
  } else {
    local = std::move(*store);
    auto leases = cache::SqliteLeases::open(folder_->cache_file());
    if (!leases) return tl::unexpected(leases.error());
    local_leases = std::move(*leases);
    auto digests = cache::FileDigests::open({.path = folder_->cache_file()});
    if (!digests) return tl::unexpected(digests.error());
    digests_ = std::move(*digests);
  }
  join_tiers(std::move(local), std::move(local_leases));
  return {};
}

// What it has is served, and nothing is kept; no task fails for it. Null: it is of no newer one.
std::unique_ptr<cache::Store> EmbeddedEngine::store_of_newer_version() {
  auto store =
      cache::SqliteStore::open({.path = folder_->cache_file(), .blobs = blobs_, .read_only = true});
  if (!store || !(*store)->is_newer()) return nullptr;
  if (options_.warn)
    options_.warn(
        fmt::format("a newer version of reprise wrote \"{}\": what it has is used, and new results "
                    "are not kept; "
                    "use that version, or another data directory",
                    escape_for_terminal(folder_->cache_file().string())));
  return *std::move(store);
}

// Before anything is dispatched. A server that keeps no journal of its runs has its epochs in one,
// all the same: workers tell servers apart by them.
Status EmbeddedEngine::begin_epoch(bool keeps) {
  const RunId random = RunId::generate(now());
  std::uint64_t nonce = 0;
  std::memcpy(&nonce, random.bytes.data() + random.bytes.size() - sizeof nonce, sizeof nonce);
  if (!keeps) {
    epoch_ = {1, nonce, nonce};
    return {};
  }
  std::unique_ptr<journal::Journal> for_this;
  if (!journal_) {
    auto journal = journal::SqliteJournal::open({.path = folder_->journal_file()});
    if (!journal) return tl::unexpected(journal.error());
    for_this = std::move(*journal);
  }
  auto begun = (journal_ ? journal_ : for_this)->begin_epoch(nonce, options_.name, now());
  if (!begun) return tl::unexpected(begun.error());
  epoch_ = *begun;
  return {};
}

// The store of this node alone, or before the one that nodes share.
void EmbeddedEngine::join_tiers(std::unique_ptr<cache::Store> local,
                                std::shared_ptr<cache::Leases> local_leases) {
  if (!options_.redis) {
    store_ = std::move(local);
    leases_ = std::move(local_leases);
    return;
  }
  auto client = std::make_shared<redis::Client>(*options_.redis, cache::redis_functions());
  cache::TieredStore::Options tiers;
  tiers.local = std::move(local);
  tiers.local_leases = std::move(local_leases);
  tiers.remote = std::make_unique<cache::RedisStore>(
      cache::RedisStore::Options{.client = client, .blobs = blobs_, .mac_keys = options_.mac_keys});
  tiers.remote_leases =
      std::make_shared<cache::RedisLeases>(cache::RedisLeases::Options{.client = client});
  tiers.invalidations = std::make_shared<cache::RedisInvalidations>(client);
  if (temporary_.empty()) tiers.forget = forgetting(*folder_, blobs_);
  tiers.warn = options_.warn;
  auto tiered = std::make_shared<cache::TieredStore>(std::move(tiers));
  store_ = tiered;
  leases_ = tiered;
}

// Actors start with the first run, so that the listener can be set before.
void EmbeddedEngine::start_actors() {
  if (system_) return;
  // Few actors that talk to each other all the time: one thread keeps their messages in one
  // processor's cache, and "sharing" wakes it in a tenth of the time that "stealing" needs
  // (docs/performance.md).
  config_.set("scheduler.policy", caf::atom("sharing"));
  config_.set("scheduler.max-threads", std::size_t{1});
  system_ = std::make_unique<caf::actor_system>(config_);
  if (journal_) journal_actor_ = actors::spawn_journal_actor(*system_, std::move(journal_));
  actors::CacheServiceOptions cache;
  cache.store = store_;
  cache.leases = leases_;
  cache.clock = options_.clock;
  cache.space = options_.space;
  cache.blobs = blobs_;
  cache.max_value_bytes = options_.max_value_bytes;
  cache.is_dead = [this](const std::string& owner) {
    const auto run = RunId::parse(owner);
    return run && folder_->was_abandoned(*run);
  };
  cache.hasher = std::make_unique<actors::RememberingHasher>(std::move(digests_));
  std::shared_ptr<cache::WakeUps> wake_ups;
  if (options_.redis) wake_ups = std::make_shared<cache::RedisWakeUps>(*options_.redis);
  cache_ = actors::spawn_cache_actor(*system_, std::move(cache), std::move(wake_ups));
  worker_ = options_.spawn_worker ? options_.spawn_worker(*system_, {epoch_, cache_, blobs_})
                                  : spawn_local_worker();
  actors::SchedulerActorOptions scheduler;
  if (!options_.spawn_worker) scheduler.workers.push_back(local_offer());
  scheduler.policy = options_.policy;
  scheduler.leads = static_cast<bool>(options_.spawn_worker);
  scheduler.durability = options_.durability;
  scheduler.cache = cache_;
  scheduler.worker = worker_;
  scheduler.journal = journal_actor_;
  nest_ = actors::spawn_nest_actor(
      *system_, {.begin = [this](const scheduler::Nest& nest) { return begin_nested(nest); },
                 .blobs = blobs_,
                 .clock = options_.clock});
  scheduler.nest = nest_;
  scheduler.clock = options_.clock;
  scheduler.listener = listener_;
  scheduler.on_end = [this](RunEnd end) { ended(std::move(end)); };
  scheduler.on_journal_lost = [this](const Error& error) { journal_lost(error); };
  scheduler_ = actors::spawn_scheduler_actor(*system_, std::move(scheduler));
  caf::anon_send(worker_, actors::Serve{scheduler_});
  caf::anon_send(nest_, actors::Serve{scheduler_});
}

scheduler::WorkerOffer EmbeddedEngine::local_offer() const {
  scheduler::WorkerOffer offer;
  offer.name = "this process";
  offer.slots = options_.slots;
  offer.labels = options_.labels;
  offer.is_local = true;
  offer.memory_is_a_guess = options_.capacity.memory_bytes == 0;
  offer.capacity = worker::capacity_of(options_.capacity, options_.slots, worker::this_machine());
  return offer;
}

// Runs attempts on slots in this process.
caf::actor EmbeddedEngine::spawn_local_worker() {
  actors::WorkerActorOptions worker;
  worker.slots = options_.slots;
  worker.gpus = worker::gpus_in(options_.capacity);
  worker.runner = std::make_shared<worker::LocalRunner>(
      worker::LocalRunner::Options{.functions = options_.functions,
                                   .blobs = blobs_,
                                   .grace = options_.grace,
                                   .secrets = options_.secrets,
                                   .warn = options_.warn,
                                   .pool = options_.pool,
                                   .enforcement = options_.enforcement});
  worker.blobs = blobs_;
  worker.grace = options_.grace;
  worker.warn = options_.warn;
  worker.cache = cache_;
  return actors::spawn_worker_actor(*system_, std::move(worker));
}

void EmbeddedEngine::close() {
  if (system_) {
    // One after the other, in the order in which news travel: nothing more is begun, the worker
    // waits for its slots, the scheduler writes out what it knows, the journal writes what it was
    // sent.
    {
      caf::scoped_actor self{*system_};
      const auto end = [&](caf::actor& actor) {
        if (!actor) return;
        self->send_exit(actor, caf::exit_reason::user_shutdown);
        self->wait_for(actor);
        actor = {};
      };
      end(nest_);
      end(worker_);
      self->send(scheduler_, actors::WriteOut{});
      end(scheduler_);
      if (journal_actor_) with_journal([](journal::Journal&) { return 0; });
      end(cache_);
      end(journal_actor_);
    }
    system_.reset();
  }
  runs_.clear();  // lets go of the locks
  if (!temporary_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(temporary_, ignored);
  }
}

void EmbeddedEngine::abandon() {
  if (!system_) return;
  // Without the scheduler, what the killed processes leave behind is nobody's news.
  caf::anon_send(scheduler_, actors::WriteOut{});
  caf::anon_send_exit(scheduler_, caf::exit_reason::user_shutdown);
  std::vector<RunId> open;
  {
    const std::lock_guard guard(mutex_);
    for (const auto& [id, entry] : runs_)
      if (!entry.result) open.push_back(id);
  }
  for (const RunId& run : open) worker::end_processes(process_mark(run), Duration{0});
}

template <class F>
auto EmbeddedEngine::with_journal(F action) -> std::invoke_result_t<F, journal::Journal&> {
  if (journal_) return action(*journal_);
  using R = std::invoke_result_t<F, journal::Journal&>;
  std::promise<R> promise;
  caf::anon_send(journal_actor_, actors::WithJournal{[&](journal::Journal& journal) {
                   promise.set_value(action(journal));
                 }});
  return promise.get_future().get();
}

Result<std::vector<journal::Batch>> EmbeddedEngine::read_past(journal::Journal& journal,
                                                              const RunId& run) {
  auto entries = journal.read(run, 0);
  if (!entries) return tl::unexpected(entries.error());
  std::vector<journal::Batch> past;
  past.reserve(entries->size());
  for (journal::Journal::Entry& entry : *entries) {
    // A result that is nowhere any more was never told to anybody as final: its task runs again.
    std::erase_if(entry.batch.tasks, [&](journal::TaskChange& change) {
      if (change.result.is_none() || change.result.is_at_hand()) return false;
      auto value = blobs_->get_value(change.result.digest);
      if (!value) return true;
      change.result = std::move(*value);
      return false;
    });
    past.push_back(std::move(entry.batch));
  }
  return past;
}

Result<std::optional<EmbeddedEngine::Interrupted>> EmbeddedEngine::find_interrupted(
    journal::Journal& journal, const Digest& flow, const Digest& parameters,
    const RunOptions& options) {
  journal::RunQuery query;
  if (options.resume) {
    query.id_prefix = options.resume->text();
  } else {
    query.flow = flow;
    query.parameters_digest = parameters;
    query.limit = 20;
  }
  auto rows = journal.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (options.resume && rows->empty())
    return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", options.resume->text()));
  for (const journal::RunRow& row : *rows) {
    const RunState state = folder_->effective_state(row);
    if (options.resume && is_finished(state))
      return fail(ErrorCode::conflict, fmt::format("run {} is finished ({}); nothing to resume",
                                                   row.id.short_text(), name(state)));
    if (state != RunState::interrupted && !(options.resume && state == RunState::paused)) {
      if (options.resume)
        return fail(ErrorCode::conflict, fmt::format("run {} is {} in another process",
                                                     row.id.short_text(), name(state)));
      continue;
    }
    auto began = actors::decode_options(row.options);
    if (!began) return tl::unexpected(began.error());
    if (!options.resume && !actors::same_shape(*began, options)) continue;
    auto lock = folder_->own(row.id);
    if (!lock) {
      if (options.resume) return tl::unexpected(lock.error());
      continue;  // another process was quicker
    }
    auto past = read_past(journal, row.id);
    if (!past) return tl::unexpected(past.error());
    return Interrupted{row.id, std::move(*lock), std::move(*past), std::move(*began)};
  }
  return std::nullopt;
}

// The run that was begun for an attempt, however far it came; nullopt: it was not.
Result<std::optional<EmbeddedEngine::Interrupted>> EmbeddedEngine::find_nested(
    journal::Journal& journal, const RunId& id) {
  journal::RunQuery query;
  query.id_prefix = id.text();
  const auto rows = journal.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::nullopt;
  auto began = actors::decode_options(rows->front().options);
  if (!began) return tl::unexpected(began.error());
  auto lock = folder_->own(id);
  if (!lock) return tl::unexpected(lock.error());
  auto past = read_past(journal, id);
  if (!past) return tl::unexpected(past.error());
  return Interrupted{id, std::move(*lock), std::move(*past), std::move(*began)};
}

Result<RunStarted> EmbeddedEngine::submit(std::shared_ptr<const FlowSpec> flow,
                                          RunOptions options) {
  options.nested_in.reset();
  return begin(std::move(flow), std::move(options), std::nullopt);
}

// On the nest actor's thread.
Status EmbeddedEngine::begin_nested(const scheduler::Nest& nest) {
  if (has_journal_) {
    // That the outer run speaks of this one comes first on disk, else a crash would leave a run
    // that nobody asks for.
    caf::scoped_actor self{*system_};
    self->request(scheduler_, caf::infinite, actors::WriteOut{})
        .receive([] {}, [](const caf::error&) {});
  }
  auto flow = flow_of(nest);
  if (!flow) return tl::unexpected(flow.error());
  const auto& body =
      std::get<NestedBody>(nest.attempt.context->flow->kind_of(nest.attempt.node).body);
  const Nested nested{nest.run,
                      {RunIndex{nest.attempt.run}, nest.attempt.task, nest.attempt.number},
                      body.output,
                      nest.resume,
                      nest.forget_cancel};
  const auto begun = begin(*std::move(flow), nested_options(nest), nested);
  if (!begun) return tl::unexpected(begun.error());
  return {};
}

// It sees the cache, the files and the user's context as the outer run does.
RunOptions EmbeddedEngine::nested_options(const scheduler::Nest& nest) const {
  const RunContext& outer = *nest.attempt.context;
  RunOptions options;
  options.parameters = actors::nested_parameters(nest.attempt);
  options.cache = outer.cache;
  options.as_of = outer.as_of;
  options.nested_in = NestedIn{
      outer.run,
      actors::display_name(outer, nest.attempt.node, nest.attempt.label, nest.attempt.map_index),
      outer.depth + 1};
  options.ns = nest.ns;
  options.priority = nest.priority;
  options.context = outer.context;
  // Of the outer run alone.
  options.context.erase("parameters");
  options.context.erase("task_loop_count");
  options.files = outer.files;
  return options;
}

// What went on before is the flow it was then, even if it would be read otherwise now.
Result<std::shared_ptr<const FlowSpec>> EmbeddedEngine::flow_of(const scheduler::Nest& nest) {
  if (nest.goes_on && has_journal_) {
    using Kept = Result<std::shared_ptr<const FlowSpec>>;
    Kept kept = with_journal([&](journal::Journal& journal) -> Kept {
      journal::RunQuery query;
      query.id_prefix = nest.run.text();
      const auto rows = journal.runs(query);
      if (!rows) return tl::unexpected(rows.error());
      if (rows->empty()) return nullptr;
      return journal::flow_of(journal, rows->front());
    });
    if (!kept || *kept) return kept;
  }
  actors::KnownSignatures functions;
  if (options_.known_functions) {
    functions = options_.known_functions();
  } else {
    functions.emplace();
    for (const worker::KnownFunction& each : worker::known_functions(*options_.functions))
      functions->emplace(each.id(), each.signature);
  }
  return actors::nested_flow(nest.attempt, *blobs_, functions);
}

Result<RunStarted> EmbeddedEngine::begin(std::shared_ptr<const FlowSpec> flow, RunOptions options,
                                         std::optional<Nested> nested) {
  if (const Status good = check(*flow); !good) return tl::unexpected(good.error());
  if (const Status known = scheduler::check_limits(*flow, options_.policy.limits); !known)
    return tl::unexpected(known.error());
  // Whose end a run that is under way waits for is not held up.
  if (const Status room = nested ? Status{} : room_for(*flow, options); !room)
    return tl::unexpected(room.error());
  auto parameters =
      bind_parameters(*flow, with_context_parameters(*flow, options), options.shape.single_pass);
  if (!parameters) return tl::unexpected(parameters.error());

  RunStarted started;
  started.id = nested ? nested->id : RunId::generate(now());
  std::optional<journal::RunLock> lock;
  std::vector<journal::Batch> past;
  std::vector<float> usual;
  if (has_journal_) {
    const std::string bytes = flow->encode();
    const Digest flow_digest = sha256(bytes);
    const Digest parameters_digest = digest_of(*parameters);
    const Status opened = with_journal([&](journal::Journal& journal) -> Status {
      if (!options.always_new) {
        auto found = nested ? find_nested(journal, started.id)
                            : find_interrupted(journal, flow_digest, parameters_digest, options);
        if (!found) return tl::unexpected(found.error());
        if (*found) {
          started.id = (*found)->id;
          started.continued = true;
          lock = std::move((*found)->lock);
          past = std::move((*found)->past);
          if (nested && nested->resume) options.resume = started.id;
          options.as_it_was = options.as_it_was || (nested && !nested->forget_cancel);
          if (options.resume || nested) options.cache = (*found)->options.cache;
          options.nested_in = std::move((*found)->options.nested_in);
          options.as_of = (*found)->options.as_of;
          options.parent = (*found)->options.parent;
          options.context = std::move((*found)->options.context);
          options.files = std::move((*found)->options.files);
          options.shape = std::move((*found)->options.shape);
          options.ns = std::move((*found)->options.ns);
          options.priority = (*found)->options.priority;
          return {};
        }
      }
      auto own = folder_->own(started.id);
      if (!own) return tl::unexpected(own.error());
      lock = std::move(*own);
      journal::RunRow row;
      row.id = started.id;
      row.flow_name = flow->name;
      row.flow = flow_digest;
      row.parameters_digest = parameters_digest;
      row.parameters = *parameters;
      row.folder = flow->folder;
      row.source_file = flow->source_file;
      row.submitted_by = user_at_host();
      row.state = RunState::running;
      row.submitted = now();
      row.options = actors::encode_options(options);
      Status kept = journal.open_run(row, bytes);
      // Who is elsewhere may not ask again.
      if (kept && options.submit_key) kept = journal.flush();
      started.stable = kept && options.submit_key;
      return kept;
    });
    if (opened && order_matters(*flow, options_.slots))
      usual =
          with_journal([&](journal::Journal& journal) { return usual_seconds(journal, *flow); });
    if (!opened) return tl::unexpected(opened.error());
  }
  started.expanded = expanded_in(past, flow->nodes.size());
  // What the process before left running would work beside its own repetition.
  if (started.continued) {
    if (!options_.spawn_worker)
      worker::end_processes(process_mark(started.id), std::chrono::seconds{1});
    // Nor may what it was to compute, and will not any more, keep others waiting.
    if (leases_) static_cast<void>(leases_->release_all_of(started.id.text()));
  }
  auto run_folder = folder_->make_run_folder(started.id);
  if (!run_folder) return tl::unexpected(run_folder.error());
  started.folder = run_folder->string();

  auto context = std::make_shared<RunContext>();
  context->run = started.id;
  context->flow = std::move(flow);
  context->parameters = std::move(*parameters);
  // Of the past nothing new is made.
  context->cache =
      options.as_of && options.cache != CacheMode::off && options.cache != CacheMode::only
          ? CacheMode::read_only
          : options.cache;
  context->as_of = options.as_of;
  context->folder = started.folder;
  context->started = options_.clock->now();
  context->continued = started.continued;
  context->depth = options.nested_in ? options.nested_in->depth : 0;
  context->context = options.context;
  context->files = options.files;
  context->clock = options_.clock;

  start_actors();
  RunIndex index;
  {
    const std::lock_guard guard(mutex_);
    index = RunIndex{next_index_++};
    Entry& entry = runs_[started.id];
    entry.index = index;
    entry.tasks = context->flow->nodes.size();
    entry.started = context->started;
    entry.nested = nested;
    entry.flow_name = context->flow->name;
    entry.lock = std::move(lock);
    entry.result.reset();
    by_index_[index] = started.id;
  }
  scheduler::Submit begin{index, std::move(context), std::move(past), !options.as_it_was};
  begin.resume = options.resume.has_value() && !options.as_it_was;
  begin.resume_tasks = std::move(options.resume_tasks);
  begin.shape = std::move(options.shape);
  begin.ns = std::move(options.ns);
  begin.priority = options.priority;
  begin.usual_seconds = std::move(usual);
  if (nested) begin.nested_in = nested->attempt;
  // Before anything can be told of its end.
  if (nested && options_.on_nested) options_.on_nested(started.id);
  caf::anon_send(scheduler_, actors::Begin{std::move(begin)});
  return started;
}

// Refused rather than taken in without end: whoever submits learns of it, and when to try again.
// What was begun already goes on.
Status EmbeddedEngine::room_for(const FlowSpec& flow, const RunOptions& options) {
  if (options.resume || (options_.live_runs_max == 0 && options_.live_tasks_max == 0)) return {};
  const std::lock_guard guard(mutex_);
  std::uint64_t runs = 0, tasks = 0;
  for (const auto& [id, entry] : runs_) {
    if (entry.result || entry.nested) continue;
    ++runs;
    tasks += entry.tasks;
  }
  if (options_.live_runs_max > 0 && runs >= options_.live_runs_max)
    return fail(ErrorCode::unavailable,
                fmt::format("{} of at most {} runs are under way; try again in 10 s", runs,
                            options_.live_runs_max));
  if (options_.live_tasks_max > 0 && tasks + flow.nodes.size() > options_.live_tasks_max)
    return runs == 0
               ? fail(ErrorCode::conflict,
                      fmt::format("the flow has {} tasks, and no more than {} may be under way",
                                  flow.nodes.size(), options_.live_tasks_max))
               : fail(ErrorCode::unavailable,
                      fmt::format("{} tasks are under way; with the flow's {} they would be more "
                                  "than the {} that may be; try again in 10 s",
                                  tasks, flow.nodes.size(), options_.live_tasks_max));
  return {};
}

void EmbeddedEngine::ended(RunEnd end) {
  const std::lock_guard guard(mutex_);
  const auto id = by_index_.find(end.ended.run);
  if (id == by_index_.end()) return;
  Entry& entry = runs_.at(id->second);
  RunResult result;
  result.id = id->second;
  result.state = end.ended.state;
  result.message = std::move(end.ended.message);
  if (journal_error_) {
    result.state = RunState::failed;
    result.message = "the journal could not be written: " + journal_error_->message;
  }
  result.summary = end.totals.here;
  result.carried = end.totals.carried;
  result.makespan = options_.clock->now() - entry.started;
  result.outputs = std::move(end.outputs);
  if (entry.nested)
    caf::anon_send(nest_, actors::NestedOver{{entry.nested->attempt, result.id, entry.flow_name,
                                              entry.nested->output, result.state, result.message,
                                              std::move(end.first_failure), result.outputs,
                                              entry.started, result.makespan}});
  entry.result = std::move(result);
  entry.lock.reset();
  changed_.notify_all();
  if (options_.on_end) options_.on_end(id->second);
  // Nobody else asks for it. One that is paused may be told to end with the outer run.
  if (entry.nested && !options_.on_nested && entry.result->state != RunState::paused) {
    caf::anon_send(scheduler_, actors::ForgetRun{entry.index});
    runs_.erase(id->second);
    by_index_.erase(id);
  }
}

// What is not journalled could be lost although it was told; so nothing more is begun, and all runs
// end as failed.
void EmbeddedEngine::journal_lost(const Error& error) {
  if (options_.spawn_worker && error.code == ErrorCode::denied) {
    if (options_.on_superseded) options_.on_superseded(error);
    return;
  }
  std::vector<RunIndex> open;
  {
    const std::lock_guard guard(mutex_);
    journal_error_ = error;
    for (const auto& [id, entry] : runs_)
      if (!entry.result) open.push_back(entry.index);
  }
  for (RunIndex run : open)
    caf::anon_send(scheduler_, actors::CancelRun{run, {}, "the journal could not be written"});
}

std::optional<RunResult> EmbeddedEngine::wait(const RunId& run, std::optional<Duration> timeout) {
  std::unique_lock guard(mutex_);
  const auto is_over = [&] {
    const auto found = runs_.find(run);
    return found == runs_.end() || found->second.result.has_value();
  };
  if (timeout)
    changed_.wait_for(guard, *timeout, is_over);
  else
    changed_.wait(guard, is_over);
  const auto found = runs_.find(run);
  return found == runs_.end() ? std::nullopt : found->second.result;
}

std::optional<RunIndex> EmbeddedEngine::index_of(const RunId& run) {
  const std::lock_guard guard(mutex_);
  const auto found = runs_.find(run);
  if (found == runs_.end()) return std::nullopt;
  return found->second.index;
}

template <class Request>
Status EmbeddedEngine::steer(const RunId& run, std::vector<std::string> tasks, std::string reason) {
  const std::optional<RunIndex> index = index_of(run);
  if (!index) return fail(ErrorCode::not_found, "no such run in this process");
  Status answer = fail(ErrorCode::unavailable, "the scheduler did not answer");
  caf::scoped_actor self{*system_};
  self->request(scheduler_, caf::duration{std::chrono::seconds{30}},
                Request{*index, std::move(tasks), std::move(reason)})
      .receive([&](Status& status) { answer = std::move(status); }, [](const caf::error&) {});
  return answer;
}

Status EmbeddedEngine::cancel(const RunId& run, std::vector<std::string> tasks,
                              std::string reason) {
  return steer<actors::CancelRun>(run, std::move(tasks), std::move(reason));
}

Status EmbeddedEngine::pause(const RunId& run, std::vector<std::string> tasks, std::string reason) {
  return steer<actors::PauseRun>(run, std::move(tasks), std::move(reason));
}

Result<Payload> EmbeddedEngine::result(const RunId& run, NodeId node) {
  const std::optional<RunIndex> index = index_of(run);
  if (!index) return fail(ErrorCode::not_found, "no such run in this process");
  Result<Payload> answer = fail(ErrorCode::unavailable, "the scheduler did not answer");
  caf::scoped_actor self{*system_};
  self->request(scheduler_, caf::duration{std::chrono::seconds{30}}, actors::AskValue{*index, node})
      .receive([&](Result<Payload>& value) { answer = std::move(value); },
               [](const caf::error&) {});
  return answer;
}

Result<std::map<std::string, scheduler::InitialState>> EmbeddedEngine::states(const RunId& run) {
  using States = Result<std::map<std::string, scheduler::InitialState>>;
  const std::optional<RunIndex> index = index_of(run);
  if (!index) return fail(ErrorCode::not_found, "no such run in this process");
  States answer = fail(ErrorCode::unavailable, "the scheduler did not answer");
  caf::scoped_actor self{*system_};
  self->request(scheduler_, caf::duration{std::chrono::seconds{30}}, actors::AskStates{*index})
      .receive([&](States& states) { answer = std::move(states); }, [](const caf::error&) {});
  return answer;
}

bool EmbeddedEngine::is_responding(Duration limit) {
  if (!scheduler_) return true;  // nobody has asked it for anything yet
  bool answered = false;
  caf::scoped_actor self{*system_};
  // Of a run that there never is: the answer does not matter.
  self->request(scheduler_, caf::duration{limit}, actors::AskStates{RunIndex{UINT32_MAX}})
      .receive([&](const actors::StatesAnswer&) { answered = true; }, [](const caf::error&) {});
  return answered;
}

// By the one journal object that leads, so that whoever shares it, or takes over, has them as well.
Status EmbeddedEngine::amend(journal::Batch batch) {
  if (!has_journal_) return fail(ErrorCode::conflict, "no journal is kept here");
  return with_journal([&](journal::Journal& journal) -> Status {
    const std::vector<journal::Batch> batches{std::move(batch)};
    if (const auto written = journal.append(batches); !written)
      return tl::unexpected(written.error());
    return journal.flush();
  });
}

void EmbeddedEngine::forget(const RunId& run) {
  const std::lock_guard guard(mutex_);
  const auto found = runs_.find(run);
  if (found == runs_.end() || !found->second.result) return;
  caf::anon_send(scheduler_, actors::ForgetRun{found->second.index});
  by_index_.erase(found->second.index);
  runs_.erase(found);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options) {
  auto engine = std::make_unique<EmbeddedEngine>(std::move(options));
  if (const Status opened = engine->open(); !opened) return tl::unexpected(opened.error());
  return engine;
}

}  // namespace reprise
