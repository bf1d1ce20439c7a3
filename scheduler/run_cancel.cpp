// The part of Run that cancels or pauses it, or some of its tasks.
#include <algorithm>

#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

void Run::cancel(const Cancel& request, Time now, ReadyQueue& ready, Wants& wants) {
  if (ended_ && ended_->state != RunState::paused) return;
  Step step{ready, wants, now};
  ended_.reset();
  end_approved_.reset();
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
      // Cancelling one element takes what depends on the whole node with it only through the
      // trigger.
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
      const bool is_question = (flags_[t] & asking) != 0;
      if (!is_question && is_nesting(task)) {
        ask_child(ChildRequest::What::cancel, task, request.reason, wants);
        continue;
      }
      wants.stops.push_back({index_, task, is_question ? asked_.at(task) : run_count_[t]});
      continue;
    }
    leave_queues(task);
    ask_child(ChildRequest::What::cancel, task, request.reason, wants);
    children_.erase(task);
    journal::TaskChange change = change_to(task, TaskState::cancelled, now);
    change.run_count = run_count_[t];
    change.detail.emplace().message = request.reason;
    finish(task, std::move(change), step);
  }
  stop_refreshes(is_chosen, wants);
  // Downstreams of what was just finished must not start: everything chosen is finished by now or
  // stopping, so telling them only counts.
  settle(step);
}

// Takes back what a task waits for.
void Run::leave_queues(TaskId task) {
  std::uint8_t& flags = flags_[task.value];
  if ((flags & (queued | asking)) == queued && is_element(task))
    --group_of(node_of(task))->in_flight;
  leave_active(task, looking_up | queued | held | keeping);
  flags = 0;
  arrivals_.erase(task);
}

// ---- pausing

bool Run::is_held_back(TaskId task) const {
  if (pauses_all_) return true;
  return std::any_of(pauses_.begin(), pauses_.end(), [&](TaskId paused) {
    return paused == task || paused.value == node_of(task).value;
  });
}

void Run::pause(const Pause& request, Time now, ReadyQueue& ready, Wants& wants) {
  if (ended_ || cancelled_) return;
  Step step{ready, wants, now};
  if (request.tasks.empty()) pauses_all_ = true;
  pauses_.insert(pauses_.end(), request.tasks.begin(), request.tasks.end());
  pause_reason_ = request.reason;
  const std::size_t count = state_.size();
  for (std::uint32_t t = 0; t < count; ++t) {
    const TaskId task{t};
    if (!is_held_back(task) || is_finished(state_[t]) || state_[t] == TaskState::paused) continue;
    if ((flags_[t] & (dispatched | asking)) == dispatched)
      ask_child(ChildRequest::What::pause, task, request.reason, wants);
    const bool is_waiting_for_time =
        state_[t] == TaskState::retrying || state_[t] == TaskState::scheduled;
    constexpr std::uint8_t not_begun = looking_up | queued | held;
    // A question that is under way belongs to an attempt; the attempt after it is held back.
    const bool waits = (flags_[t] & not_begun) != 0 && (flags_[t] & asking) == 0;
    if (!waits && !is_waiting_for_time) continue;
    leave_queues(task);
    wait_in(task, paused_by_person(task, now), step);
  }
  settle(step);
}

journal::TaskChange Run::paused_by_person(TaskId task, Time now) const {
  journal::TaskChange change = change_to(task, TaskState::paused, now);
  change.run_count = run_count_[task.value];
  change.detail.emplace().message = pause_reason_;
  return change;
}

}  // namespace reprise::scheduler
