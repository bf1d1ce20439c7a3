// The part of Run about its place among other runs: lanes, and attempts that come back.
#include <algorithm>
#include <optional>
#include <utility>

#include "core/assert.hpp"
#include "core/failure.hpp"
#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

namespace {

bool asks_questions(const TaskKind& kind) {
  return !kind.hooks.empty() || kind.trigger.kind == Trigger::Kind::custom ||
         !kind.cache.key_function.empty();
}

}  // namespace

void Run::open_lanes(const Submit& submit, ReadyQueue& ready) {
  Lane lane;
  lane.ns = submit.ns;
  lane.priority = submit.priority;
  lane.need = need_of_questions(flow_.run_hooks);
  run_lane_ = ready.open(lane);
  lanes_.reserve(flow_.kinds.size());
  for (std::uint32_t k = 0; k < flow_.kinds.size(); ++k) {
    const TaskKind& kind = flow_.kinds[k];
    lane.priority = submit.priority + kind.priority;
    lane.need = need_of(kind);
    if (std::holds_alternative<NestedBody>(kind.body)) lane.need.nesting = context_->depth + 1;
    lane.limits = kind.limits;
    lanes_.push_back(ready.open(lane));
    if (!asks_questions(kind)) continue;
    lane.need = need_of_questions(kind);
    lane.limits.clear();
    ask_lanes_[k] = ready.open(lane);
  }
}

void Run::leave(ReadyQueue& ready) {
  ready.close(run_lane_);
  for (const LaneId lane : lanes_) ready.close(lane);
  for (const auto& [kind, lane] : ask_lanes_) ready.close(lane);
}

LaneId Run::question_lane(TaskId task) const {
  const auto own = ask_lanes_.find(flow_.nodes[node_of(task).value].kind);
  return own == ask_lanes_.end() ? run_lane_ : own->second;
}

bool Run::is_out(const AttemptRef& attempt) const {
  const TaskId task = attempt.task;
  if (task == run_task)
    return run_question_ && run_question_sent_ && attempt.number == last_question_;
  if (task.value >= state_.size()) return false;
  if (is_refresh(attempt)) return true;
  if ((flags_[task.value] & dispatched) == 0) return false;
  return attempt.number ==
         ((flags_[task.value] & asking) != 0 ? asked_.at(task) : run_count_[task.value]);
}

LaneId Run::lane_of(const AttemptRef& attempt) const {
  if (attempt.task == run_task) return run_lane_;
  REPRISE_ASSERT(attempt.task.value < state_.size(), attempt.task.value);
  const bool is_question = (flags_[attempt.task.value] & asking) != 0 && !is_refresh(attempt);
  return is_question ? question_lane(attempt.task) : body_lane(attempt.task);
}

bool Run::wants_slot(TaskId task, LaneId lane) const {
  if (task == run_task) return run_question_ != nullptr && !run_question_sent_;
  // A question may be in the queue while remains of the body are, or the other way round.
  const std::uint8_t flags = flags_[task.value];
  if ((flags & queued) != 0)
    return lane == ((flags & asking) != 0 ? question_lane(task) : body_lane(task));
  const auto refresh = refreshes_.find(task);
  return refresh != refreshes_.end() && !refresh->second.is_sent;
}

void Run::returned(const AttemptRef& attempt, Time now, ReadyQueue& ready, Wants& wants) {
  Step step{ready, wants, now};
  const TaskId task = attempt.task;
  if (task == run_task) {
    if (run_question_ && attempt.number == last_question_) ask_run_again(step);
    return;
  }
  if (is_refresh(attempt)) {
    refreshes_.at(task).is_sent = false;
    ready.push(body_lane(task), refresh_rank, ReadyTask{index_, task});
    return;
  }
  if (task.value >= state_.size() || (flags_[task.value] & dispatched) == 0) return;
  std::uint8_t& flags = flags_[task.value];
  const bool is_question = (flags & asking) != 0;
  if (attempt.number != (is_question ? asked_.at(task) : run_count_[task.value])) return;
  if ((flags & stopping) != 0) {
    Report report{attempt, {}};
    report.outcome.state = TaskState::cancelled;
    report.outcome.failure = FailureClass::cancelled;
    report.outcome.started = now;
    return reported(std::move(report), now, ready, wants);
  }
  enter_active(task, queued);
  leave_active(task, dispatched);
  flags = static_cast<std::uint8_t>(flags & ~announced);
  if (!is_question) {
    --run_count_[task.value];
    state_[task.value] = TaskState::pending;
    if (is_held_back(task)) {
      leave_queues(task);
      wait_in(task, paused_by_person(task, now), step);
      return settle(step);
    }
  }
  ready.push(is_question ? question_lane(task) : body_lane(task), graph_.rank(node_of(task)),
             ReadyTask{index_, task});
}

// As the outcome of an attempt that could not start. What is merely asked, or computed anew behind
// a result, is let go of.
void Run::cannot_run(TaskId task, std::string why, Time now, ReadyQueue& ready, Wants& wants) {
  std::optional<Attempt> attempt = dispatch(task, now, ready, wants);
  if (!attempt) return;
  Report report{{index_, task, attempt->number}, {}};
  Outcome& outcome = report.outcome;
  outcome.state = TaskState::failed;
  outcome.failure = FailureClass::cannot_start;
  outcome.message = std::move(why);
  outcome.value = failure_payload("CannotStart", outcome.message);
  outcome.started = now;
  give_up_key(report.attempt, wants);
  reported(std::move(report), now, ready, wants);
}

void Run::give_up_key(const AttemptRef& attempt, Wants& wants) {
  const TaskId task = attempt.task;
  if (task == run_task || (flags_[task.value] & asking) != 0) return;
  const auto key = keys_.find(task);
  if (key == keys_.end()) return;
  Keep nothing;
  nothing.attempt = attempt;
  nothing.context = context_;
  nothing.node = node_of(task);
  nothing.key = key->second;
  wants.keeps.push_back(std::move(nothing));
}

void Run::tell_waiting(TaskId task, const Obstacle& obstacle, Time now, Wants& wants) {
  if (task == run_task || is_finished(state_[task.value])) return;
  journal::TaskChange change = change_to(task, TaskState::queued, now);
  change.run_count = run_count_[task.value];
  change.detail.emplace().message = waiting_message(obstacle.reason, obstacle.text);
  wants.batch.tasks.push_back(std::move(change));
}

}  // namespace reprise::scheduler
