#include "scheduler/run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "scheduler/change.hpp"

namespace reprise::scheduler {

namespace {

constexpr std::uint32_t no_group = UINT32_MAX;
constexpr std::uint32_t loop_limit = 10'000;

/// A number in [0, 1) that depends on the run and attempt alone, so that a replay sees the same
/// jitter.
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
  if (kind.trigger.kind != Trigger::Kind::all_successful ||
      flow_.nodes[node.value].input_count > 0) {
    switch (judge(kind.trigger, upstream_counts(task), resumed_.contains(task))) {
      case Verdict::run:
        break;
      case Verdict::trigger_failed:
        fail_task(task, TaskState::trigger_failed, FailureClass::none,
                  "its trigger did not allow it to run: an upstream did not end as required", step);
        return false;
      case Verdict::skip:
        return skip({});
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
    group.held.pop_front();
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
  if (Group* group = is_element(task) ? group_of(node_of(task)) : nullptr)
    release_held(*group, step);

  const bool cancelled = asked_to_stop || outcome.state == TaskState::cancelled;
  if (!cancelled &&
      (repeat(task, report, step) || (is_failed(outcome.state) && retry(task, report, step))))
    return settle(step);

  journal::TaskChange change = change_to(task, outcome.state, outcome.started + outcome.duration);
  // A body that finished although it was asked to stop still did not count: the run had been
  // cancelled.
  if (cancelled) change.state = TaskState::cancelled;
  if (change.state == TaskState::success && outcome.stored) change.state = TaskState::cached;
  change.executed = outcome.executed;
  change.run_count = run_count_[task.value];
  change.duration = outcome.duration;
  if (is_success(change.state)) change.result = std::move(outcome.value);
  const auto key = keys_.find(task);
  const auto bypass = bypass_.find(task);
  if (outcome.stored)
    change.cache = journal::CacheOutcome::stored;
  else if (bypass != bypass_.end())
    change.cache = journal::CacheOutcome::bypass;
  else if (key != keys_.end())
    change.cache = journal::CacheOutcome::miss;
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
journal::TaskChange Run::ending(TaskId task, TaskState state, const Outcome& outcome,
                                Time at) const {
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
  if (std::find(policy.on.begin(), policy.on.end(), outcome.failure) == policy.on.end())
    return false;
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
      if (outcome.state == TaskState::retrying && !outcome.start_time)
        outcome.start_time = step.now;
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
    if (state_[task.value] != TaskState::retrying && state_[task.value] != TaskState::paused)
      continue;
    if (state_[task.value] == TaskState::paused) resumed_[task] = true;
    state_[task.value] = TaskState::pending;
    want_slot(task, step);
  }
  settle(step);
}

void Run::fail_task(TaskId task, TaskState state, FailureClass failure, std::string message,
                    Step& step) {
  journal::TaskChange change = change_to(task, state, step.now);
  change.run_count = run_count_[task.value];
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.message = std::move(message);
  detail.failure = failure;
  finish(task, std::move(change), step);
}

void Run::finish(TaskId task, journal::TaskChange change, Step& step) {
  REPRISE_ASSERT(is_finished(change.state), task.value, static_cast<int>(change.state));
  REPRISE_ASSERT(!is_finished(state_[task.value]), task.value,
                 static_cast<int>(state_[task.value]));
  state_[task.value] = change.state;
  result_[task.value] = change.result;
  executed_ += change.executed;
  hits_ += change.cache == journal::CacheOutcome::hit;
  if (is_failed(change.state) && change.detail)
    failures_.insert_or_assign(task, change.detail->message);
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
    const std::uint32_t above =
        group.levels[level + 1] + (index - group.levels[level]) / group.fanin;
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

}  // namespace reprise::scheduler
