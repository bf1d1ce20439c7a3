// The part of Run about tasks that run a flow: each is one attempt for which a run of its own is
// begun (docs/semantics.md, "Nested flows").
//
// The nested run's id is recorded with the state "running" of its task, before that run exists. So
// whoever goes on with this run after a crash finds the same nested run again, however far it came,
// and the attempt keeps its number. It is also the same one after a pause.
#include <fmt/format.h>

#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

std::optional<Nest> Run::nest(TaskId task, const RunId& fresh, Time now, ReadyQueue& ready,
                              Wants& wants) {
  if ((flags_[task.value] & queued) == 0) return std::nullopt;
  Step step{ready, wants, now};
  Result<Attempt> attempt = make_attempt(task);
  if (!attempt) {
    drop_unmade(task, attempt.error(), step);
    return std::nullopt;
  }
  const auto [child, is_new] = children_.try_emplace(task, fresh);
  if (is_new) ++run_count_[task.value];
  attempt->number = run_count_[task.value];
  enter_active(task, dispatched);
  leave_active(task, queued);
  flags_[task.value] = static_cast<std::uint8_t>(flags_[task.value] | announced);
  state_[task.value] = TaskState::running;
  if (!begun_before_.contains(task)) {  // else the journal says so already
    journal::TaskChange change = change_to(task, TaskState::running, now);
    change.run_count = run_count_[task.value];
    change.detail.emplace().origin = child->second;
    wants.batch.tasks.push_back(std::move(change));
  }
  Nest nest;
  nest.attempt = std::move(*attempt);
  nest.run = child->second;
  nest.goes_on = !is_new;
  nest.resume = !is_new && is_told_to_go_on(task);
  nest.forget_cancel = !is_new && forgets_cancel_;
  return nest;
}

// Of a change in the past: whether a nested run is under way after it.
void Run::note_child(const journal::TaskChange& change) {
  if (!is_nesting(change.task)) return;
  if (change.state == TaskState::running && change.detail && change.detail->origin)
    children_.insert_or_assign(change.task, *change.detail->origin);
  else if (is_finished(change.state) || change.state == TaskState::retrying ||
           change.state == TaskState::scheduled || change.state == TaskState::looped)
    children_.erase(change.task);
}

void Run::ask_child(ChildRequest::What what, TaskId task, const std::string& reason, Wants& wants) {
  const auto child = children_.find(task);
  if (child == children_.end()) return;
  wants.children.push_back({what, {index_, task, run_count_[task.value]}, child->second, reason});
}

std::string Run::first_failure() const {
  std::optional<TaskId> first = first_failed_;
  // It may have been let try again meanwhile; then the first by number.
  if (first && !is_failed(state_[first->value])) {
    first.reset();
    for (const auto& [task, why] : failures_)
      if (is_failed(state_[task.value]) && (!first || task.value < first->value)) first = task;
  }
  if (!first) return {};
  const auto why = failures_.find(*first);
  return fmt::format("{}: {}", name_of(*first),
                     why == failures_.end() || why->second.empty()
                         ? std::string(name(state_[first->value]))
                         : why->second);
}

}  // namespace reprise::scheduler
