#include "api/live_run.hpp"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "api/body.hpp"
#include "api/clock_state.hpp"
#include "api/convert.hpp"
#include "api/states.hpp"
#include "core/failure.hpp"
#include "core/text.hpp"
#include "journal/data_folder.hpp"
#include "worker/task_log.hpp"

namespace reprise::detail {
namespace {

using steady = std::chrono::steady_clock;

/// An ending that lasts: a looped task goes on.
bool is_over(TaskState state) {
  return is_finished(state) && state != TaskState::looped;
}

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

CacheMode to_internal(cache_mode mode) {
  switch (mode) {
    case cache_mode::normal:
      return CacheMode::normal;
    case cache_mode::refresh:
      return CacheMode::refresh;
    case cache_mode::read_only:
      return CacheMode::read_only;
    case cache_mode::write_only:
      return CacheMode::write_only;
    case cache_mode::off:
      return CacheMode::off;
    case cache_mode::only:
      return CacheMode::only;
  }
  return CacheMode::normal;
}

run_result result_from(const RunResult& ended) {
  run_result result;
  result.id = ended.id.text();
  result.state = to_public(ended.state);
  result.message = ended.message;
  result.tasks = ended.summary.tasks;
  result.executed = ended.summary.executed;
  result.cached = ended.summary.cached;
  result.failed = ended.summary.failed;
  result.skipped = ended.summary.skipped;
  result.cancelled = ended.summary.cancelled;
  result.carried = ended.carried;
  result.makespan = ended.makespan;
  for (const auto& [name, payload] : ended.outputs) {
    if (payload.is_none() || !payload.is_at_hand()) continue;
    if (expected<value> read = value::from_bytes(payload.view()))
      result.outputs.emplace(name, std::move(*read));
  }
  return result;
}

}  // namespace

// --- run_watch
// ----------------------------------------------------------------------------------------------------

void run_watch::set_nodes(std::size_t count,
                          const std::vector<std::pair<NodeId, std::uint32_t>>& expanded) {
  const std::lock_guard guard(mutex_);
  node_count_ = count;
  next_task_ = static_cast<std::uint32_t>(count);
  for (const auto& [node, width] : expanded) add_elements(TaskId{node.value}, width);
  for (const journal::TaskChange& change : early_) note(change);
  early_.clear();
}

void run_watch::observe(const journal::Batch& batch) {
  const std::lock_guard guard(mutex_);
  for (const journal::TaskChange& change : batch.tasks) {
    if (node_count_ == 0)
      early_.push_back(change);
    else
      note(change);
  }
  if (batch.change) run_ended_ = is_finished(batch.change->state);
  changed_.notify_all();
}

void run_watch::keep_no_changes() {
  const std::lock_guard guard(mutex_);
  keeps_changes_ = false;
  changes_.clear();
}

std::vector<journal::TaskChange> run_watch::changes() const {
  const std::lock_guard guard(mutex_);
  return changes_;
}

std::pair<NodeId, std::optional<std::size_t>> run_watch::place_of(TaskId task) const {
  const std::lock_guard guard(mutex_);
  for (const auto& [node, all] : elements_)
    if (task.value >= all.first.value && task.value < all.first.value + all.width)
      return {NodeId{node.value}, task.value - all.first.value};
  return {NodeId{task.value}, std::nullopt};
}

void run_watch::add_elements(TaskId node, std::uint32_t width) {
  elements_[node] = {TaskId{next_task_}, width, 0};
  next_task_ += width;
}

void run_watch::note(const journal::TaskChange& change) {
  if (keeps_changes_) changes_.push_back(change);
  const std::uint32_t task = change.task.value;
  if (ended_.size() <= task) ended_.resize(std::max<std::size_t>(task + 1, node_count_));
  if (change.state == TaskState::mapped && !elements_.contains(change.task)) {
    add_elements(change.task, change.detail ? change.detail->width : 0);
  }
  ended_[task] = detail::is_over(change.state);
  if (is_failed(change.state) || change.state == TaskState::cancelled ||
      change.state == TaskState::skipped) {
    failure& noted = failures_[change.task];
    noted.state = change.state;
    noted.attempt = change.run_count;
    noted.exit_code = change.detail ? change.detail->exit_code : 0;
    noted.message = change.detail ? change.detail->message : "";
  } else if (is_success(change.state)) {
    failures_.erase(change.task);
  }
}

bool run_watch::is_over(NodeId node) const {
  if (run_ended_) return true;
  const auto ended = [&](std::uint32_t task) { return task < ended_.size() && ended_[task]; };
  if (!ended(node.value)) return false;
  const auto found = elements_.find(TaskId{node.value});
  if (found == elements_.end()) return true;
  // Elements that ended stay so, but for one that is retried: then the engine says that it is not
  // finished.
  for (std::uint32_t& done = found->second.done; done < found->second.width; ++done)
    if (!ended(found->second.first.value + done)) return false;
  return true;
}

bool run_watch::wait_for_node(NodeId node, steady::time_point limit) {
  std::unique_lock guard(mutex_);
  return changed_.wait_until(guard, limit, [&] { return is_over(node); });
}

bool run_watch::run_ended() const {
  const std::lock_guard guard(mutex_);
  return run_ended_;
}

bool run_watch::was_skipped(NodeId node) const {
  const std::lock_guard guard(mutex_);
  const auto found = failures_.find(TaskId{node.value});
  return found != failures_.end() && found->second.state == TaskState::skipped;
}

std::optional<run_watch::failed_task> run_watch::failure_of(NodeId node) const {
  const std::lock_guard guard(mutex_);
  const auto make = [](TaskId task, std::optional<std::uint32_t> index, const failure& why) {
    return failed_task{task, index, why};
  };
  if (const auto own = failures_.find(TaskId{node.value}); own != failures_.end())
    return make(own->first, std::nullopt, own->second);
  const auto mapped = elements_.find(TaskId{node.value});
  if (mapped == elements_.end()) return std::nullopt;
  const elements& all = mapped->second;
  const auto first = failures_.lower_bound(all.first);
  if (first == failures_.end() || first->first.value >= all.first.value + all.width)
    return std::nullopt;
  return make(first->first, first->first.value - all.first.value, first->second);
}

// --- engine_state
// -------------------------------------------------------------------------------------------------

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
  return std::make_shared<live_run>(self, std::move(flow), std::move(spec), std::move(*started),
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

// --- live_run
// -----------------------------------------------------------------------------------------------------

live_run::live_run(std::shared_ptr<engine_state> engine, std::shared_ptr<flow_state> flow,
                   std::shared_ptr<const FlowSpec> spec, RunStarted started,
                   std::shared_ptr<run_watch> watch)
    : engine_(std::move(engine)),
      flow_(std::move(flow)),
      spec_(std::move(spec)),
      started_(std::move(started)),
      watch_(std::move(watch)) {}

live_run::~live_run() {
  engine_->forget(started_.id);
}

fetched live_run::fetch(const node_ref& node, std::optional<std::chrono::nanoseconds> timeout) {
  if (node.is_constant) return std::string(flow_->constant(node.index).view());
  const NodeId id{node.index};
  if (node.index >= spec_->nodes.size())
    return error{error_code::not_found, "the task was added to the flow after this run began"};
  const auto start = steady::now();
  // As far as the clock goes: adding "forever" would overflow.
  const auto limit = timeout && *timeout < std::chrono::hours(24 * 365) ? start + *timeout
                                                                        : steady::time_point::max();
  // The watch knows when to ask; that it may know less (of a continued run) or sooner than the
  // engine costs a second look.
  auto pause = std::chrono::milliseconds(1);
  for (;;) {
    const bool was_over = watch_->run_ended();
    Result<Payload> found = engine_->engine().result(started_.id, id);
    // A skipped task is a success without a result, which the engine passes on as nil, or as a
    // record of the signal.
    const bool is_absent =
        found && (found->is_none() || (found->is_at_hand() && watch_->was_skipped(id) &&
                                       (found->is_nil() || is_failure(found->view()))));
    if (found && !is_absent) {
      if (!found->is_at_hand())
        return error{error_code::unavailable,
                     "the result is kept elsewhere and cannot be read here"};
      return std::string(found->view());
    }
    if (found) return why_no_result(id, "it ended without a result");
    if (found.error().code != ErrorCode::unavailable || was_over)
      return why_no_result(id, found.error().message);
    const auto now = steady::now();
    if (now >= limit) return to_public(found.error());
    if (watch_->wait_for_node(id, std::min(limit, now + std::chrono::milliseconds(200)))) {
      std::this_thread::sleep_until(std::min(limit, steady::now() + pause));
      pause = std::min(pause * 2, std::chrono::milliseconds(50));
    }
  }
}

task_error::details live_run::why_no_result(NodeId node, const std::string& message) const {
  task_error::details details;
  details.task = spec_->nodes[node.value].name;
  const auto failed = watch_->failure_of(node);
  if (!failed) {
    details.state = "without a result";
    details.message = message;
    return details;
  }
  if (failed->index) details.task += fmt::format("[{}]", *failed->index);
  details.attempt = failed->why.attempt;
  details.state = reprise::name(failed->why.state);
  details.exit = failed->why.exit_code;
  details.message = failed->why.message;
  const auto log =
      worker::open_log(started_.folder, failed->task, failed->why.attempt, worker::Stream::err);
  if (log) details.log_tail = log->tail(20).value_or("");
  return details;
}

std::optional<run_result> live_run::wait(std::optional<std::chrono::nanoseconds> timeout) {
  const std::optional<RunResult> ended = engine_->engine().wait(started_.id, timeout);
  if (!ended) return std::nullopt;
  engine_->end_requests(started_.id);
  return result_from(*ended);
}

std::map<std::string, given_state> live_run::states() {
  const auto known = engine_->engine().states(started_.id);
  if (!known) throw usage_error(to_public(known.error()));
  std::map<std::string, given_state> all;
  for (const auto& [name, given] : *known) all.emplace(name, to_public(given));
  return all;
}

std::vector<event> live_run::events() {
  std::vector<event> all;
  for (const journal::TaskChange& change : watch_->changes()) {
    const auto [node, index] = watch_->place_of(change.task);
    for (const TaskState state : journal::states_on_the_way(change)) {
      event& told = all.emplace_back();
      told.task = spec_->nodes[node.value].name;
      told.index = index;
      told.state = to_public(state);
      told.message = change.detail ? change.detail->message : "";
      told.at = std::chrono::time_point_cast<std::chrono::system_clock::duration>(change.at);
    }
  }
  return all;
}

expected<void> live_run::pause(std::vector<std::string> tasks, std::string reason) {
  const Status done = engine_->engine().pause(started_.id, std::move(tasks), std::move(reason));
  if (!done) return tl::unexpected(to_public(done.error()));
  return {};
}

expected<void> live_run::cancel(std::vector<std::string> tasks, std::string reason) {
  const Status done = engine_->engine().cancel(started_.id, std::move(tasks), std::move(reason));
  if (!done) return tl::unexpected(to_public(done.error()));
  return {};
}

}  // namespace reprise::detail
