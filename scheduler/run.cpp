#include "scheduler/run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"

namespace reprise::scheduler {

namespace {

constexpr std::uint32_t no_group = UINT32_MAX;
constexpr std::uint32_t loop_limit = 10'000;

journal::TaskChange change_to(TaskId task, TaskState state, Time at) {
  journal::TaskChange change;
  change.task = task;
  change.state = state;
  change.at = at;
  return change;
}

/// A number in [0, 1) that depends on the run and attempt alone, so that a replay sees the same jitter.
double jitter(const RunId& run, TaskId task, std::uint32_t attempt) {
  std::uint64_t mixed = std::hash<RunId>{}(run) ^ (std::uint64_t{task.value} << 32 | attempt);
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;  // splitmix64's finaliser
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  mixed ^= mixed >> 31;
  return static_cast<double>(mixed >> 11) * 0x1.0p-53;
}

Duration retry_delay(const RetryPolicy& policy, const RunId& run, TaskId task,
                     std::uint32_t attempt) {
  if (!policy.exponential) return policy.delay;
  const int doublings = static_cast<int>(std::min<std::uint32_t>(attempt - 1, 40));
  const double ceiling = std::min(static_cast<double>(policy.max_delay.count()),
                                  static_cast<double>(policy.delay.count()) *
                                      static_cast<double>(std::uint64_t{1} << doublings));
  return Duration{static_cast<std::int64_t>(ceiling * jitter(run, task, attempt))};
}

}  // namespace

Run::Run(RunIndex index, std::shared_ptr<const RunContext> context)
    : index_(index), context_(std::move(context)), flow_(*context_->flow), graph_(flow_) {
  const std::size_t count = flow_.nodes.size();
  waiting_.assign(count, 0);
  node_done_.assign(count, false);
  group_index_.assign(count, no_group);
  state_.assign(count, TaskState::pending);
  flags_.assign(count, 0);
  run_count_.assign(count, 0);
  result_.resize(count);
}

// ---- structure

NodeId Run::node_of(TaskId task) const {
  return is_element(task) ? element_node_[task.value - flow_.nodes.size()] : NodeId{task.value};
}

std::int32_t Run::map_index(TaskId task) const {
  if (!is_element(task)) return -1;
  return static_cast<std::int32_t>(task.value - group_of(node_of(task))->first.value);
}

const Run::Group* Run::group_of(NodeId node) const {
  const std::uint32_t index = group_index_[node.value];
  return index == no_group ? nullptr : &groups_[index];
}

Run::Group* Run::group_of(NodeId node) {
  return const_cast<Group*>(std::as_const(*this).group_of(node));
}

bool Run::edge_is_elementwise(NodeId from, const Input& input) const {
  return input.mapped && !input.flattened && graph_.is_mapped(from) &&
         input.source != Input::Source::expression;
}

Run::Group& Run::add_group(NodeId node, std::uint32_t width) {
  group_index_[node.value] = static_cast<std::uint32_t>(groups_.size());
  Group& group = groups_.emplace_back();
  group.node = node;
  group.first = TaskId{static_cast<std::uint32_t>(state_.size())};
  group.width = width;
  const std::size_t size = state_.size() + width;
  state_.resize(size, TaskState::pending);
  flags_.resize(size, 0);
  run_count_.resize(size, 0);
  result_.resize(size);
  element_node_.resize(element_node_.size() + width, node);
  element_waiting_.resize(element_waiting_.size() + width, 0);
  state_[node.value] = TaskState::mapped;
  return group;
}

// ---- beginning and going on

void Run::start(const std::vector<journal::Batch>& past, Time now, ReadyQueue& ready, Wants& wants) {
  for (const journal::Batch& batch : past) {
    for (const journal::TaskChange& change : batch.tasks) {
      REPRISE_ASSERT(change.task.value < state_.size(), change.task.value, state_.size());
      const TaskId task = change.task;
      if (change.state == TaskState::mapped) {
        Group& group = add_group(NodeId{task.value}, change.detail ? change.detail->width : 0);
        if (change.detail) group.labels = change.detail->labels;
        continue;
      }
      if (change.state == TaskState::looped) {
        // Between two iterations: nothing is final.
        loops_[task] = {change.loop_count + 1, change.result, change.run_count};
        state_[task.value] = TaskState::pending;
        executed_before_ += change.executed;
        run_count_[task.value] = static_cast<std::uint16_t>(change.run_count);
        continue;
      }
      state_[task.value] = change.state;
      if (is_failed(change.state) && change.detail)
        failures_.insert_or_assign(task, change.detail->message);
      executed_before_ += change.executed;
      hits_before_ += change.cache == journal::CacheOutcome::hit;
      carried_ += is_finished(change.state);
      if (change.run_count > 0)
        run_count_[task.value] = static_cast<std::uint16_t>(change.run_count);
      if (is_finished(change.state)) result_[task.value] = change.result;
      if ((change.state == TaskState::retrying || change.state == TaskState::paused) && change.detail &&
          change.detail->start_time)
        timers_.push({*change.detail->start_time, task});
    }
    if (batch.change && batch.change->state == RunState::cancelling) {
      cancelled_ = true;
      cancel_reason_ = batch.change->message;
    }
  }
  // A timer is stale when its task went on after it was set.
  decltype(timers_) live;
  for (; !timers_.empty(); timers_.pop())
    if (is_scheduled(state_[timers_.top().task.value])) live.push(timers_.top());
  timers_ = std::move(live);

  restore_reductions();
  Step step{ready, wants, now};
  for (std::size_t t = 0; t < state_.size(); ++t) {
    // What ran when the last process ended was lost with it: it runs again.
    if (is_running(state_[t]) || state_[t] == TaskState::submitted || state_[t] == TaskState::ready ||
        state_[t] == TaskState::queued)
      state_[t] = TaskState::pending;
    if (cancelled_ && !is_finished(state_[t])) {
      state_[t] = TaskState::cancelled;
      journal::TaskChange change =
          change_to(TaskId{static_cast<std::uint32_t>(t)}, TaskState::cancelled, now);
      change.detail.emplace().message = cancel_reason_;
      wants.batch.tasks.push_back(std::move(change));
    }
  }
  recount();
  // Chosen before anything starts: what starts makes more tasks ready on its own.
  std::vector<TaskId> tasks;
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    if (node_done_[n]) continue;
    if (const Group* group = group_of(NodeId{n})) {
      for (std::uint32_t i = 0; i < group->width; ++i) {
        const TaskId task{group->first.value + i};
        if (state_[task.value] == TaskState::pending &&
            element_waiting_[task.value - flow_.nodes.size()] == 0)
          tasks.push_back(task);
      }
    } else if (waiting_[n] == 0 && state_[n] == TaskState::pending) {
      tasks.push_back(TaskId{n});
    }
  }
  for (TaskId task : tasks) {
    if (is_element(task)) task_ready(task, step);
    else node_ready(NodeId{task.value}, step);
  }
  settle(step);
}

// Derives from the tasks' states what is done and who waits for how many.
void Run::recount() {
  open_nodes_ = 0;
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    Group* group = group_of(NodeId{n});
    if (group != nullptr) {
      for (std::uint32_t i = 0; i < group->width; ++i) {
        const TaskState state = state_[group->first.value + i];
        group->finished += is_finished(state);
        group->successful += is_success(state);
        group->failed += is_failed(state);
        group->skipped += state == TaskState::skipped;
      }
      node_done_[n] = group->finished == group->width;
      if (group->fanin > 0) count_reduction_waits(*group);
    } else {
      node_done_[n] = is_finished(state_[n]);
    }
    open_nodes_ += !node_done_[n];
  }
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    if (node_done_[n]) continue;
    Group* group = group_of(NodeId{n});
    FlowGraph::for_each_upstream(flow_, NodeId{n}, [&](NodeId from, const Input& input) {
      const bool elementwise = edge_is_elementwise(from, input);
      const Group* source = group_of(from);
      if (!(node_done_[from.value] || (elementwise && source != nullptr))) ++waiting_[n];
      if (group == nullptr || !elementwise || source == nullptr) return;
      for (std::uint32_t i = 0; i < std::min(group->width, source->width); ++i)
        if (!is_finished(state_[source->first.value + i]))
          ++element_waiting_[group->first.value + i - flow_.nodes.size()];
    });
  }
}

void Run::settle(Step& step) {
  while (!work_.empty()) {
    const TaskId task = work_.back();
    work_.pop_back();
    propagate(task, step);
  }
  conclude(step);
}

void Run::conclude(Step& step) {
  if (ended_ || active_ > 0) return;
  if (open_nodes_ > 0 && !timers_.empty()) return;
  Ended ended{index_, RunState::success, {}};
  // Open nodes without activity or timer: something waits for a person.
  ended.state = open_nodes_ > 0 ? RunState::paused : final_state(ended.message);
  step.wants.batch.change = journal::RunChange{ended.state, step.now, ended.message};
  ended_ = std::move(ended);
}

RunState Run::final_state(std::string& message) const {
  if (cancelled_) {
    message = cancel_reason_;
    return RunState::cancelled;
  }
  const auto failed_in = [&](NodeId node) -> std::uint32_t {
    if (const Group* group = group_of(node)) return group->failed;
    return is_failed(state_[node.value]) ? 1 : 0;
  };
  std::uint32_t failed = 0;
  if (flow_.reference_nodes.empty()) {
    for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n)
      if (graph_.is_terminal(NodeId{n})) failed += failed_in(NodeId{n});
  } else {
    for (NodeId node : flow_.reference_nodes) failed += failed_in(node);
  }
  if (failed == 0) return RunState::success;
  message = fmt::format("{} of the tasks that decide the run failed", failed);
  return RunState::failed;
}

// ---- a task's way

void Run::enter_active(TaskId task, std::uint8_t flag) {
  if ((flags_[task.value] & active) == 0) ++active_;
  flags_[task.value] = static_cast<std::uint8_t>(flags_[task.value] | flag);
}

void Run::leave_active(TaskId task, std::uint8_t flag) {
  if ((flags_[task.value] & flag) == 0) return;
  flags_[task.value] = static_cast<std::uint8_t>(flags_[task.value] & ~flag);
  if ((flags_[task.value] & active) == 0) --active_;
}

void Run::node_ready(NodeId node, Step& step) {
  const TaskId task{node.value};
  if (is_finished(state_[task.value])) return;
  if (cancelled_) {
    finish(task, change_to(task, TaskState::cancelled, step.now), step);
  } else if (graph_.is_mapped(node)) {
    expand(node, step);
  } else if (reduced_input(node)) {
    reduce(node, step);
  } else {
    task_ready(task, step);
  }
}

bool Run::may_run(TaskId task, Step& step) {
  const NodeId node = node_of(task);
  const TaskKind& kind = flow_.kind_of(node);
  const auto skip = [&](std::string why) {
    journal::TaskChange change = change_to(task, TaskState::skipped, step.now);
    if (!why.empty()) change.detail.emplace().message = std::move(why);
    finish(task, std::move(change), step);
    return false;
  };
  if (kind.skip_on_upstream_skip && has_skipped_upstream(node, map_index(task)))
    return skip("an upstream was skipped");
  if (kind.trigger.kind != Trigger::Kind::all_successful || flow_.nodes[node.value].input_count > 0) {
    switch (judge(kind.trigger, upstream_counts(task), false)) {
      case Verdict::run: break;
      case Verdict::trigger_failed:
        fail_task(task, TaskState::trigger_failed, FailureClass::none,
                  "its trigger did not allow it to run: an upstream did not end as required", step);
        return false;
      case Verdict::skip: return skip({});
      case Verdict::pause:
        state_[task.value] = TaskState::paused;
        step.wants.batch.tasks.push_back(change_to(task, TaskState::paused, step.now));
        return false;
    }
  }
  if (kind.when.empty()) return true;
  const Result<bool> holds = when_holds(task);
  if (holds && *holds) return true;
  if (holds) return skip(fmt::format("when: {} is false", kind.when));
  fail_task(task, TaskState::failed, FailureClass::task, holds.error().message, step);
  return false;
}

void Run::task_ready(TaskId task, Step& step) {
  if (is_finished(state_[task.value]) || (flags_[task.value] & active) != 0) return;
  if (!may_run(task, step)) return;
  if (flow_.kind_of(node_of(task)).cache.enabled && context_->cache != CacheMode::off) {
    Result<Attempt> attempt = make_attempt(task);
    if (!attempt)
      return fail_task(task, TaskState::failed, FailureClass::task, attempt.error().message, step);
    enter_active(task, looking_up);
    step.wants.look_ups.push_back(std::move(*attempt));
    return;
  }
  want_slot(task, step);
}

void Run::want_slot(TaskId task, Step& step) {
  const NodeId node = node_of(task);
  if (Group* group = is_element(task) ? group_of(node) : nullptr) {
    const std::uint32_t limit = flow_.kind_of(node).max_parallel;
    if (limit > 0 && group->in_flight >= limit) {
      enter_active(task, held);
      group->held.push_back(task);
      return;
    }
    ++group->in_flight;
  }
  enter_active(task, queued);
  step.ready.push(graph_.rank(node), ReadyTask{index_, task});
}

void Run::release_held(Group& group, Step& step) {
  --group.in_flight;
  const std::uint32_t limit = flow_.kind_of(group.node).max_parallel;
  while (!group.held.empty() && (limit == 0 || group.in_flight < limit)) {
    const TaskId next = group.held.front();
    group.held.erase(group.held.begin());
    const bool alive = (flags_[next.value] & held) != 0;
    leave_active(next, held);
    if (alive && !is_finished(state_[next.value])) want_slot(next, step);
  }
}

void Run::looked_up(Answer answer, Time now, ReadyQueue& ready, Wants& wants) {
  const TaskId task = answer.attempt.task;
  // Cancelled meanwhile, or the answer to an earlier attempt.
  if (task.value >= state_.size() || (flags_[task.value] & looking_up) == 0) return;
  if (answer.attempt.number != run_count_[task.value] + 1U) return;
  Step step{ready, wants, now};
  leave_active(task, looking_up);
  if (answer.value) {
    journal::TaskChange change = change_to(task, TaskState::cached, now);
    change.cache = journal::CacheOutcome::hit;
    change.result = std::move(*answer.value);
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.key = answer.key;
    detail.origin = answer.origin;
    finish(task, std::move(change), step);
  } else if (context_->cache == CacheMode::only) {
    fail_task(task, TaskState::failed, FailureClass::cannot_start,
         "not in the cache, and this run may use nothing else (--cache only)", step);
  } else {
    if (answer.key) keys_.insert_or_assign(task, *answer.key);
    if (!answer.reason.empty()) bypass_.insert_or_assign(task, std::move(answer.reason));
    want_slot(task, step);
  }
  settle(step);
}

std::optional<Attempt> Run::dispatch(TaskId task, Time now, ReadyQueue& ready, Wants& wants) {
  if ((flags_[task.value] & queued) == 0) return std::nullopt;
  Step step{ready, wants, now};
  Result<Attempt> attempt = make_attempt(task);
  if (!attempt) {
    leave_active(task, queued);
    if (Group* group = is_element(task) ? group_of(node_of(task)) : nullptr)
      release_held(*group, step);
    fail_task(task, TaskState::failed, FailureClass::task, attempt.error().message, step);
    settle(step);
    return std::nullopt;
  }
  enter_active(task, dispatched);
  leave_active(task, queued);
  ++run_count_[task.value];
  state_[task.value] = TaskState::submitted;
  return std::move(*attempt);
}

void Run::began(const Began::Start& start, Wants& wants) {
  const TaskId task = start.attempt.task;
  if (task.value >= state_.size() || start.attempt.number != run_count_[task.value]) return;
  if ((flags_[task.value] & dispatched) == 0 || (flags_[task.value] & announced) != 0) return;
  flags_[task.value] = static_cast<std::uint8_t>(flags_[task.value] | announced);
  if ((flags_[task.value] & stopping) == 0) state_[task.value] = TaskState::running;
  journal::TaskChange change = change_to(task, TaskState::running, start.at);
  change.run_count = run_count_[task.value];
  wants.batch.tasks.push_back(std::move(change));
}

void Run::reported(Report report, Time now, ReadyQueue& ready, Wants& wants) {
  const TaskId task = report.attempt.task;
  // Late news about an attempt that another one has replaced changes nothing.
  if (task.value >= state_.size() || report.attempt.number != run_count_[task.value] ||
      (flags_[task.value] & dispatched) == 0)
    return;
  Step step{ready, wants, now};
  Outcome& outcome = report.outcome;
  if (outcome.executed && (flags_[task.value] & announced) == 0) {
    journal::TaskChange running = change_to(task, TaskState::running, outcome.started);
    running.run_count = run_count_[task.value];
    wants.batch.tasks.push_back(std::move(running));
  }
  const bool asked_to_stop = (flags_[task.value] & stopping) != 0;
  leave_active(task, dispatched);
  flags_[task.value] = 0;
  if (Group* group = is_element(task) ? group_of(node_of(task)) : nullptr) release_held(*group, step);

  const bool cancelled = asked_to_stop || outcome.state == TaskState::cancelled;
  if (!cancelled && (repeat(task, report, step) || (is_failed(outcome.state) && retry(task, report, step))))
    return settle(step);

  journal::TaskChange change = change_to(task, outcome.state, outcome.started + outcome.duration);
  // A body that finished although it was asked to stop still did not count: the run had been cancelled.
  if (cancelled) change.state = TaskState::cancelled;
  if (change.state == TaskState::success && outcome.stored) change.state = TaskState::cached;
  change.executed = outcome.executed;
  change.run_count = run_count_[task.value];
  change.duration = outcome.duration;
  if (is_success(change.state)) change.result = std::move(outcome.value);
  const auto key = keys_.find(task);
  const auto bypass = bypass_.find(task);
  if (outcome.stored) change.cache = journal::CacheOutcome::stored;
  else if (bypass != bypass_.end()) change.cache = journal::CacheOutcome::bypass;
  else if (key != keys_.end()) change.cache = journal::CacheOutcome::miss;
  if (key != keys_.end() || bypass != bypass_.end() || !outcome.message.empty() ||
      outcome.exit_code != 0 || outcome.signal != 0 || outcome.failure != FailureClass::none ||
      outcome.uncacheable) {
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.message = cancelled ? cancel_reason_ : std::move(outcome.message);
    if (detail.message.empty() && outcome.uncacheable)
      detail.message = "not cached: " + *outcome.uncacheable;
    if (detail.message.empty() && bypass != bypass_.end()) detail.message = bypass->second;
    detail.exit_code = outcome.exit_code;
    detail.signal = outcome.signal;
    detail.failure = outcome.failure;
    if (key != keys_.end()) detail.key = key->second;
  }
  if (key != keys_.end()) keys_.erase(key);
  if (bypass != bypass_.end()) bypass_.erase(bypass);
  finish(task, std::move(change), step);
  settle(step);
}

std::uint32_t Run::tries(TaskId task) const {
  const auto loop = loops_.find(task);
  return run_count_[task.value] - (loop == loops_.end() ? 0 : loop->second.attempts);
}

// The change that ends an attempt without ending the task.
journal::TaskChange Run::ending(TaskId task, TaskState state, const Outcome& outcome, Time at) const {
  journal::TaskChange change = change_to(task, state, at);
  change.executed = outcome.executed;
  change.run_count = run_count_[task.value];
  change.duration = outcome.duration;
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.message = outcome.message;
  detail.exit_code = outcome.exit_code;
  detail.signal = outcome.signal;
  detail.failure = outcome.failure;
  return change;
}

bool Run::retry(TaskId task, const Report& report, Step& step) {
  const RetryPolicy& policy = flow_.kind_of(node_of(task)).retry;
  const Outcome& outcome = report.outcome;
  if (cancelled_ || tries(task) > policy.max) return false;
  if (std::find(policy.on.begin(), policy.on.end(), outcome.failure) == policy.on.end()) return false;
  const Time at = step.now + retry_delay(policy, context_->run, task, tries(task));
  state_[task.value] = TaskState::retrying;
  timers_.push({at, task});
  journal::TaskChange change = ending(task, TaskState::retrying, outcome, step.now);
  change.detail->start_time = at;
  executed_ += change.executed;
  step.wants.batch.tasks.push_back(std::move(change));
  return true;
}

// What a body may ask for instead of ending: run me again then, wait for a person, next iteration.
bool Run::repeat(TaskId task, Report& report, Step& step) {
  Outcome& outcome = report.outcome;
  switch (outcome.state) {
    case TaskState::retrying:
    case TaskState::paused: {
      journal::TaskChange change = ending(task, outcome.state, outcome, step.now);
      state_[task.value] = outcome.state;
      if (outcome.state == TaskState::retrying && !outcome.start_time) outcome.start_time = step.now;
      change.detail->start_time = outcome.start_time;
      if (outcome.start_time) timers_.push({*outcome.start_time, task});
      executed_ += change.executed;
      step.wants.batch.tasks.push_back(std::move(change));
      return true;
    }
    case TaskState::looped: {
      Loop& loop = loops_[task];
      if (loop.count >= loop_limit) {
        outcome.state = TaskState::failed;
        outcome.failure = FailureClass::validation;
        outcome.message = fmt::format("looped {} times without coming to an end", loop_limit);
        return false;
      }
      journal::TaskChange change = ending(task, TaskState::looped, outcome, step.now);
      change.loop_count = loop.count;
      change.result = outcome.value;
      ++loop.count;
      loop.result = std::move(outcome.value);
      loop.attempts = run_count_[task.value];
      executed_ += change.executed;
      step.wants.batch.tasks.push_back(std::move(change));
      state_[task.value] = TaskState::pending;
      want_slot(task, step);
      return true;
    }
    default:
      return false;
  }
}

void Run::tick(Time now, ReadyQueue& ready, Wants& wants) {
  Step step{ready, wants, now};
  while (!timers_.empty() && timers_.top().at <= now) {
    const TaskId task = timers_.top().task;
    timers_.pop();
    if (state_[task.value] != TaskState::retrying && state_[task.value] != TaskState::paused) continue;
    if (state_[task.value] == TaskState::paused) resumed_[task] = true;
    state_[task.value] = TaskState::pending;
    want_slot(task, step);
  }
  settle(step);
}

void Run::fail_task(TaskId task, TaskState state, FailureClass failure, std::string message, Step& step) {
  journal::TaskChange change = change_to(task, state, step.now);
  change.run_count = run_count_[task.value];
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.message = std::move(message);
  detail.failure = failure;
  finish(task, std::move(change), step);
}

void Run::finish(TaskId task, journal::TaskChange change, Step& step) {
  REPRISE_ASSERT(is_finished(change.state), task.value, static_cast<int>(change.state));
  REPRISE_ASSERT(!is_finished(state_[task.value]), task.value, static_cast<int>(state_[task.value]));
  state_[task.value] = change.state;
  result_[task.value] = change.result;
  executed_ += change.executed;
  hits_ += change.cache == journal::CacheOutcome::hit;
  if (is_failed(change.state) && change.detail) failures_.insert_or_assign(task, change.detail->message);
  step.wants.batch.tasks.push_back(std::move(change));
  work_.push_back(task);
}

void Run::propagate(TaskId task, Step& step) {
  const NodeId node = node_of(task);
  if (!is_element(task)) return node_done(node, step);
  Group& group = *group_of(node);
  const TaskState state = state_[task.value];
  ++group.finished;
  group.successful += is_success(state);
  group.failed += is_failed(state);
  group.skipped += state == TaskState::skipped;
  const std::uint32_t index = task.value - group.first.value;
  const bool all = group.finished == group.width;  // `group` may move below
  if (group.fanin > 0 && !all) {
    std::size_t level = 0;
    while (index >= group.levels[level + 1]) ++level;
    const std::uint32_t above = group.levels[level + 1] + (index - group.levels[level]) / group.fanin;
    const TaskId element{group.first.value + above};
    if (above < group.width && --element_waiting_[element.value - flow_.nodes.size()] == 0) {
      if (cancelled_ || is_finished(state_[element.value])) return;
      // What a failed member leaves cannot be combined.
      if (group.failed > 0 || group.finished > group.successful)
        return fail_task(element, TaskState::trigger_failed, FailureClass::none,
                         "a member of the reduction failed", step);
      task_ready(element, step);
    }
    return;
  }
  for (const Edge& edge : graph_.downstream(node)) {
    if (!edge.elementwise) continue;
    const Group* below = group_of(edge.to);
    if (below == nullptr || index >= below->width) continue;
    const TaskId element{below->first.value + index};
    std::uint32_t& waiting = element_waiting_[element.value - flow_.nodes.size()];
    REPRISE_ASSERT(waiting > 0, element.value);
    if (--waiting == 0) task_ready(element, step);
  }
  if (all) node_done(node, step);
}

void Run::node_done(NodeId node, Step& step) {
  REPRISE_ASSERT(!node_done_[node.value], node.value);
  node_done_[node.value] = true;
  --open_nodes_;
  const bool expanded = group_of(node) != nullptr;
  for (const Edge& edge : graph_.downstream(node)) {
    if (edge.elementwise && expanded) continue;  // satisfied when it expanded
    REPRISE_ASSERT(waiting_[edge.to.value] > 0, edge.to.value);
    if (--waiting_[edge.to.value] == 0) node_ready(edge.to, step);
  }
}

// ---- mapping

void Run::expand(NodeId node, Step& step) {
  const TaskId parent{node.value};
  const TaskKind& kind = flow_.kind_of(node);
  if (kind.skip_on_upstream_skip && has_skipped_upstream(node, -1)) {
    journal::TaskChange change = change_to(parent, TaskState::skipped, step.now);
    change.detail.emplace().message = "an upstream was skipped";
    return finish(parent, std::move(change), step);
  }
  const auto inputs = flow_.inputs_of(node);
  std::optional<std::size_t> width;
  bool any_source = false;
  std::map<std::uint32_t, Group::Elements> elements;
  for (std::uint32_t position = 0; position < inputs.size(); ++position) {
    const Input& input = inputs[position];
    if (!input.mapped) continue;
    std::size_t length = 0;
    const bool upstream = input.source == Input::Source::upstream;
    if (upstream && !input.flattened && group_of(NodeId{input.index}) != nullptr) {
      length = group_of(NodeId{input.index})->width;
    } else if (upstream && group_of(NodeId{input.index}) == nullptr &&
               !is_success(state_[input.index])) {
      continue;  // a failed upstream: the elements' triggers will see it
    } else {
      Group::Elements split;
      if (const Status done = split_elements(node, position, split); !done)
        return fail_task(parent, TaskState::failed, FailureClass::task, done.error().message, step);
      length = split.parts.size();
      elements.emplace(position, std::move(split));
    }
    any_source = true;
    width = std::min(width.value_or(length), length);
  }
  if (!any_source)
    return fail_task(parent, TaskState::failed, FailureClass::task,
                "no upstream states can be mapped over", step);

  const auto count = static_cast<std::uint32_t>(*width);
  {
    Group& group = add_group(node, count);
    group.elements = std::move(elements);
    journal::TaskChange change = change_to(parent, TaskState::mapped, step.now);
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.width = count;
    group.labels = labels(node, group);
    detail.labels = group.labels;
    step.wants.batch.tasks.push_back(std::move(change));
  }
  const TaskId first = group_of(node)->first;
  const std::size_t nodes = flow_.nodes.size();
  FlowGraph::for_each_upstream(flow_, node, [&](NodeId from, const Input& input) {
    const Group* source = group_of(from);
    if (!edge_is_elementwise(from, input) || source == nullptr) return;
    for (std::uint32_t i = 0; i < count; ++i)
      if (!is_finished(state_[source->first.value + i])) ++element_waiting_[first.value + i - nodes];
  });
  // An upstream element that is finished but still in work_ will tell its downstreams once more: count it as open.
  for (TaskId pending : work_) {
    if (!is_element(pending)) continue;
    const NodeId from = node_of(pending);
    const std::uint32_t index = pending.value - group_of(from)->first.value;
    if (index >= count) continue;
    for (const Edge& edge : graph_.downstream(from))
      if (edge.elementwise && edge.to == node) ++element_waiting_[first.value + index - nodes];
  }
  for (const Edge& edge : graph_.downstream(node))
    if (edge.elementwise && --waiting_[edge.to.value] == 0) node_ready(edge.to, step);
  for (std::uint32_t i = 0; i < count; ++i)
    if (element_waiting_[first.value + i - nodes] == 0) task_ready(TaskId{first.value + i}, step);
  if (count == 0) node_done(node, step);
}

// ---- reducing

std::optional<std::uint32_t> Run::reduced_input(NodeId node) const {
  if (flow_.kind_of(node).reduce_fanin == 0) return std::nullopt;
  const auto inputs = flow_.inputs_of(node);
  for (std::uint32_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].source == Input::Source::upstream) return i;
  return std::nullopt;
}

std::uint32_t Run::fanin_of(NodeId node) const {
  return std::max<std::uint32_t>(2, flow_.kind_of(node).reduce_fanin);
}

std::vector<std::uint32_t> Run::reduction_levels(std::size_t members, std::uint32_t fanin) {
  std::vector<std::uint32_t> levels{0};
  for (std::size_t count = members; count > 1;) {
    count = (count + fanin - 1) / fanin;
    levels.push_back(levels.back() + static_cast<std::uint32_t>(count));
  }
  return levels;
}

// Elements above the first level wait for the members they combine.
void Run::count_reduction_waits(const Group& group) {
  for (std::size_t level = 1; level + 1 < group.levels.size(); ++level) {
    for (std::uint32_t i = group.levels[level]; i < group.levels[level + 1]; ++i) {
      const std::uint32_t first = group.levels[level - 1] + (i - group.levels[level]) * group.fanin;
      std::uint32_t& waiting = element_waiting_[group.first.value + i - flow_.nodes.size()];
      for (std::uint32_t m = first; m < std::min(first + group.fanin, group.levels[level]); ++m)
        waiting += !is_finished(state_[group.first.value + m]);
    }
  }
}

// The journal tells a reduction's width; its shape follows from the members, which are results of earlier changes.
void Run::restore_reductions() {
  for (Group& group : groups_) {
    const std::optional<std::uint32_t> position =
        graph_.is_mapped(group.node) ? std::nullopt : reduced_input(group.node);
    if (!position) continue;
    group.fanin = fanin_of(group.node);
    group.reduced_input = *position;
    Group::Elements members;
    const Status split = split_elements(group.node, *position, members);
    group.levels = reduction_levels(split ? members.parts.size() : 0, group.fanin);
    REPRISE_ASSERT(group.levels.back() == group.width, group.levels.back(), group.width);
    group.elements.emplace(*position, std::move(members));
  }
}

void Run::reduce(NodeId node, Step& step) {
  const TaskId parent{node.value};
  if (!may_run(parent, step)) return;
  const std::uint32_t fanin = fanin_of(node);
  const std::uint32_t position = *reduced_input(node);
  Group::Elements members;
  if (const Status split = split_elements(node, position, members); !split)
    return fail_task(parent, TaskState::failed, FailureClass::task, split.error().message, step);
  if (members.parts.size() <= fanin) return task_ready(parent, step);

  std::vector<std::uint32_t> levels = reduction_levels(members.parts.size(), fanin);
  Group& group = add_group(node, levels.back());
  group.fanin = fanin;
  group.reduced_input = position;
  group.levels = std::move(levels);
  group.elements.emplace(position, std::move(members));
  journal::TaskChange change = change_to(parent, TaskState::mapped, step.now);
  change.detail.emplace().width = group.width;
  step.wants.batch.tasks.push_back(std::move(change));
  count_reduction_waits(group);
  const TaskId first = group.first;
  const std::uint32_t leaves = group.levels[1];
  for (std::uint32_t i = 0; i < leaves; ++i) task_ready(TaskId{first.value + i}, step);
}

// ---- questions about upstreams

bool Run::has_skipped_upstream(NodeId node, std::int32_t index) const {
  bool skipped = false;
  FlowGraph::for_each_upstream(flow_, node, [&](NodeId from, const Input& input) {
    const Group* group = group_of(from);
    if (group == nullptr) {
      skipped |= state_[from.value] == TaskState::skipped;
    } else if (edge_is_elementwise(from, input)) {
      if (index >= 0) skipped |= state_[group->first.value + static_cast<std::uint32_t>(index)] == TaskState::skipped;
    } else {
      skipped |= group->skipped > 0;
    }
  });
  return skipped;
}

UpstreamCounts Run::upstream_counts(TaskId task) const {
  UpstreamCounts counts;
  const NodeId node = node_of(task);
  const std::int32_t index = map_index(task);
  const auto add = [&](TaskState state) {
    ++counts.total;
    counts.successful += is_success(state);
    counts.failed += is_failed(state);
    counts.skipped += state == TaskState::skipped;
  };
  // An upstream that is wired through several edges counts once. Nearly all nodes have few inputs: a sorted list does.
  std::vector<std::uint64_t> seen;
  const bool may_repeat = flow_.nodes[node.value].input_count > 1;
  FlowGraph::for_each_upstream(flow_, node, [&](NodeId from, const Input& input) {
    const bool one_element = edge_is_elementwise(from, input) && index >= 0;
    if (may_repeat) {
      const std::uint64_t what = std::uint64_t{from.value} << 1 | (one_element ? 1U : 0U);
      const auto place = std::lower_bound(seen.begin(), seen.end(), what);
      if (place != seen.end() && *place == what) return;
      seen.insert(place, what);
    }
    const Group* group = group_of(from);
    if (group == nullptr) return add(state_[from.value]);
    if (one_element) return add(state_[group->first.value + static_cast<std::uint32_t>(index)]);
    counts.total += group->width;
    counts.successful += group->successful;
    counts.failed += group->failed;
    counts.skipped += group->skipped;
  });
  return counts;
}

// ---- cancelling

void Run::cancel(const Cancel& request, Time now, ReadyQueue& ready, Wants& wants) {
  if (ended_ && ended_->state != RunState::paused) return;
  Step step{ready, wants, now};
  ended_.reset();
  std::vector<bool> chosen;  // by node; empty = all
  if (request.tasks.empty()) {
    cancelled_ = true;
    cancel_reason_ = request.reason;
    wants.batch.change = journal::RunChange{RunState::cancelling, now, request.reason};
  } else {
    if (cancel_reason_.empty()) cancel_reason_ = request.reason;
    chosen.assign(flow_.nodes.size(), false);
    std::vector<NodeId> open;
    for (TaskId task : request.tasks) {
      // Cancelling one element takes what depends on the whole node with it only through the trigger.
      if (!is_element(task)) open.push_back(NodeId{task.value});
    }
    while (!open.empty()) {
      const NodeId node = open.back();
      open.pop_back();
      if (chosen[node.value]) continue;
      chosen[node.value] = true;
      for (const Edge& edge : graph_.downstream(node)) open.push_back(edge.to);
    }
  }
  const auto is_chosen = [&](TaskId task) {
    if (chosen.empty() || chosen[node_of(task).value]) return true;
    return std::find(request.tasks.begin(), request.tasks.end(), task) != request.tasks.end();
  };
  const std::size_t count = state_.size();
  for (std::uint32_t t = 0; t < count; ++t) {
    const TaskId task{t};
    if (is_finished(state_[t]) || !is_chosen(task)) continue;
    if ((flags_[t] & dispatched) != 0) {
      if ((flags_[t] & stopping) != 0) continue;
      flags_[t] = static_cast<std::uint8_t>(flags_[t] | stopping);
      state_[t] = TaskState::cancelling;
      wants.stops.push_back({index_, task, run_count_[t]});
      continue;
    }
    if ((flags_[t] & queued) != 0 && is_element(task)) --group_of(node_of(task))->in_flight;
    leave_active(task, looking_up | queued | held);
    flags_[t] = 0;
    journal::TaskChange change = change_to(task, TaskState::cancelled, now);
    change.run_count = run_count_[t];
    change.detail.emplace().message = request.reason;
    finish(task, std::move(change), step);
  }
  // Downstreams of what was just finished must not start: everything chosen is finished by now or stopping, so telling them
  // only counts.
  settle(step);
}

// ---- the rest

std::optional<Time> Run::next_timer() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.top().at;
}

std::uint32_t Run::slots_of(TaskId task) const {
  return std::max<std::uint32_t>(1, (flow_.kind_of(node_of(task)).resources.cpu_milli + 999) / 1000);
}

std::optional<TaskId> Run::find_task(std::string_view name) const {
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n)
    if (flow_.nodes[n].name == name) return TaskId{n};
  for (const Group& group : groups_) {
    const std::string& node = flow_.nodes[group.node.value].name;
    if (name.size() < node.size() + 3 || !name.starts_with(node) || name[node.size()] != '[' ||
        name.back() != ']')
      continue;
    const std::string_view label = name.substr(node.size() + 1, name.size() - node.size() - 2);
    for (std::uint32_t i = 0; i < group.width; ++i)
      if (group.labels.empty() ? label == std::to_string(i) : label == group.labels[i])
        return TaskId{group.first.value + i};
  }
  return std::nullopt;
}

Run::Totals Run::totals() const {
  Totals totals;
  journal::Summary counts;
  for (std::size_t t = 0; t < state_.size(); ++t) {
    const TaskState state = state_[t];
    if (state == TaskState::mapped) continue;
    ++counts.tasks;
    counts.failed += is_failed(state);
    counts.skipped += state == TaskState::skipped;
    counts.cancelled += state == TaskState::cancelled;
  }
  totals.here = totals.whole = counts;
  totals.here.executed = executed_;
  totals.here.cached = hits_;
  totals.whole.executed = executed_ + executed_before_;
  totals.whole.cached = hits_ + hits_before_;
  totals.carried = carried_;
  return totals;
}

void Run::check_invariants() const {
  std::size_t open = 0, busy = 0;
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    const Group* group = group_of(NodeId{n});
    std::uint32_t finished = 0;
    if (group != nullptr)
      for (std::uint32_t i = 0; i < group->width; ++i)
        finished += is_finished(state_[group->first.value + i]);
    const bool done = group != nullptr ? finished == group->width : is_finished(state_[n]);
    REPRISE_ASSERT(done == node_done_[n], n, done);
    open += !done;
  }
  for (std::size_t t = 0; t < state_.size(); ++t) {
    const bool is_busy = (flags_[t] & active) != 0;
    busy += is_busy;
    REPRISE_ASSERT(!(is_busy && is_finished(state_[t])), t, static_cast<int>(state_[t]));
    REPRISE_ASSERT(!is_finished(state_[t]) || flags_[t] == 0, t, static_cast<int>(flags_[t]));
  }
  REPRISE_ASSERT(open == open_nodes_, open, open_nodes_);
  REPRISE_ASSERT(busy == active_, busy, active_);
  REPRISE_ASSERT(work_.empty(), work_.size());
}

}  // namespace reprise::scheduler
