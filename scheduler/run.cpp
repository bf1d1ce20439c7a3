#include "scheduler/run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/failure.hpp"
#include "scheduler/change.hpp"

namespace reprise::scheduler {

namespace {

constexpr std::uint32_t no_group = UINT32_MAX;
constexpr std::uint32_t loop_limit = 10'000;
constexpr std::uint32_t attempt_limit = 20'000;  // more than all retries that may be asked for

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

Run::Run(RunIndex index, std::shared_ptr<const RunContext> context, std::uint32_t lost_limit)
    : index_(index),
      lost_limit_(lost_limit),
      context_(std::move(context)),
      flow_(*context_->flow),
      graph_(flow_) {
  const std::size_t count = flow_.nodes.size();
  waiting_.assign(count, 0);
  node_done_.assign(count, false);
  group_index_.assign(count, no_group);
  state_.assign(count, TaskState::pending);
  flags_.assign(count, 0);
  run_count_.assign(count, 0);
  result_.grow(count);
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
  result_.grow(size);
  element_node_.resize(element_node_.size() + width, node);
  element_waiting_.resize(element_waiting_.size() + width, 0);
  state_[node.value] = TaskState::mapped;
  return group;
}

void Run::settle(Step& step) {
  do {
    while (!work_.empty()) {
      const TaskId task = work_.back();
      work_.pop_back();
      propagate(task, step);
    }
    send_look_ups(step);
  } while (!work_.empty());
  conclude(step);
}

void Run::conclude(Step& step) {
  if (ended_ || active_ > 0 || run_question_ || !refreshes_.empty()) return;
  if (!has_begun_ && single_pass_) {
    // Its start time has not come, and it does not wait for it.
    ended_ = Ended{index_, RunState::queued, "its start time has not come"};
    step.wants.batch.change = journal::RunChange{ended_->state, step.now, ended_->message};
    return;
  }
  if (!has_begun_) return;
  if (open_nodes_ > 0 && !single_pass_ && refusal_.empty() && has_live_timer()) return;
  Ended ended{index_, RunState::success, {}};
  ended.state = final_state(ended.message);
  if (end_approved_)
    ended = *end_approved_;
  else if (!flow_.run_hooks.empty() && !cancelled_ && is_finished(ended.state))
    return ask_run_hooks(ended.state, ended.message, step);
  step.wants.batch.change = journal::RunChange{ended.state, step.now, ended.message};
  ended_ = std::move(ended);
}

// Timers of tasks that went on, or were paused, meanwhile are dropped on the way.
bool Run::has_live_timer() {
  for (; !timers_.empty(); timers_.pop()) {
    const TaskId task = timers_.top().task;
    if (task == run_task || is_scheduled(state_[task.value])) {
      if (task == run_task || !is_held_back(task)) return true;
    }
  }
  return false;
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
  if (!refusal_.empty()) {
    message = refusal_;
    return RunState::failed;
  }
  // What is not finished by now waits for a person, or for a time that this run does not wait for.
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n)
    if (graph_.is_terminal(NodeId{n}) && !node_done_[n]) return RunState::paused;
  std::uint32_t failed = 0;
  if (flow_.reference_nodes.empty()) {
    for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n)
      if (decides(NodeId{n})) failed += failed_in(NodeId{n});
  } else {
    for (NodeId node : flow_.reference_nodes) failed += failed_in(node);
  }
  if (failed == 0) return RunState::success;
  message = fmt::format("{} of the tasks that decide the run failed", failed);
  return RunState::failed;
}

bool Run::is_cleanup(NodeId node) const {
  return flow_.kind_of(node).trigger.kind == Trigger::Kind::resource_cleanup;
}

// Without being told otherwise, the tasks that nothing depends on decide; what cleans up a resource
// does not count, neither as one of them nor as depending on one.
bool Run::decides(NodeId node) const {
  if (is_cleanup(node)) return false;
  const auto below = graph_.downstream(node);
  return std::all_of(below.begin(), below.end(),
                     [&](const Edge& edge) { return is_cleanup(edge.to); });
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
  if (!evaluated_.empty() && !evaluated_[node.value]) return;
  if (const Group* group = group_of(node)) {
    // It was given its elements before the run began; those that are not finished run now.
    for (std::uint32_t i = 0; i < group->width; ++i)
      if (!is_waiting(TaskId{group->first.value + i}))
        task_ready(TaskId{group->first.value + i}, step);
    return;
  }
  if (is_finished(state_[task.value]) || is_running(state_[task.value])) return;
  if (is_scheduled(state_[task.value])) return;  // its time, or a person, lets it go on
  if (cancelled_) {
    finish(task, change_to(task, TaskState::cancelled, step.now), step);
  } else if (graph_.is_mapped(node)) {
    expand(node, step);
  } else {
    task_ready(task, step);
  }
}

void Run::task_ready(TaskId task, Step& step) {
  const TaskState state = state_[task.value];
  if (is_finished(state) || is_running(state) || is_scheduled(state) ||
      (flags_[task.value] & active) != 0)
    return;
  const NodeId node = node_of(task);
  if (!evaluated_.empty() && !evaluated_[node.value]) return;
  const TaskKind& kind = flow_.kind_of(node);
  if (!is_start_.empty() && is_start_[node.value]) return judged(task, Verdict::run, step);
  if (kind.skip_on_upstream_skip && has_skipped_upstream(node, map_index(task))) {
    journal::TaskChange change = change_to(task, TaskState::skipped, step.now);
    change.detail.emplace().message = "an upstream was skipped";
    return enter(task, std::move(change), step);
  }
  if (kind.trigger.kind == Trigger::Kind::custom) {
    Question question;
    question.kind = Question::Kind::trigger;
    question.upstreams = upstreams_of(task);
    Arrival arrival;
    arrival.stage = Stage::trigger;
    arrival.question = std::make_shared<const Question>(std::move(question));
    return ask(task, std::move(arrival), step);
  }
  if (kind.trigger.kind == Trigger::Kind::all_successful &&
      flow_.nodes[node.value].input_count == 0)
    return judged(task, Verdict::run, step);
  judged(task, judge(kind.trigger, upstream_counts(task), resumed_.contains(task)), step);
}

void Run::judged(TaskId task, Verdict verdict, Step& step) {
  const NodeId node = node_of(task);
  switch (verdict) {
    case Verdict::run:
      break;
    case Verdict::trigger_failed:
      return fail_task(task, TaskState::trigger_failed, FailureClass::none,
                       "its trigger did not allow it to run: an upstream did not end as required",
                       step);
    case Verdict::skip:
      return enter(task, change_to(task, TaskState::skipped, step.now), step);
    case Verdict::pause:
      return enter(task, change_to(task, TaskState::paused, step.now), step);
  }
  if (!is_element(task) && reduced_input(node)) return reduce(node, step);
  admit(task, step);
}

void Run::admit(TaskId task, Step& step) {
  const TaskKind& kind = flow_.kind_of(node_of(task));
  if (!kind.when.empty()) {
    const Result<bool> holds = when_holds(task);
    if (!holds)
      return fail_task(task, TaskState::failed, FailureClass::task, holds.error().message, step);
    if (!*holds) {
      journal::TaskChange change = change_to(task, TaskState::skipped, step.now);
      change.detail.emplace().message = fmt::format("when: {} is false", kind.when);
      return enter(task, std::move(change), step);
    }
  }
  const auto given = initial_.find(task);
  if (given != initial_.end() && given->second.state.state == TaskState::cached) {
    if (Result<bool> valid = is_valid(task, given->second, step.now); valid && *valid) {
      journal::TaskChange change = change_to(task, TaskState::cached, step.now);
      change.cache = journal::CacheOutcome::hit;
      change.result = given->second.state.result;
      return enter(task, std::move(change), step);
    }
  }
  if (!kind.target.text.empty()) return look_up(task);  // instead of the cache
  if (kind.cache.enabled && context_->cache == CacheMode::off) ++past_cache_;
  if (!kind.cache.enabled || context_->cache == CacheMode::off) return begin(task, step);
  if (kind.cache.key_function.empty()) return look_up(task);
  Question question;
  question.kind = Question::Kind::cache_key;
  Arrival arrival;
  arrival.stage = Stage::cache_key;
  arrival.question = std::make_shared<const Question>(std::move(question));
  ask(task, std::move(arrival), step);
}

// Sent to the cache by settle().
void Run::look_up(TaskId task) {
  enter_active(task, looking_up);
  look_up_later_.push_back(task);
}

// As many as the cache may have before it at once. A task whose arguments cannot be made fails.
void Run::send_look_ups(Step& step) {
  while (!look_up_later_.empty() && looked_up_.size() < look_ups_max) {
    const TaskId task = look_up_later_.front();
    look_up_later_.pop_front();
    if ((flags_[task.value] & looking_up) == 0 || looked_up_.contains(task)) continue;
    Result<Attempt> attempt = make_attempt(task);
    if (!attempt) {
      leave_active(task, looking_up);
      fail_task(task, TaskState::failed, FailureClass::task, attempt.error().message, step);
      continue;
    }
    looked_up_.insert(task);
    step.wants.look_ups.push_back(std::move(*attempt));
  }
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
  step.ready.push(body_lane(task), graph_.rank(node), ReadyTask{index_, task});
}

void Run::release_held(Group& group, Step& step) {
  --group.in_flight;
  const std::uint32_t limit = flow_.kind_of(group.node).max_parallel;
  while (!group.held.empty() && (limit == 0 || group.in_flight < limit)) {
    const TaskId next = group.held.front();
    group.held.pop_front();
    if (const auto refresh = refreshes_.find(next);
        refresh != refreshes_.end() && !refresh->second.is_queued)
      queue_refresh(next, step);
    const bool alive = (flags_[next.value] & held) != 0;
    leave_active(next, held);
    if (alive && !is_finished(state_[next.value])) want_slot(next, step);
  }
}

void Run::looked_up(Answer answer, Time now, ReadyQueue& ready, Wants& wants) {
  const TaskId task = answer.attempt.task;
  Step step{ready, wants, now};
  looked_up_.erase(task);
  // Cancelled meanwhile, or the answer to an earlier attempt.
  if (task.value >= state_.size() || (flags_[task.value] & looking_up) == 0 ||
      answer.attempt.number != run_count_[task.value] + 1U)
    return settle(step);
  leave_active(task, looking_up);
  if (!answer.candidates.empty()) {
    ask_validator(task, std::move(answer), step);
  } else if (answer.value) {
    journal::TaskChange change = change_to(task, TaskState::cached, now);
    change.cache = journal::CacheOutcome::hit;
    change.result = std::move(*answer.value);
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.key = answer.key;
    detail.origin = answer.origin;
    detail.message = std::move(answer.reason);
    detail.expired = answer.expired;
    if (answer.refresh && answer.key) {
      stale_.insert_or_assign(task, detail);
      refresh(task, *answer.key, step);
    }
    enter(task, std::move(change), step);
  } else if (answer.failure) {
    fail_as_before(task, answer, step);
  } else if (!answer.refusal.empty()) {
    if (answer.key) keys_.insert_or_assign(task, *answer.key);
    fail_task(task, TaskState::failed, FailureClass::cannot_start, std::move(answer.refusal), step);
  } else {
    if (!answer.loss.empty()) losses_.insert_or_assign(task, "miss: " + answer.loss);
    if (answer.fallback) fallbacks_.insert_or_assign(task, std::move(*answer.fallback));
    missed(task, answer.key, std::move(answer.reason), step);
  }
  settle(step);
}

// Nothing is there that could be served.
void Run::missed(TaskId task, const std::optional<Key>& key, std::string reason, Step& step) {
  if (key) keys_.insert_or_assign(task, *key);
  if (context_->cache == CacheMode::only)
    return fail_task(task, TaskState::failed, FailureClass::cannot_start,
                     "not in the cache, and this run may use nothing else (--cache only)", step);
  if (!reason.empty()) bypass_.insert_or_assign(task, std::move(reason));
  begin(task, step);
}

std::optional<Attempt> Run::dispatch(TaskId task, Time now, ReadyQueue& ready, Wants& wants) {
  if (task == run_task) return dispatch_question(task);
  if ((flags_[task.value] & queued) == 0) return dispatch_refresh(task);
  if ((flags_[task.value] & asking) != 0) return dispatch_question(task);
  Step step{ready, wants, now};
  Result<Attempt> attempt = make_attempt(task);
  if (!attempt) {
    drop_unmade(task, attempt.error(), step);
    return std::nullopt;
  }
  enter_active(task, dispatched);
  leave_active(task, queued);
  ++run_count_[task.value];
  state_[task.value] = TaskState::submitted;
  return std::move(*attempt);
}

// A ready task whose arguments cannot be made fails.
void Run::drop_unmade(TaskId task, const Error& why, Step& step) {
  leave_active(task, queued);
  if (Group* group = is_element(task) ? group_of(node_of(task)) : nullptr)
    release_held(*group, step);
  fail_task(task, TaskState::failed, FailureClass::task, why.message, step);
  settle(step);
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

// It was counted as lost with the process that had begun it; it was not.
void Run::adopted(const Adopted::One& news) {
  const TaskId task = news.attempt.task;
  if (task == run_task || task.value >= state_.size() ||
      news.attempt.number != run_count_[task.value] ||
      (flags_[task.value] & (dispatched | asking)) != dispatched)
    return;
  run_count_[task.value] = static_cast<std::uint16_t>(news.number);
  if (const auto lost = lost_.find(task); lost != lost_.end() && --lost->second == 0)
    lost_.erase(lost);
  flags_[task.value] = static_cast<std::uint8_t>(flags_[task.value] | announced);
  if ((flags_[task.value] & stopping) == 0) state_[task.value] = TaskState::running;
}

void Run::reported(Report report, Time now, ReadyQueue& ready, Wants& wants) {
  const TaskId task = report.attempt.task;
  Step step{ready, wants, now};
  if (task == run_task) {
    if (!run_question_ || report.attempt.number != last_question_) return;
    if (report.outcome.failure == FailureClass::worker_lost)
      ask_run_again(step);
    else
      run_answered(std::move(report.outcome), step);
    return settle(step);
  }
  if (is_refresh(report.attempt)) {
    refreshed(task, report.outcome, step);
    return settle(step);
  }
  if (task.value >= state_.size() || (flags_[task.value] & dispatched) == 0) return;
  const bool asked_to_stop = (flags_[task.value] & stopping) != 0;
  if ((flags_[task.value] & asking) != 0) {
    if (report.attempt.number != asked_.at(task)) return;
    leave_active(task, dispatched);
    flags_[task.value] = 0;
    if (asked_to_stop) report.outcome.state = TaskState::cancelled;
    if (!asked_to_stop && report.outcome.failure == FailureClass::worker_lost) {
      Arrival arrival = std::move(arrivals_.at(task));
      ask(task, std::move(arrival), step);
      return settle(step);
    }
    answered(task, std::move(report.outcome), step);
    return settle(step);
  }
  // Late news about an attempt that another one has replaced changes nothing.
  if (report.attempt.number != run_count_[task.value]) return;
  begun_before_.erase(task);
  const Outcome& outcome = report.outcome;
  // A nested run that waits for a person goes on with the task.
  if (!children_.empty() && (asked_to_stop || outcome.state != TaskState::paused))
    children_.erase(task);
  if (outcome.executed && (flags_[task.value] & announced) == 0) {
    journal::TaskChange running = change_to(task, TaskState::running, outcome.started);
    running.run_count = run_count_[task.value];
    wants.batch.tasks.push_back(std::move(running));
  }
  leave_active(task, dispatched);
  flags_[task.value] = 0;
  if (Group* group = is_element(task) ? group_of(node_of(task)) : nullptr)
    release_held(*group, step);
  if (asked_to_stop || !repeat_lost(task, report.outcome, step))
    attempt_ended(task, std::move(report.outcome), asked_to_stop, step);
  settle(step);
}

void Run::attempt_ended(TaskId task, Outcome outcome, bool asked_to_stop, Step& step) {
  // A body that finished although it was asked to stop still did not count.
  const bool cancelled = asked_to_stop || outcome.state == TaskState::cancelled;
  if (has_hooks(task) && !cancelled) {
    Arrival arrival;
    arrival.stage = Stage::result;
    arrival.outcome = std::move(outcome);
    return arrive(task, std::move(arrival), step);
  }
  succeed_or_fail(task, std::move(outcome), cancelled, step);
}

// What follows from how an attempt ended: another one, or the end of the task.
void Run::succeed_or_fail(TaskId task, Outcome outcome, bool cancelled, Step& step) {
  if (!cancelled) {
    if (repeat(task, outcome, step)) return;
    if (const auto at = retry_at(task, outcome, step.now)) {
      if (!has_hooks(task)) return retry(task, outcome, *at, step);
      Arrival arrival;
      arrival.stage = Stage::retry;
      arrival.outcome = std::move(outcome);
      arrival.outcome.start_time = at;
      return arrive(task, std::move(arrival), step);
    }
    // What a hook decided stands.
    if (is_failed(outcome.state) && !outcome.is_final &&
        (fall_back(task, outcome, step) || remember(task, outcome, step)))
      return;
  }
  if (const auto key = keys_.find(task); cancelled && key != keys_.end())
    keep_nothing(task, key->second, outcome, step);
  end_task(task, std::move(outcome), cancelled, step);
}

void Run::end_task(TaskId task, Outcome outcome, bool cancelled, Step& step) {
  fallbacks_.erase(task);
  journal::TaskChange change = change_to(
      task, outcome.state, outcome.executed ? outcome.started + outcome.duration : step.now);
  if (cancelled) change.state = TaskState::cancelled;
  if (change.state == TaskState::success && outcome.stored) change.state = TaskState::cached;
  change.executed = outcome.executed;
  change.run_count = run_count_[task.value];
  change.duration = outcome.duration;
  if (!cancelled) change.result = std::move(outcome.value);
  if (is_failed(change.state) && change.result.is_none())
    change.result = failure_payload(class_name(change.state), outcome.message);
  const auto key = keys_.find(task);
  const auto bypass = bypass_.find(task);
  if (outcome.stored)
    change.cache = journal::CacheOutcome::stored;
  else if (bypass != bypass_.end())
    change.cache = journal::CacheOutcome::bypass;
  else if (key != keys_.end())
    change.cache = journal::CacheOutcome::miss;
  auto loss = losses_.extract(task);
  if (key != keys_.end() || bypass != bypass_.end() || !outcome.message.empty() ||
      outcome.exit_code != 0 || outcome.signal != 0 || outcome.failure != FailureClass::none ||
      outcome.uncacheable) {
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.message = cancelled ? cancel_reason_ : std::move(outcome.message);
    if (detail.message.empty() && outcome.uncacheable)
      detail.message = "not cached: " + *outcome.uncacheable;
    if (detail.message.empty() && bypass != bypass_.end()) detail.message = bypass->second;
    if (detail.message.empty() && loss) detail.message = std::move(loss.mapped());
    detail.exit_code = outcome.exit_code;
    detail.signal = outcome.signal;
    detail.failure = outcome.failure;
    if (key != keys_.end()) detail.key = key->second;
  }
  if (key != keys_.end()) keys_.erase(key);
  if (bypass != bypass_.end()) bypass_.erase(bypass);
  finish(task, std::move(change), step);
}

std::uint32_t Run::tries(TaskId task) const {
  const auto loop = loops_.find(task);
  const auto lost = lost_.find(task);
  return run_count_[task.value] - (loop == loops_.end() ? 0 : loop->second.attempts) -
         (lost == lost_.end() ? 0 : lost->second);
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

std::optional<Time> Run::retry_at(TaskId task, const Outcome& outcome, Time now) const {
  const RetryPolicy& policy = flow_.kind_of(node_of(task)).retry;
  if (!is_failed(outcome.state) || outcome.is_final || cancelled_ || tries(task) > policy.max)
    return std::nullopt;
  if (std::find(policy.on.begin(), policy.on.end(), outcome.failure) == policy.on.end())
    return std::nullopt;
  return now + retry_delay(policy, context_->run, task, tries(task));
}

void Run::retry(TaskId task, const Outcome& outcome, Time at, Step& step) {
  state_[task.value] = TaskState::retrying;
  wait_until(task, at);
  journal::TaskChange change = ending(task, TaskState::retrying, outcome, step.now);
  change.detail->start_time = at;
  executed_ += change.executed;
  step.wants.batch.tasks.push_back(std::move(change));
}

// An attempt that went with its worker is no try of the task: another one follows at once, unless
// the task says otherwise, or seems to be what workers die of.
bool Run::repeat_lost(TaskId task, Outcome& outcome, Step& step) {
  if (outcome.failure != FailureClass::worker_lost || cancelled_) return false;
  const RetryPolicy& policy = flow_.kind_of(node_of(task)).retry;
  if (std::find(policy.on.begin(), policy.on.end(), FailureClass::worker_lost) != policy.on.end())
    return false;
  if (++lost_[task] >= lost_limit_) {
    outcome.message = fmt::format("{} workers in a row were lost with it; the last: {}",
                                  lost_limit_, outcome.message);
    return false;
  }
  state_[task.value] = TaskState::pending;
  step.wants.batch.tasks.push_back(ending(task, TaskState::lost, outcome, step.now));
  if (is_held_back(task))
    wait_in(task, paused_by_person(task, step.now), step);
  else
    want_slot(task, step);
  return true;
}

// A state that is no end: until its time comes, or a person says go on.
void Run::wait_in(TaskId task, journal::TaskChange change, Step& step) {
  if (change.state == TaskState::retrying || change.state == TaskState::scheduled) {
    journal::ChangeDetail& detail = change.detail ? *change.detail : change.detail.emplace();
    if (!detail.start_time) detail.start_time = step.now;
  }
  state_[task.value] = change.state;
  executed_ += change.executed;
  if (change.detail && change.detail->start_time) wait_until(task, *change.detail->start_time);
  step.wants.batch.tasks.push_back(std::move(change));
}

// What a body may ask for instead of ending: run me again then, wait for a person, next iteration.
bool Run::repeat(TaskId task, Outcome& outcome, Step& step) {
  switch (outcome.state) {
    case TaskState::scheduled:
    case TaskState::retrying:
    case TaskState::paused: {
      if (run_count_[task.value] >= attempt_limit) {
        outcome.state = TaskState::failed;
        outcome.failure = FailureClass::validation;
        outcome.message = fmt::format("asked to be run again {} times", attempt_limit);
        outcome.is_final = true;
        return false;
      }
      journal::TaskChange change = ending(task, outcome.state, outcome, step.now);
      change.detail->start_time = outcome.start_time;
      wait_in(task, std::move(change), step);
      return true;
    }
    case TaskState::looped: {
      Loop& loop = loops_.try_emplace(task, Loop{first_loop_count(), {}, 0}).first->second;
      if (loop.count >= loop_limit) {
        outcome.state = TaskState::failed;
        outcome.failure = FailureClass::validation;
        outcome.message = fmt::format("looped {} times without coming to an end", loop_limit);
        outcome.is_final = true;
        return false;
      }
      journal::TaskChange change = ending(task, TaskState::looped, outcome, step.now);
      change.loop_count = loop.count;
      change.result = outcome.value;
      ++loop.count;
      loop.result = std::move(outcome.value);
      loop.attempts = run_count_[task.value];
      lost_.erase(task);
      executed_ += change.executed;
      step.wants.batch.tasks.push_back(std::move(change));
      state_[task.value] = TaskState::pending;
      begin(task, step);
      return true;
    }
    default:
      return false;
  }
}

void Run::tick(Time now, ReadyQueue& ready, Wants& wants) {
  if (single_pass_ && has_begun_) return;
  Step step{ready, wants, now};
  tick_timers(step);
  settle(step);
}

void Run::tick_timers(Step& step) {
  while (!timers_.empty() && timers_.top().at <= step.now) {
    const TaskId task = timers_.top().task;
    timers_.pop();
    if (task == run_task)
      begin_run(step);
    else
      go_on(task, step);
  }
}

// A task's start time has come.
void Run::go_on(TaskId task, Step& step) {
  TaskState& state = state_[task.value];
  if (state != TaskState::retrying && state != TaskState::paused && state != TaskState::scheduled)
    return;
  const bool has_run = run_count_[task.value] > 0;
  if (state == TaskState::paused) resumed_[task] = true;
  state = TaskState::pending;
  if (is_waiting(task)) return;
  // One that paused or was put off before its body ever ran here still has its checks before it.
  if (!has_run || initial_.contains(task)) return task_ready(task, step);
  // The key may have been found by a process that is gone; without one the result would not be
  // kept.
  const bool knows_key = keys_.contains(task) || bypass_.contains(task);
  if (flow_.kind_of(node_of(task)).cache.enabled && !knows_key) return admit(task, step);
  begin(task, step);
}

// Upstreams of the task are not there yet.
bool Run::is_waiting(TaskId task) const {
  const NodeId node = node_of(task);
  if (!evaluated_.empty() && !evaluated_[node.value]) return true;
  if (!is_start_.empty() && is_start_[node.value]) return false;
  if (waiting_[node.value] > 0) return true;
  return is_element(task) && element_waiting_[task.value - flow_.nodes.size()] > 0;
}

void Run::fail_task(TaskId task, TaskState state, FailureClass failure, std::string message,
                    Step& step) {
  journal::TaskChange change = change_to(task, state, step.now);
  change.run_count = run_count_[task.value];
  change.result =
      failure_payload(state == TaskState::trigger_failed ? "TRIGGERFAIL" : "CannotStart", message);
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.message = std::move(message);
  detail.failure = failure;
  if (const auto key = keys_.extract(task)) detail.key = key.mapped();
  losses_.erase(task);
  enter(task, std::move(change), step);
}

void Run::finish(TaskId task, journal::TaskChange change, Step& step) {
  REPRISE_ASSERT(is_finished(change.state), task.value, static_cast<int>(change.state));
  REPRISE_ASSERT(!is_finished(state_[task.value]), task.value,
                 static_cast<int>(state_[task.value]));
  state_[task.value] = change.state;
  set_result(task, change.result);
  executed_ += change.executed;
  hits_ += is_success(change.state) && change.cache == journal::CacheOutcome::hit;
  if (is_failed(change.state) && change.detail)
    failures_.insert_or_assign(task, change.detail->message);
  if (is_failed(change.state) && !first_failed_) first_failed_ = task;
  step.wants.batch.tasks.push_back(std::move(change));
  work_.push_back(task);
}

void Run::set_result(TaskId task, const Payload& result) {
  if (result_[task.value] == result) return;  // mostly none: no page is made for that
  result_.writable(task.value) = result;
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
    if (!edge.elementwise || node_done_[edge.to.value]) continue;
    const Group* below = group_of(edge.to);
    if (below == nullptr || index >= below->width) continue;
    const TaskId element{below->first.value + index};
    std::uint32_t& waiting = element_waiting_[element.value - flow_.nodes.size()];
    REPRISE_ASSERT(waiting > 0, element.value);
    if (--waiting == 0 && !is_waiting(element)) task_ready(element, step);
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
    if (node_done_[edge.to.value]) continue;     // it was given its end and waits for nothing
    REPRISE_ASSERT(waiting_[edge.to.value] > 0, edge.to.value);
    if (--waiting_[edge.to.value] == 0) node_ready(edge.to, step);
  }
}

}  // namespace reprise::scheduler
