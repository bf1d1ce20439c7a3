// The part of Run that begins a run, or goes on from what its journal says.
#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"
#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

void Run::restore(const std::vector<journal::Batch>& past, bool forget_cancel) {
  bool cancelling = false;
  for (const journal::Batch& batch : past) {
    // A batch's run change comes with the tasks that it cancelled.
    if (batch.change) cancelling = batch.change->state == RunState::cancelling;
    for (const journal::TaskChange& change : batch.tasks) {
      const TaskId task = change.task;
      if (task.value >= state_.size()) continue;  // no task of this flow: nothing to go on with
      executed_before_ += change.executed;
      note_child(change);
      // An attempt that began and was followed by another beginning was lost with its process.
      const bool had_begun = state_[task.value] == TaskState::running && run_count_[task.value] > 0;
      if ((change.state == TaskState::running && had_begun) || change.state == TaskState::lost)
        ++lost_[task];
      if (puts_off(change)) ++put_off_[task];
      if (change.run_count > 0)
        run_count_[task.value] = static_cast<std::uint16_t>(change.run_count);
      if (change.state == TaskState::mapped) {
        if (group_of(NodeId{task.value}) != nullptr) continue;  // it was given its elements
        Group& group = add_group(NodeId{task.value}, change.detail ? change.detail->width : 0);
        if (change.detail) group.labels = ElementLabels(change.detail->labels);
        continue;
      }
      if (change.state == TaskState::looped && change.executed) {
        // Between two iterations: nothing is final.
        loops_[task] = {change.loop_count + 1, change.result, change.run_count};
        lost_.erase(task);
        put_off_.erase(task);
        resumed_[task] = true;
        state_[task.value] = TaskState::pending;
        continue;
      }
      if (cancelling && forget_cancel && change.state == TaskState::cancelled) {
        state_[task.value] = TaskState::pending;
        continue;
      }
      if (change.state == TaskState::resume) note_resumed(task);
      // What is computed anew behind a finished task is told as the same hit once more.
      hits_before_ += is_success(change.state) && change.cache == journal::CacheOutcome::hit &&
                      !is_finished(state_[task.value]);
      // A person let a finished task be tried again.
      carried_ -= is_finished(state_[task.value]);
      state_[task.value] = change.state;
      if (is_failed(change.state) && !first_failed_) first_failed_ = task;
      if (is_failed(change.state) && change.detail)
        failures_.insert_or_assign(task, change.detail->message);
      carried_ += is_finished(change.state);
      if (is_finished(change.state)) set_result(task, change.result);
      if (is_scheduled(change.state) && change.detail && change.detail->start_time)
        wait_until(task, *change.detail->start_time);
    }
    if (cancelling && !forget_cancel) {
      cancelled_ = true;
      if (batch.change) cancel_reason_ = batch.change->message;
    }
  }
  // A timer is stale when its task went on after it was set.
  decltype(timers_) live;
  for (; !timers_.empty(); timers_.pop())
    if (is_scheduled(state_[timers_.top().task.value])) live.push(timers_.top());
  timers_ = std::move(live);
  restore_reductions();
  // What a resource was lived in the process that ended: it is set up anew for what is left.
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    if (!is_cleanup(NodeId{n}) || is_finished(state_[n])) continue;
    for (const Input& input : flow_.inputs_of(NodeId{n}))
      if (input.source == Input::Source::upstream && state_[input.index] == TaskState::success)
        state_[input.index] = TaskState::pending;
  }
  for (TaskState& state : state_) {
    // What ran when the last process ended was lost with it: it runs again. What never ran here is
    // somebody else's.
    const auto task = static_cast<std::uint32_t>(&state - state_.data());
    if (state == TaskState::running && run_count_[task] > 0) {
      if (!children_.contains(TaskId{task})) ++lost_[TaskId{task}];  // a nested run goes on
      begun_before_[TaskId{task}] = run_count_[task];
      resumed_[TaskId{task}] = true;  // nobody has to say go on once more
    }
    if ((is_running(state) && run_count_[task] > 0) || state == TaskState::submitted ||
        state == TaskState::ready || state == TaskState::queued || state == TaskState::resume ||
        state == TaskState::lost)
      state = TaskState::pending;
  }
}

// One pass does not wait for what was put off in it, whoever worked at it.
void Run::drop_new_timers() {
  decltype(timers_) given;
  for (; !timers_.empty(); timers_.pop()) {
    const auto known = initial_.find(timers_.top().task);
    if (known != initial_.end() && is_scheduled(known->second.state.state) &&
        run_count_[known->first.value] == known->second.run_count)
      given.push(timers_.top());
  }
  timers_ = std::move(given);
}

// Paused tasks go on, all or those named; what they wait for besides, they still wait for.
void Run::resume(const Submit& submit, Step& step) {
  all_go_on_ = submit.resume_tasks.empty();
  for (const std::string& name : submit.resume_tasks)
    if (const auto task = find_task(name)) told_to_go_on_.insert(*task);
  for (std::uint32_t t = 0; t < state_.size(); ++t) {
    const TaskId task{t};
    if (state_[t] != TaskState::paused || !is_told_to_go_on(task)) continue;
    state_[t] = TaskState::pending;
    note_resumed(task);
    step.wants.batch.tasks.push_back(change_to(task, TaskState::resume, step.now));
  }
}

// It is resumed from now on, whatever it was given.
void Run::note_resumed(TaskId task) {
  resumed_[task] = true;
  if (const auto given = initial_.find(task); given != initial_.end())
    given->second.state.state = TaskState::resume;
}

bool Run::is_told_to_go_on(TaskId task) const {
  return all_go_on_ || told_to_go_on_.contains(task) ||
         told_to_go_on_.contains(TaskId{node_of(task).value});
}

// What tasks were given before the run began, as changes, so that a run that is continued knows it.
void Run::add_initial(const RunShape& shape, Step& step) {
  for (const auto& [name, given] : shape.initial) {
    const auto node = find_node(name);
    if (node) give(TaskId{node->value}, given, step);
  }
}

void Run::give(TaskId task, const InitialState& given, Step& step) {
  initial_.insert_or_assign(task, given);
  if (given.loop_count > 1) loops_[task] = {given.loop_count, given.loop_result, 0};
  const bool is_put_off =
      given.state.state == TaskState::scheduled || given.state.state == TaskState::retrying;
  if (given.state.state == TaskState::pending) return;
  // Whether it is valid is asked when the task's turn comes, if it ever does.
  const bool has_turn = evaluated_.empty() || evaluated_[node_of(task).value];
  if (given.state.state == TaskState::cached && has_turn) return;
  if (state_[task.value] != TaskState::pending) return;  // it has gone on since
  journal::TaskChange change = change_to(task, given.state.state, step.now);
  change.run_count = given.run_count;
  change.result = given.state.result;
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.message = given.state.message;
  detail.start_time = given.state.start_time;
  if (is_put_off && !detail.start_time) detail.start_time = step.now;
  if (change.state == TaskState::mapped) {
    detail.width = static_cast<std::uint32_t>(given.elements.size());
    detail.labels = given.labels;
    change.result = {};
  }
  step.wants.batch.tasks.push_back(change);
  if (change.state != TaskState::mapped || is_element(task)) return;
  const TaskId first{static_cast<std::uint32_t>(state_.size())};
  add_group(NodeId{task.value}, detail.width).labels = ElementLabels(given.labels);
  for (std::uint32_t i = 0; i < detail.width; ++i)
    if (given.elements[i]) give(TaskId{first.value + i}, *given.elements[i], step);
}

// One pass is over for what waits still: it stays as it was given. A result that was given counts
// as one then, and whoever depends on it goes on.
bool Run::count_given(Step& step) {
  if (!single_pass_ || initial_.empty() || !has_begun_ || active_ > 0) return false;
  if (ended_ || end_approved_ || run_question_ || !refusal_.empty()) return false;
  std::vector<TaskId> results;
  for (const auto& [task, given] : initial_)
    if (given.state.state == TaskState::cached && state_[task.value] == TaskState::pending &&
        is_waiting(task))
      results.push_back(task);
  if (results.empty()) return false;
  std::sort(results.begin(), results.end());
  // Those first that depend on no other: the others may have their turn then.
  std::vector<bool> depends(flow_.nodes.size(), false);
  std::vector<NodeId> open;
  for (TaskId task : results) open.push_back(node_of(task));
  while (!open.empty()) {
    const NodeId node = open.back();
    open.pop_back();
    for (const Edge& edge : graph_.downstream(node)) {
      if (depends[edge.to.value]) continue;
      depends[edge.to.value] = true;
      open.push_back(edge.to);
    }
  }
  for (TaskId task : results) {
    if (depends[node_of(task).value]) continue;
    journal::TaskChange change = change_to(task, TaskState::cached, step.now);
    change.result = initial_.at(task).state.result;
    finish(task, std::move(change), step);
  }
  return true;
}

void Run::start(const Submit& submit, Time now, ReadyQueue& ready, Wants& wants) {
  Step step{ready, wants, now};
  open_lanes(submit, ready);
  if (!submit.usual_seconds.empty()) graph_.compute_ranks(flow_, submit.usual_seconds);
  single_pass_ = submit.shape.single_pass;
  forgets_cancel_ = submit.forget_cancel;
  finished_as_ = submit.shape.finished_as;
  choose_start_tasks(submit.shape.start_tasks);
  add_initial(submit.shape, step);
  std::size_t told = 0;
  for (const journal::Batch& batch : submit.past) told += batch.tasks.size();
  is_new_ = told <= step.wants.batch.tasks.size();  // nothing but what it was given
  if (submit.past.empty()) {
    if (!step.wants.batch.tasks.empty()) restore({step.wants.batch}, false);
    carried_ = 0;
  } else {
    step.wants.batch.tasks.clear();  // they are in `past`
    restore(submit.past, submit.forget_cancel);
    if (single_pass_) drop_new_timers();
  }
  if (submit.resume) resume(submit, step);
  if (cancelled_) {
    for (std::uint32_t t = 0; t < state_.size(); ++t) {
      if (is_finished(state_[t])) continue;
      state_[t] = TaskState::cancelled;
      journal::TaskChange change = change_to(TaskId{t}, TaskState::cancelled, now);
      change.detail.emplace().message = cancel_reason_;
      wants.batch.tasks.push_back(std::move(change));
    }
  }
  recount();
  if (const auto at = submit.shape.start_at; at && *at > now && !cancelled_)
    wait_until(run_task, *at);
  else
    begin_run(step);
  settle(step);
}

void Run::begin_run(Step& step) {
  const bool asks = is_new_ && !flow_.run_hooks.empty() && !cancelled_ && refusal_.empty();
  if (asks && !finished_as_) return ask_run_hooks(RunState::running, {}, step);
  begin_tasks(step);
}

// Only these, and everything downstream of them, are looked at.
void Run::choose_start_tasks(const std::vector<std::string>& names) {
  if (names.empty()) return;
  evaluated_.assign(flow_.nodes.size(), false);
  is_start_.assign(flow_.nodes.size(), false);
  std::vector<NodeId> open;
  for (const std::string& name : names) {
    if (const auto node = find_node(name)) {
      is_start_[node->value] = true;
      open.push_back(*node);
    } else {
      refusal_ = fmt::format("unknown start task \"{}\"", escape_for_terminal(name));
    }
  }
  while (!open.empty()) {
    const NodeId node = open.back();
    open.pop_back();
    if (evaluated_[node.value]) continue;
    evaluated_[node.value] = true;
    for (const Edge& edge : graph_.downstream(node)) open.push_back(edge.to);
  }
}

void Run::begin_tasks(Step& step) {
  has_begun_ = true;
  if (finished_as_) {
    end_approved_ = Ended{index_, *finished_as_, "it was finished before it began"};
    return;
  }
  if (!refusal_.empty()) return;
  // Chosen before anything starts: what starts makes more tasks ready on its own.
  std::vector<TaskId> tasks;
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    if (node_done_[n] || is_waiting(TaskId{n})) continue;
    if (const Group* group = group_of(NodeId{n})) {
      for (std::uint32_t i = 0; i < group->width; ++i) {
        const TaskId task{group->first.value + i};
        if (state_[task.value] == TaskState::pending && !is_waiting(task)) tasks.push_back(task);
      }
    } else if (state_[n] == TaskState::pending) {
      tasks.push_back(TaskId{n});
    }
  }
  for (TaskId task : tasks) {
    if (is_element(task))
      task_ready(task, step);
    else
      node_ready(NodeId{task.value}, step);
  }
  tick_timers(step);
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

}  // namespace reprise::scheduler
