#include "actors/engine.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>
#include <caf/all.hpp>

#include "actors/cache_actor.hpp"
#include "actors/commit.hpp"
#include "actors/engine_data.hpp"
#include "actors/file_hasher.hpp"
#include "actors/journal_actor.hpp"
#include "actors/lent_thread.hpp"
#include "actors/messages.hpp"
#include "actors/nest_actor.hpp"
#include "actors/nested_flow.hpp"
#include "actors/past_runs.hpp"
#include "actors/run_options.hpp"
#include "actors/scheduler_actor.hpp"
#include "actors/worker_actor.hpp"
#include "cache/file_digests.hpp"
#include "cache/redis_wake_ups.hpp"
#include "core/text.hpp"
#include "flow/file_parameters.hpp"
#include "worker/function_message.hpp"
#include "worker/local_runner.hpp"
#include "worker/machine.hpp"
#include "worker/process_tree.hpp"

namespace reprise {

namespace {

using actors::RunEnd;
using scheduler::RunIndex;

constexpr std::chrono::milliseconds look_whether_it_waits{20};

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

/// Found in the environment of everything that a run's commands started.
std::string process_mark(const RunId& run) {
  return "REPRISE_RUN=" + run.text();
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
  Status amend(journal::Batch batch, std::optional<journal::Summary> summary) override;
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
  template <class Request>
  Status steer(const RunId& run, std::vector<std::string> tasks, std::string reason);
  Status begin_nested(const scheduler::Nest& nest);
  [[nodiscard]] RunOptions nested_options(const scheduler::Nest& nest) const;
  [[nodiscard]] Result<std::shared_ptr<const FlowSpec>> flow_of(const scheduler::Nest& nest);
  Result<RunStarted> begin(std::shared_ptr<const FlowSpec> flow, RunOptions options,
                           std::optional<Nested> nested);
  [[nodiscard]] Status take_files(const FlowSpec& flow, Parameters& parameters,
                                  const std::map<std::string, FileValue>& brought);
  [[nodiscard]] Status room_for(const FlowSpec& flow, const RunOptions& options);
  void start_actors();
  [[nodiscard]] caf::actor spawn_local_worker();
  [[nodiscard]] scheduler::WorkerOffer local_offer() const;
  void close();
  void ended(RunEnd end);
  void journal_lost(const Error& error);
  /// Runs `action` on the journal's thread and waits for it.
  template <class F>
  auto with_journal(F action) -> std::invoke_result_t<F, journal::Journal&>;
  /// The same for what people ask for, who wait for an answer and not for the journal.
  /// @error unavailable: it cannot be written now; the action was not begun
  template <class F>
  auto with_writable_journal(F action) -> std::invoke_result_t<F, journal::Journal&>;
  [[nodiscard]] actors::PastRuns past_runs(journal::Journal& journal) const {
    return {journal, data_->folder, *data_->blobs};
  }
  [[nodiscard]] std::optional<RunIndex> index_of(const RunId& run);

  EngineOptions options_;
  std::unique_ptr<actors::EngineData> data_;
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
  auto data = actors::EngineData::open(options_);
  if (!data) return tl::unexpected(data.error());
  data_ = std::move(*data);
  return {};
}

// Actors start with the first run, so that the listener can be set before.
void EmbeddedEngine::start_actors() {
  if (system_) return;
  actors::LentThread::use_in(config_);
  system_ = std::make_unique<caf::actor_system>(config_);
  if (data_->journal)
    journal_actor_ = actors::spawn_journal_actor(*system_, std::move(data_->journal));
  actors::CacheServiceOptions cache;
  cache.store = data_->store;
  cache.leases = data_->leases;
  cache.clock = options_.clock;
  cache.space = options_.space;
  cache.blobs = data_->blobs;
  cache.max_value_bytes = options_.max_value_bytes;
  cache.is_dead = [this](const std::string& owner) {
    const auto run = RunId::parse(owner);
    return run && data_->folder.was_abandoned(*run);
  };
  cache.hasher = std::make_unique<actors::RememberingHasher>(std::move(data_->digests));
  std::shared_ptr<cache::WakeUps> wake_ups;
  if (options_.redis) wake_ups = std::make_shared<cache::RedisWakeUps>(*options_.redis);
  cache_ = actors::spawn_cache_actor(*system_, std::move(cache), std::move(wake_ups));
  worker_ = options_.spawn_worker
                ? options_.spawn_worker(*system_, {data_->epoch, cache_, data_->blobs})
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
                 .blobs = data_->blobs,
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
                                   .blobs = data_->blobs,
                                   .grace = options_.grace,
                                   .secrets = options_.secrets,
                                   .warn = options_.warn,
                                   .pool = options_.pool,
                                   .enforcement = options_.enforcement});
  worker.blobs = data_->blobs;
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
    actors::LentThread::of(*system_)->end_loans();
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
  runs_.clear();  // lets go of the locks, before a temporary folder is removed
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
  if (data_->journal) return action(*data_->journal);
  using R = std::invoke_result_t<F, journal::Journal&>;
  std::promise<R> promise;
  caf::anon_send(journal_actor_, actors::WithJournal{[&](journal::Journal& journal) {
                   promise.set_value(action(journal));
                 }});
  return promise.get_future().get();
}

template <class F>
auto EmbeddedEngine::with_writable_journal(F action) -> std::invoke_result_t<F, journal::Journal&> {
  using R = std::invoke_result_t<F, journal::Journal&>;
  const auto checked = [&action](journal::Journal& journal) -> R {
    if (Status can = journal.check(); !can) return tl::unexpected(can.error());
    return action(journal);
  };
  if (data_->journal) return checked(*data_->journal);
  // Whoever comes first has the say: the journal's thread begins, or this one gives up.
  struct Turn {
    std::atomic<bool> is_taken{false};
    std::promise<R> done;
  };
  const auto turn = std::make_shared<Turn>();
  auto done = turn->done.get_future();
  caf::anon_send(journal_actor_, actors::WithJournal{[turn, &checked](journal::Journal& journal) {
                   if (!turn->is_taken.exchange(true)) turn->done.set_value(checked(journal));
                 }});
  while (options_.journal_waits &&
         done.wait_for(look_whether_it_waits) != std::future_status::ready)
    if (options_.journal_waits() && !turn->is_taken.exchange(true))
      return fail(ErrorCode::unavailable,
                  "the journal cannot be written now; nothing is accepted until it can");
  return done.get();
}

Result<RunStarted> EmbeddedEngine::submit(std::shared_ptr<const FlowSpec> flow,
                                          RunOptions options) {
  options.nested_in.reset();
  return begin(std::move(flow), std::move(options), std::nullopt);
}

// On the nest actor's thread.
Status EmbeddedEngine::begin_nested(const scheduler::Nest& nest) {
  if (data_->has_journal) {
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
  RunOptions options = nested_options(nest);
  if (nest.goes_on && data_->has_journal) {
    auto kept = with_journal(
        [&](journal::Journal& journal) { return past_runs(journal).parameters_of(nest.run); });
    if (!kept) return tl::unexpected(kept.error());
    if (*kept) options.parameters = **std::move(kept);
  }
  const auto begun = begin(*std::move(flow), std::move(options), nested);
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
  if (nest.goes_on && data_->has_journal) {
    auto kept = with_journal(
        [&](journal::Journal& journal) { return past_runs(journal).flow_of(nest.run); });
    if (!kept || *kept) return kept;
  }
  if (options_.known_functions)
    return actors::nested_flow(nest.attempt, *data_->blobs, options_.known_functions(),
                               FlowFileOptions::Missing::waits);
  actors::KnownSignatures functions{std::in_place};
  for (const worker::KnownFunction& each : worker::known_functions(*options_.functions))
    functions->emplace(each.id(), each.signature);
  return actors::nested_flow(nest.attempt, *data_->blobs, functions);
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
  // A run that goes on has the files that it began with.
  if (const Status taken =
          options.resume ? Status{} : take_files(*flow, *parameters, options.files);
      !taken)
    return tl::unexpected(taken.error());

  RunStarted started;
  started.id = nested ? nested->id : RunId::generate(now());
  std::optional<journal::RunLock> lock;
  std::vector<journal::Batch> past;
  std::vector<float> usual;
  if (data_->has_journal) {
    const std::string bytes = flow->encode();
    const Digest flow_digest = sha256(bytes);
    const Digest parameters_digest = digest_of(*parameters);
    const auto open = [&](journal::Journal& journal) -> Status {
      if (!options.always_new) {
        auto found =
            nested ? past_runs(journal).find_nested(started.id)
                   : past_runs(journal).find_interrupted(flow_digest, parameters_digest, options);
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
      auto own = data_->folder.own(started.id);
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
    };
    // What was begun already goes on once it can, and a nested run is a part of that.
    const bool was_begun = nested || options.as_it_was;
    const Status opened = was_begun ? with_journal(open) : with_writable_journal(open);
    if (!opened) return tl::unexpected(opened.error());
    const auto ask_past = [&](journal::Journal& journal) -> Result<std::vector<float>> {
      return past_runs(journal).usual_seconds(*flow);
    };
    if (order_matters(*flow, options_.slots))
      usual = with_writable_journal(ask_past).value_or(std::vector<float>());
  }
  started.expanded = actors::expanded_in(past, flow->nodes.size());
  // What the process before left running would work beside its own repetition.
  if (started.continued) {
    if (!options_.spawn_worker)
      worker::end_processes(process_mark(started.id), std::chrono::seconds{1});
    // Nor may what it was to compute, and will not any more, keep others waiting.
    if (data_->leases) static_cast<void>(data_->leases->release_all_of(started.id.text()));
  }
  auto run_folder = data_->folder.make_run_folder(started.id);
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

// A file is remembered by its times, so that a large one is read and copied once for many runs.
Status EmbeddedEngine::take_files(const FlowSpec& flow, Parameters& parameters,
                                  const std::map<std::string, FileValue>& brought) {
  std::unique_ptr<cache::FileDigests> digests;
  return put_files(flow, parameters, [&](const std::filesystem::path& path) -> Result<FileValue> {
    if (const auto found = brought.find(path.lexically_normal().string()); found != brought.end())
      return found->second;
    // Nobody may read a server's files by asking for them.
    if (options_.spawn_worker)
      return fail(ErrorCode::invalid_argument,
                  fmt::format("the file \"{}\" did not come with the flow, and a server takes no "
                              "other; make it an input or output file of a task",
                              escape_for_terminal(path.string())));
    const auto place = place_of(flow, path);
    if (!place) return tl::unexpected(place.error());
    if (!digests) {
      auto opened = cache::FileDigests::open(
          {.path = data_->keeps() ? data_->folder.cache_file() : std::filesystem::path()});
      if (!opened) opened = cache::FileDigests::open({});
      digests = *std::move(opened);
    }
    auto known = digests->digest(*place);
    if (!known || data_->blobs->contains(known->content)) return known;
    return data_->blobs->put_file(*place);
  });
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
    // Its end was not written, so that is how everybody else finds it. Within another run the task
    // that it is for has failed.
    result.state = entry.nested || !data_->has_journal ? RunState::failed : RunState::interrupted;
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
Status EmbeddedEngine::amend(journal::Batch batch, std::optional<journal::Summary> summary) {
  if (!data_->has_journal) return fail(ErrorCode::conflict, "no journal is kept here");
  return with_writable_journal([&](journal::Journal& journal) -> Status {
    const std::vector<journal::Batch> batches{std::move(batch)};
    if (const auto written = journal.append(batches); !written)
      return tl::unexpected(written.error());
    if (summary)
      if (Status set = journal.set_summary(batches.front().run, *summary); !set) return set;
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
