// The part of Run that cancels or pauses it, or some of its tasks.
#include <algorithm>

#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

// Elements depend on elements where they are mapped over one by one, on all of them elsewhere.
Run::Chosen Run::with_dependents(const std::vector<TaskId>& tasks) {
  Chosen chosen;
  chosen.nodes.assign(flow_.nodes.size(), false);
  struct Part {
    NodeId node;
    std::optional<std::uint32_t> element;  // none = all of it
  };
  std::vector<Part> open;
  for (const TaskId task : tasks) {
    const std::int32_t index = map_index(task);
    open.push_back({node_of(task), index < 0 ? std::nullopt : std::optional(std::uint32_t(index))});
  }
  while (!open.empty()) {
    const auto [node, element] = open.back();
    open.pop_back();
    if (chosen.nodes[node.value]) continue;
    const Group* group = group_of(node);
    if (!element) {
      chosen.nodes[node.value] = true;
    } else if (group == nullptr) {
      if (!cancelled_elements_[node].insert(*element).second) continue;
    } else {
      if (*element >= group->width) continue;
      if (!chosen.elements.insert(TaskId{group->first.value + *element}).second) continue;
      // Without one of its members nothing comes of a reduction.
      const auto above = std::ranges::upper_bound(group->levels, *element);
      if (above != group->levels.end())
        for (std::uint32_t i = *above; i < group->width; ++i) open.push_back({node, i});
    }
    for (const Edge& edge : graph_.downstream(node))
      open.push_back({edge.to, edge.elementwise ? element : std::nullopt});
  }
  return chosen;
}

// Those that a person cancelled before the node was expanded.
void Run::cancel_elements_of(const Group& group, Step& step) {
  const auto chosen = cancelled_elements_.extract(group.node);
  if (!chosen) return;
  for (const std::uint32_t index : chosen.mapped()) {
    const TaskId task{group.first.value + index};
    if (index >= group.width || is_finished(state_[task.value])) continue;
    journal::TaskChange change = change_to(task, TaskState::cancelled, step.now);
    change.detail.emplace().message = cancel_reason_;
    finish(task, std::move(change), step);
  }
}

void Run::cancel(const Cancel& request, Time now, ReadyQueue& ready, Wants& wants) {
  if (ended_ && ended_->state != RunState::paused) return;
  Step step{ready, wants, now};
  ended_.reset();
  expression_outputs_.reset();
  end_approved_.reset();
  std::optional<Chosen> chosen;  // none = all
  if (request.tasks.empty()) {
    cancelled_ = true;
    cancel_reason_ = request.reason;
    wants.batch.change = journal::RunChange{RunState::cancelling, now, request.reason};
  } else {
    if (cancel_reason_.empty()) cancel_reason_ = request.reason;
    chosen = with_dependents(request.tasks);
  }
  const auto is_chosen = [&](TaskId task) { return !chosen || chosen->has(task, node_of(task)); };
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
  // In the places of those that waited for a slot.
  for (Group& group : groups_) admit_held(group, step);
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
  for (Group& group : groups_) admit_held(group, step);
  settle(step);
}

journal::TaskChange Run::paused_by_person(TaskId task, Time now) const {
  journal::TaskChange change = change_to(task, TaskState::paused, now);
  change.run_count = run_count_[task.value];
  change.detail.emplace().message = pause_reason_;
  return change;
}

}  // namespace reprise::scheduler
