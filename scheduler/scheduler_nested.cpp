// The part of Scheduler about runs that are nested in tasks of others. They are runs like any
// other; known here is which attempt each belongs to, so that what becomes of the outer run is
// passed on.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"
#include "scheduler/scheduler.hpp"

namespace reprise::scheduler {

std::uint32_t Scheduler::nested_at(std::uint32_t depth) const {
  const auto count = children_at_.find(depth);
  return count == children_at_.end() ? 0 : count->second;
}

// The lane's next task: a run is to begin for it.
void Scheduler::nest(LaneId lane, Time now, Effects& effects) {
  const std::uint32_t depth = ready_.lane(lane).need.nesting;
  if (nested_at(depth) >= policy_.nested_max)
    return block(lane,
                 Obstacle{WaitingReason::concurrency_limit,
                          fmt::format("{} nested runs are under way, as many as there may be",
                                      policy_.nested_max)},
                 now, effects);
  const ReadyTask next = ready_.top(lane);
  ready_.pop(lane);
  Run& run = *find(next.run);
  Run::Wants wants;
  if (depth > nesting_limit) {
    run.cannot_run(
        next.task,
        fmt::format("runs are nested more than {} deep; does flow \"{}\" run itself without end?",
                    nesting_limit, escape_for_terminal(run.context().flow->name)),
        now, ready_, wants);
    return collect(run, wants, effects);
  }
  std::optional<Nest> nest =
      run.nest(next.task, fresh_child(run, next.task, now), now, ready_, wants);
  collect(run, wants, effects);
  if (!nest) return;
  const bool is_new =
      children_.emplace(Key{next.run, next.task}, Child{nest->attempt.number, depth, {}, {}})
          .second;
  REPRISE_ASSERT(is_new, next.run.value, next.task.value);
  ++children_at_[depth];
  LaneState& state = state_of(lane);
  state.blocked_since.reset();
  state.has_told = false;
  nest->ns = ready_.lane(lane).ns;
  nest->priority = std::clamp(ready_.lane(lane).priority, priority_least, priority_most);
  effects.nests.push_back(std::move(*nest));
}

// People tell runs apart by the beginning of their ids, which is the time: no two get the same one,
// nor that of the outer run.
RunId Scheduler::fresh_child(const Run& parent, TaskId task, Time now) {
  constexpr Duration step = std::chrono::milliseconds{1};
  const RunId& outer = parent.context().run;
  last_child_ = std::max({now, outer.time() + step, last_child_ + step});
  const std::string_view id(reinterpret_cast<const char*>(outer.bytes.data()), outer.bytes.size());
  return RunId::derived(last_child_,
                        fmt::format("nested {} {} {}", id, task.value, parent.attempts(task)));
}

void Scheduler::child_over(const AttemptRef& attempt) {
  const auto found = children_.find({attempt.run, attempt.task});
  if (found == children_.end()) return;  // it could not begin
  --children_at_.at(found->second.depth);
  children_.erase(found);
}

void Scheduler::child_begins(const Submit& event) {
  const auto found = children_.find({event.nested_in->run, event.nested_in->task});
  if (found == children_.end() || found->second.number != event.nested_in->number) return;
  Child& child = found->second;
  child.run = event.run;
  std::move(child.requests.begin(), child.requests.end(), std::back_inserter(child_requests_));
  child.requests.clear();
}

// One that came to rest as paused belongs to no attempt until it goes on.
Run* Scheduler::find_child(const ChildRequest& request) {
  const auto known = children_.find({request.attempt.run, request.attempt.task});
  if (known != children_.end() && known->second.run) return find(*known->second.run);
  for (const auto& [index, run] : runs_)
    if (run->context().run == request.run) return run.get();
  return nullptr;
}

// What nested runs are told may reach runs that are nested in them.
void Scheduler::steer_children(Time now, Effects& effects) {
  while (!child_requests_.empty()) {
    const ChildRequest request = std::move(child_requests_.back());
    child_requests_.pop_back();
    Run* run = find_child(request);
    if (run == nullptr) {
      const auto known = children_.find({request.attempt.run, request.attempt.task});
      if (known != children_.end()) known->second.requests.push_back(request);
      continue;
    }
    Run::Wants wants;
    const RunIndex index = run->index();
    switch (request.what) {
      case ChildRequest::What::cancel:
        run->cancel({index, {}, request.reason}, now, ready_, wants);
        break;
      case ChildRequest::What::pause:
        run->pause({index, {}, request.reason}, now, ready_, wants);
        break;
    }
    collect(*run, wants, effects);
  }
}

}  // namespace reprise::scheduler
