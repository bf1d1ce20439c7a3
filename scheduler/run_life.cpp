// The part of Run about results that are past their time, failures that are remembered, and
// computations by others (docs/caching.md, "How long results live").
//
// A refresh is an attempt that nobody waits for but the run's end: its task is finished, with the
// stale result, and stays so. It goes through the queue and the slots like any other, under a
// number of its own, and its end is told as one more change of the same state.
#include <fmt/format.h>

#include "core/failure.hpp"
#include "core/text.hpp"
#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

namespace {

// Apart from attempts, and from questions, which count up from 1 << 31.
constexpr std::uint32_t first_refresh = 3U << 30;

std::string described_time(Time since, Time now) {
  return describe(std::max(now - since, Duration{0}));
}

}  // namespace

// ---- failures that are remembered

void Run::fail_as_before(TaskId task, Answer& answer, Step& step) {
  RememberedFailure& known = *answer.failure;
  journal::TaskChange change = change_to(task, known.failure.state, step.now);
  change.cache = journal::CacheOutcome::hit;
  change.result = std::move(known.failure.result);
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.key = answer.key;
  detail.origin = answer.origin;
  detail.failure = known.failure.failure;
  detail.exit_code = known.failure.exit_code;
  detail.message = fmt::format(
      "{} (remembered{}{})", known.failure.message,
      answer.origin ? fmt::format(" from run {}", answer.origin->text()) : std::string(),
      known.until ? fmt::format(" for another {}", described_time(step.now, *known.until))
                  : std::string());
  enter(task, std::move(change), step);
}

// True: the cache is asked to keep the failure, and the task goes on when it has answered.
bool Run::remember(TaskId task, Outcome& outcome, Step& step) {
  const auto key = keys_.find(task);
  if (key == keys_.end() || !writes(context_->cache) ||
      !is_remembered(flow_.kind_of(node_of(task)).cache, outcome))
    return false;
  const KeptFailure failure{outcome.state, outcome.failure, outcome.message, outcome.exit_code,
                            outcome.value};
  Keep keep{{index_, task, run_count_[task.value]},
            context_,
            node_of(task),
            label_of(task),
            map_index(task),
            key->second,
            failure.encode(),
            outcome.duration};
  keep.is_failure = true;
  step.wants.keeps.push_back(std::move(keep));
  Arrival arrival;
  arrival.stage = Stage::remembered;
  arrival.outcome = std::move(outcome);
  enter_active(task, keeping);
  arrivals_.insert_or_assign(task, std::move(arrival));
  return true;
}

// ---- stale results

// True: what the task gave before stands in for what it could not give now.
bool Run::fall_back(TaskId task, const Outcome& outcome, Step& step) {
  const auto found = fallbacks_.find(task);
  if (found == fallbacks_.end() || step.now >= found->second.until) return false;
  const Fallback fallback = std::move(found->second);
  fallbacks_.erase(found);
  journal::TaskChange change = change_to(task, TaskState::cached, step.now);
  change.cache = journal::CacheOutcome::hit;
  change.executed = outcome.executed;
  change.run_count = run_count_[task.value];
  change.duration = outcome.duration;
  change.result = fallback.value;
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.expired = fallback.expired;
  detail.origin = fallback.origin;
  // Never none: that tells it from what is computed anew behind a stale hit.
  detail.failure = outcome.failure == FailureClass::none ? FailureClass::task : outcome.failure;
  detail.exit_code = outcome.exit_code;
  detail.signal = outcome.signal;
  detail.passed = outcome.passed;
  pass(detail.passed, outcome.state);
  detail.message = fmt::format("stale: computing it anew failed ({}); it is over since {}",
                               outcome.message, described_time(fallback.expired, step.now));
  if (const auto key = keys_.find(task); key != keys_.end()) {
    detail.key = key->second;
    keep_nothing(task, key->second, outcome, step);
    keys_.erase(key);
  }
  bypass_.erase(task);
  losses_.erase(task);
  enter(task, std::move(change), step);
  return true;
}

// The worker leaves the lease of a failure that is to be remembered to whoever keeps it. Where
// nobody does, it is given up.
void Run::keep_nothing(TaskId task, const Key& key, const Outcome& outcome, Step& step) {
  if (is_remembered(flow_.kind_of(node_of(task)).cache, outcome)) keep_nothing(task, key, step);
}

// The cache need not wait for a result under this key.
void Run::keep_nothing(TaskId task, const Key& key, Step& step) {
  Keep nothing;
  nothing.attempt = {index_, task, run_count_[task.value]};
  nothing.context = context_;
  nothing.node = node_of(task);
  nothing.key = key;
  step.wants.keeps.push_back(std::move(nothing));
}

// The task has its stale result; what comes of this is for others.
void Run::refresh(TaskId task, const Key& key, Step& step) {
  Result<Attempt> attempt = make_attempt(task);
  if (!attempt) return;  // its arguments were made a moment ago, for the look-up
  attempt->number = last_refresh_ = std::max(last_refresh_, first_refresh) + 1;
  attempt->key = key;
  refreshes_.insert_or_assign(task, Refresh{std::move(*attempt), false, false});
  Group* group = is_element(task) ? group_of(node_of(task)) : nullptr;
  const std::uint32_t limit = flow_.kind_of(node_of(task)).max_parallel;
  if (group != nullptr && limit > 0 && group->in_flight >= limit)
    group->held.push_back(task);
  else
    queue_refresh(task, step);
}

void Run::queue_refresh(TaskId task, Step& step) {
  Refresh& refresh = refreshes_.at(task);
  refresh.is_queued = true;
  if (is_element(task)) ++group_of(node_of(task))->in_flight;
  // After everything that somebody waits for.
  step.ready.push(body_lane(task), refresh_rank, ReadyTask{index_, task});
}

std::optional<Attempt> Run::dispatch_refresh(TaskId task) {
  const auto found = refreshes_.find(task);
  if (found == refreshes_.end() || found->second.is_sent) return std::nullopt;
  found->second.is_sent = true;
  return found->second.attempt;
}

bool Run::is_refresh(const AttemptRef& attempt) const {
  const auto found = refreshes_.find(attempt.task);
  return found != refreshes_.end() && found->second.is_sent &&
         found->second.attempt.number == attempt.number;
}

void Run::refreshed(TaskId task, const Outcome& outcome, Step& step) {
  const Key key = *refreshes_.at(task).attempt.key;
  refreshes_.erase(task);
  if (is_element(task)) release_held(*group_of(node_of(task)), step);
  keep_nothing(task, key, outcome, step);
  if (outcome.state == TaskState::cancelled) return;
  journal::TaskChange change = change_to(task, state_[task.value], step.now);
  change.cache = journal::CacheOutcome::hit;
  change.executed = outcome.executed;
  change.run_count = run_count_[task.value];
  change.duration = outcome.duration;
  change.result = result_[task.value];
  executed_ += outcome.executed;
  journal::ChangeDetail& detail = change.detail.emplace();
  if (const auto known = stale_.find(task); known != stale_.end()) {
    detail = std::move(known->second);
    stale_.erase(known);
  }
  detail.message = outcome.stored ? std::string("stale: computed anew for later runs")
                   : outcome.state == TaskState::success
                       ? "stale: what was computed anew was not kept: " +
                             outcome.uncacheable.value_or("no reason was given")
                       : "stale: computing it anew failed: " + outcome.message;
  step.wants.batch.tasks.push_back(std::move(change));
}

// Cancelled: those that run are asked to end, the others never begin.
void Run::stop_refreshes(const std::function<bool(TaskId)>& is_chosen, Wants& wants) {
  for (auto it = refreshes_.begin(); it != refreshes_.end();) {
    const auto& [task, refresh] = *it;
    if (!is_chosen(task)) {
      ++it;
    } else if (refresh.is_sent) {
      wants.stops.push_back({index_, task, refresh.attempt.number});
      ++it;
    } else {
      if (refresh.is_queued && is_element(task)) --group_of(node_of(task))->in_flight;
      it = refreshes_.erase(it);
    }
  }
}

// ---- waiting for others

void Run::waits(const Waits& news, Time now, ReadyQueue& ready, Wants& wants) {
  const TaskId task = news.attempt.task;
  Step step{ready, wants, now};
  looked_up_.erase(task);  // it takes nobody's place before the cache meanwhile
  if (task.value >= state_.size() || (flags_[task.value] & looking_up) == 0 ||
      news.attempt.number != run_count_[task.value] + 1U)
    return settle(step);
  journal::TaskChange change = change_to(task, TaskState::queued, now);
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.origin = news.owner;
  detail.message = fmt::format("waits for run {}, which computes the same since {}",
                               news.owner.text(), to_rfc3339(news.since));
  wants.batch.tasks.push_back(std::move(change));
  settle(step);
}

}  // namespace reprise::scheduler
