#include "api/engine_run.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

#include "api/body.hpp"
#include "api/clock_state.hpp"
#include "api/convert.hpp"
#include "api/states.hpp"
#include "core/text.hpp"
#include "journal/data_folder.hpp"
#include "worker/function_pool.hpp"
#include "worker/function_server.hpp"
#include "worker/task_log.hpp"

namespace reprise::detail {
namespace {

using steady = std::chrono::steady_clock;

Durability to_internal(durability kind) {
  switch (kind) {
    case durability::none:
      return Durability::none;
    case durability::group:
      return Durability::group;
    case durability::sync:
      return Durability::sync;
  }
  return Durability::group;
}

}  // namespace

Result<std::shared_ptr<engine_state>> engine_state::open(const engine_options& options) {
  EngineOptions internal;
  internal.data = options.data;
  if (options.in_memory) {
    internal.data.clear();
  } else if (internal.data.empty()) {
    auto path = journal::DataFolder::default_path();
    if (!path) return tl::unexpected(std::move(path.error()));
    internal.data = std::move(*path);
  }
  internal.slots = options.slots;
  internal.durability = to_internal(options.durability);
  internal.grace = options.grace;
  internal.functions = std::make_shared<worker::FunctionTable>();
  worker::add_builtins(*internal.functions);
  if (options.clock) internal.clock = options.clock->state()->clock;
  if (!options.redis.empty()) {
    auto settings = redis::parse_url(options.redis);
    if (!settings) return tl::unexpected(settings.error());
    settings->password_file = options.redis_password_file;
    internal.redis = std::move(*settings);
  }
  auto space = KeySpace::parse(options.account, options.salt, {});
  if (!space) return tl::unexpected(space.error());
  internal.space = *std::move(space);
  internal.space.salts = options.task_salts;
  internal.space.also_read = options.also_read;
  if (worker::can_serve_functions()) {
    worker::FunctionPool::Options processes;
    processes.grace = options.grace;
    auto pool = worker::FunctionPool::open(std::move(processes));
    if (!pool) return tl::unexpected(pool.error());
    internal.pool = *std::move(pool);
  }
  if (options.warn) internal.warn = [warn = options.warn](const std::string& line) { warn(line); };
  const auto functions = internal.functions;
  const auto warn = internal.warn;
  auto engine = Engine::open(std::move(internal));
  if (!engine) return tl::unexpected(std::move(engine.error()));
  return std::make_shared<engine_state>(std::move(*engine), functions, warn);
}

engine_state::engine_state(std::unique_ptr<Engine> engine,
                           std::shared_ptr<worker::FunctionTable> functions,
                           std::function<void(std::string)> warn)
    : functions_(std::move(functions)), engine_(std::move(engine)), warn_(std::move(warn)) {
  engine_->listen([this](const journal::Batch& batch) { observe(batch); });
}

Status engine_state::register_functions(const flow_state& flow, FlowSpec& spec) {
  const std::lock_guard guard(registry_mutex_);
  for (const flow_state::function& function : flow.functions()) {
    const task_record& record = function.record;
    std::string name = record.name;
    std::string id;
    for (int number = 1;; ++number) {
      id = fmt::format("{}@{}", name, record.version);
      const auto known = bodies_.find(id);
      if (known == bodies_.end() ? !functions_->find(id) : known->second == record.identity) break;
      // Two dynamic tasks of one name share results, not bodies. Typed ones of one name are a
      // mistake.
      if (!record.dynamic)
        return fail(
            ErrorCode::conflict,
            fmt::format(
                "another task \"{}\" is known to this engine; give one another name or version",
                escape_for_terminal(id)));
      name = fmt::format("{}~{}", record.name, number + 1);
    }
    function.refer_as(id, spec);
    if (bodies_.contains(id)) continue;
    Signature signature;
    if (record.dynamic)
      signature.outputs.emplace_back("result", "any");
    else if (!function.places.empty())
      signature = spec.kinds[function.places.front().kind].signature;
    if (Status added =
            functions_->add({name, record.version, signature, to_worker_body(record.body)});
        !added)
      return added;
    bodies_.emplace(id, record.identity);
  }
  return {};
}

Result<std::shared_ptr<live_run>> engine_state::submit(const std::shared_ptr<engine_state>& self,
                                                       std::shared_ptr<flow_state> flow,
                                                       const submit_options& options) {
  self->forget_the_finished();
  Result<FlowSpec> built = flow->build();
  if (!built) return tl::unexpected(std::move(built.error()));
  RunOptions internal;
  Result<Parameters> bound = flow->bind(options.parameters);
  if (!bound) return tl::unexpected(std::move(bound.error()));
  internal.parameters = std::move(*bound);
  internal.cache = to_internal(options.cache);
  internal.always_new = options.always_new;
  for (const auto& [name, any] : options.context)
    internal.context.emplace(name, Payload::of(any.to_bytes()));
  internal.shape = to_internal_shape(options);
  if (!options.resume.empty()) {
    const Result<RunId> id = RunId::parse(options.resume);
    if (!id) return tl::unexpected(id.error());
    internal.resume = *id;
  }
  for (const TaskKind& kind : built->kinds)
    if (kind.isolated && std::holds_alternative<FunctionBody>(kind.body) &&
        !worker::can_serve_functions())
      return fail(ErrorCode::invalid_argument,
                  fmt::format("task \"{}\" is isolated, and this program cannot give it a process "
                              "of its own; call reprise::init(argc, argv, tasks...) first thing "
                              "in main, or leave out `isolated`",
                              escape_for_terminal(kind.cache_name)));
  if (Status registered = self->register_functions(*flow, *built); !registered)
    return tl::unexpected(std::move(registered.error()));
  auto spec = std::make_shared<const FlowSpec>(std::move(*built));

  {
    const std::lock_guard guard(self->mutex_);
    ++self->submitting_;
  }
  Result<RunStarted> started = self->engine_->submit(spec, std::move(internal));
  std::shared_ptr<run_watch> watch;
  {
    const std::lock_guard guard(self->mutex_);
    --self->submitting_;
    if (started) {
      std::shared_ptr<run_watch>& kept = self->watches_[started->id];
      if (!kept) kept = std::make_shared<run_watch>();
      watch = kept;
      if (!options.record_events) watch->keep_no_changes();
    }
  }
  if (!started) return tl::unexpected(std::move(started.error()));
  watch->set_nodes(spec->nodes.size(), started->expanded);
  self->serve_requests(*started);
  return std::make_shared<engine_run>(self, std::move(flow), std::move(spec), std::move(*started),
                                      std::move(watch));
}

void engine_state::observe(const journal::Batch& batch) {
  std::shared_ptr<run_watch> watch;
  {
    const std::lock_guard guard(mutex_);
    const auto found = watches_.find(batch.run);
    if (found != watches_.end())
      watch = found->second;
    else if (submitting_ > 0)
      watch = watches_[batch.run] = std::make_shared<run_watch>();
  }
  if (watch) watch->observe(batch);
}

/// Other processes may ask to cancel. That nobody can ask is no reason not to run.
void engine_state::serve_requests(const RunStarted& run) {
  auto server = cluster::serve_run(*engine_, run);
  if (!server) {
    if (warn_)
      warn_(fmt::format("`reprise cancel` cannot reach run {}: {}", run.id.short_text(),
                        server.error().message));
    return;
  }
  if (!*server) return;
  const std::lock_guard guard(controls_mutex_);
  controls_[run.id] = std::move(*server);
}

void engine_state::end_requests(const RunId& run) {
  std::unique_ptr<cluster::ControlServer> server;  // ends after the lock is free
  const std::lock_guard guard(controls_mutex_);
  if (const auto found = controls_.find(run); found != controls_.end()) {
    server = std::move(found->second);
    controls_.erase(found);
  }
}

void engine_state::forget(const RunId& run) {
  bool is_over = engine_->wait(run, Duration{0}).has_value();
  if (is_over) {
    end_requests(run);
    engine_->forget(run);
  }
  const std::lock_guard guard(mutex_);
  watches_.erase(run);
  if (!is_over) forgotten_.push_back(run);
}

void engine_state::forget_the_finished() {
  std::vector<RunId> all;
  {
    const std::lock_guard guard(mutex_);
    all.swap(forgotten_);
  }
  for (const RunId& run : all) forget(run);
}

// --- engine_run
// ---------------------------------------------------------------------------------------------------

engine_run::engine_run(std::shared_ptr<engine_state> engine, std::shared_ptr<flow_state> flow,
                       std::shared_ptr<const FlowSpec> spec, RunStarted started,
                       std::shared_ptr<run_watch> watch)
    : live_run(std::move(flow), std::move(spec), std::move(watch)),
      engine_(std::move(engine)),
      started_(std::move(started)) {}

engine_run::~engine_run() {
  engine_->forget(started_.id);
}

Result<Payload> engine_run::result_of(NodeId node) {
  return engine_->engine().result(started_.id, node);
}

std::string engine_run::log_tail(TaskId task, std::uint32_t attempt) {
  const auto log = worker::open_log(started_.folder, task, attempt, worker::Stream::err);
  return log ? log->tail(20).value_or("") : "";
}

std::optional<run_result> engine_run::wait(std::optional<std::chrono::nanoseconds> timeout) {
  const std::optional<RunResult> ended = engine_->engine().wait(started_.id, timeout);
  if (!ended) return std::nullopt;
  engine_->end_requests(started_.id);
  run_result result =
      result_from(ended->id, ended->state, ended->message, ended->summary, ended->outputs);
  result.carried = ended->carried;
  result.makespan = ended->makespan;
  return result;
}

std::map<std::string, given_state> engine_run::states() {
  const auto known = engine_->engine().states(started_.id);
  if (!known) throw usage_error(to_public(known.error()));
  std::map<std::string, given_state> all;
  for (const auto& [name, given] : *known) all.emplace(name, to_public(given));
  return all;
}

/// Changes are numbered as the watch keeps them.
class engine_run::told_events final : public event_source {
 public:
  told_events(std::shared_ptr<engine_run> run, std::uint64_t after)
      : run_(std::move(run)), after_(after) {}

  expected<std::optional<event>> next(std::optional<std::chrono::nanoseconds> timeout) override {
    const auto limit = limit_of(timeout);
    while (ready_.empty()) {
      const std::uint64_t heard = run_->watch().heard();
      // Asked before looking: what was told until then is seen below.
      const bool at_rest = run_->engine_->engine().wait(run_->started_.id, Duration{0}).has_value();
      for (const journal::TaskChange& change : run_->watch().changes(after_)) {
        ++after_;
        for (event& each : run_->events_of(change, after_)) ready_.push_back(std::move(each));
      }
      if (!ready_.empty()) break;
      if (at_rest) return std::nullopt;
      const auto now = steady::now();
      if (now >= limit)
        return tl::unexpected(error{error_code::unavailable, "nothing happened in that time"});
      // A run that rests without having ended tells no change.
      (void)run_->watch().wait_for_changes(heard,
                                           std::min(limit, now + std::chrono::milliseconds(50)));
    }
    event first = std::move(ready_.front());
    ready_.pop_front();
    return first;
  }

 private:
  std::shared_ptr<engine_run> run_;
  std::uint64_t after_;
  std::deque<event> ready_;
};

std::shared_ptr<event_source> engine_run::events(std::uint64_t after) {
  return std::make_shared<told_events>(std::static_pointer_cast<engine_run>(shared_from_this()),
                                       after);
}

expected<void> engine_run::pause(std::vector<std::string> tasks, std::string reason) {
  const Status done = engine_->engine().pause(started_.id, std::move(tasks), std::move(reason));
  if (!done) return tl::unexpected(to_public(done.error()));
  return {};
}

expected<void> engine_run::cancel(std::vector<std::string> tasks, std::string reason) {
  const Status done = engine_->engine().cancel(started_.id, std::move(tasks), std::move(reason));
  if (!done) return tl::unexpected(to_public(done.error()));
  return {};
}

}  // namespace reprise::detail
