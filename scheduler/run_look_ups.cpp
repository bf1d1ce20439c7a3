// The part of Run about asking the cache: what is looked up, how much at once, and what its answers
// mean.
#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

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
      if (overruled_.contains(task))
        judged_again(task, step);
      else
        fail_task(task, TaskState::failed, FailureClass::task, attempt.error().message, step);
      continue;
    }
    looked_up_.insert(task);
    step.wants.look_ups.push_back(std::move(*attempt));
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
  if (overruled_.contains(task)) {
    looked_up_overruled(task, std::move(answer), step);
  } else if (!answer.candidates.empty()) {
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

}  // namespace reprise::scheduler
