#include "scheduler/run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/failure.hpp"
#include "scheduler/change.hpp"

namespace reprise::scheduler {

namespace {

constexpr std::uint32_t no_group = UINT32_MAX;

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
  // `resume` in the run's context: as if a person had said it of every task.
  if (const auto said = context_->context.find("resume"); said != context_->context.end()) {
    const Result<Value> value = said->second.value();
    resumes_all_ = value && *value != Value{} && *value != Value{false} && *value != Value{0};
  }
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
  } while (!work_.empty() || count_given(step));
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
  // What a flow is run for is not to be missing without a word.
  if (!end_approved_ && ended.state == RunState::success)
    if (const Status made = check_outputs(); !made)
      ended = {index_, RunState::failed, made.error().message};
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
    expand(node, false, step);
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
  judged(task, judge(kind.trigger, upstream_counts(task), is_resumed(task)), step);
}

void Run::judged(TaskId task, Verdict verdict, Step& step) {
  const NodeId node = node_of(task);
  if (verdict != Verdict::run && has_hooks(task) && show_overruled(task, verdict, step)) return;
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
  if (!is_element(task) && reduced_input(node)) return reduce(node, false, step);
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
  admit_held(group, step);
}

void Run::admit_held(Group& group, Step& step) {
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

// ---- what is put off

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
  // That a person let it go on holds for what follows, not for another attempt after a failure.
  if (state == TaskState::paused)
    resumed_[task] = true;
  else
    resumed_.erase(task);
  state = TaskState::pending;
  if (is_waiting(task)) return;
  // One that paused or was put off before its body ever ran here still has its checks before it.
  if (!has_run || initial_.contains(task))
    return is_element(task) ? task_ready(task, step) : node_ready(node_of(task), step);
  if (must_be_asked_for(task))
    return enter(task, change_to(task, TaskState::paused, step.now), step);
  // The key may have been found by a process that is gone; without one the result would not be
  // kept.
  const bool knows_key = keys_.contains(task) || bypass_.contains(task);
  if (flow_.kind_of(node_of(task)).cache.enabled && !knows_key) return admit(task, step);
  begin(task, step);
}

bool Run::is_resumed(TaskId task) const {
  return resumes_all_ || resumed_.contains(task);
}

// A person has to say that it may run.
bool Run::must_be_asked_for(TaskId task) const {
  const NodeId node = node_of(task);
  const bool is_start = !is_start_.empty() && is_start_[node.value];
  return flow_.kind_of(node).trigger.kind == Trigger::Kind::manual_only && !is_start &&
         !is_resumed(task);
}

// Upstreams of the task are not there yet.
bool Run::is_waiting(TaskId task) const {
  const NodeId node = node_of(task);
  if (!evaluated_.empty() && !evaluated_[node.value]) return true;
  if (!is_start_.empty() && is_start_[node.value]) return false;
  if (waiting_[node.value] > 0) return true;
  return is_element(task) && element_waiting_[task.value - flow_.nodes.size()] > 0;
}

// ---- how a task ends

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
      // What a failed member leaves cannot be combined. Others of the group are not its members:
      // which of them has ended by now depends on the order that they ran in.
      const std::uint32_t first = index - (index - group.levels[level]) % group.fanin;
      const std::uint32_t end = std::min(first + group.fanin, group.levels[level + 1]);
      const auto members = state_.begin() + group.first.value;
      if (!std::all_of(members + first, members + end, [](TaskState s) { return is_success(s); }))
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
