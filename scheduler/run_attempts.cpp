// The part of Run about attempts: sent, begun, reported, and what follows: another one, the next
// iteration of a loop, or the end of the task.
#include <algorithm>

#include <fmt/format.h>

#include "core/failure.hpp"
#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

namespace {

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
      pass(outcome.passed, outcome.state);
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
      outcome.uncacheable || outcome.passed != PassedStates{}) {
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.message = cancelled ? cancel_reason_ : std::move(outcome.message);
    if (detail.message.empty() && outcome.uncacheable)
      detail.message = "not cached: " + *outcome.uncacheable;
    if (detail.message.empty() && bypass != bypass_.end()) detail.message = bypass->second;
    if (detail.message.empty() && loss) detail.message = std::move(loss.mapped());
    detail.exit_code = outcome.exit_code;
    detail.signal = outcome.signal;
    detail.failure = outcome.failure;
    detail.passed = outcome.passed;
    if (key != keys_.end()) detail.key = key->second;
  }
  if (key != keys_.end()) keys_.erase(key);
  if (bypass != bypass_.end()) bypass_.erase(bypass);
  finish(task, std::move(change), step);
}

std::uint32_t Run::tries(TaskId task) const {
  const auto loop = loops_.find(task);
  const auto lost = lost_.find(task);
  const auto put_off = put_off_.find(task);
  return run_count_[task.value] - (loop == loops_.end() ? 0 : loop->second.attempts) -
         (lost == lost_.end() ? 0 : lost->second) -
         (put_off == put_off_.end() ? 0 : put_off->second);
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
  detail.passed = outcome.passed;
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
      if (puts_off(change)) ++put_off_[task];
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
      put_off_.erase(task);
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

}  // namespace reprise::scheduler
