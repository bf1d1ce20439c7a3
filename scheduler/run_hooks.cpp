// The part of Run that asks user code: custom triggers, key functions, and hooks, which are shown
// every state before it is entered. The question travels to a worker as an attempt does; until the
// answer is there the task counts as active, and nothing else happens to it.
#include <algorithm>

#include <fmt/format.h>

#include "core/failure.hpp"
#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

namespace {

// Numbers of questions lie above those of attempts, so that late news are told apart.
constexpr std::uint32_t first_question = 1U << 31;

}  // namespace

bool Run::has_hooks(TaskId task) const {
  return !flow_.kind_of(node_of(task)).hooks.empty();
}

std::string Run::name_of(TaskId task) const {
  const NodeId node = node_of(task);
  const std::string& name = flow_.nodes[node.value].name;
  if (!is_element(task)) return name;
  const std::string label = label_of(task);
  return fmt::format("{}[{}]", name, label.empty() ? std::to_string(map_index(task)) : label);
}

std::string Run::label_of(TaskId task) const {
  if (!is_element(task)) return {};
  const ElementLabels& labels = group_of(node_of(task))->labels;
  const auto index = static_cast<std::size_t>(map_index(task));
  return index < labels.size() ? std::string(labels[index]) : std::string();
}

StateRecord Run::record_of(TaskId task) const {
  StateRecord record;
  record.state = state_[task.value];
  record.result = result_[task.value];
  if (const auto why = failures_.find(task); why != failures_.end()) record.message = why->second;
  return record;
}

std::vector<Question::Upstream> Run::upstreams_of(TaskId task) const {
  std::vector<Question::Upstream> all;
  const NodeId node = node_of(task);
  const std::int32_t index = map_index(task);
  std::vector<TaskId> seen;
  const auto add = [&](TaskId upstream) {
    if (std::find(seen.begin(), seen.end(), upstream) != seen.end()) return;
    seen.push_back(upstream);
    all.push_back({name_of(upstream), record_of(upstream)});
  };
  FlowGraph::for_each_upstream(flow_, node, [&](NodeId from, const Input& input) {
    const Group* group = group_of(from);
    if (group == nullptr) return add(TaskId{from.value});
    if (edge_is_elementwise(from, input) && index >= 0)
      return add(TaskId{group->first.value + static_cast<std::uint32_t>(index)});
    for (std::uint32_t i = 0; i < group->width; ++i) add(TaskId{group->first.value + i});
  });
  return all;
}

// ---- asking

void Run::enter(TaskId task, journal::TaskChange change, Step& step) {
  if (!has_hooks(task) || cancelled_) return settle_in(task, std::move(change), step);
  arrive(task, Stage::entry, std::move(change), step);
}

void Run::begin(TaskId task, Step& step) {
  if ((pauses_all_ || !pauses_.empty()) && is_held_back(task) && !cancelled_)
    return wait_in(task, paused_by_person(task, step.now), step);
  if (!has_hooks(task)) return want_slot(task, step);
  if (const auto given = initial_.find(task);
      given != initial_.end() && given->second.state.state == TaskState::cached) {
    given->second.state.state = TaskState::pending;  // what it was given did not do; said once
    return arrive(task, Stage::undone, change_to(task, TaskState::pending, step.now), step);
  }
  arrive(task, Stage::start, change_to(task, TaskState::running, step.now), step);
}

// The cache comes before the trigger. Where the trigger does not let a hit stand, that makes a
// difference to hooks alone. True: the task goes on when they have been shown it.
bool Run::show_overruled(TaskId task, Verdict verdict, Step& step) {
  if (cancelled_ || !overruled_.emplace(task, verdict).second) return false;
  const TaskKind& kind = flow_.kind_of(node_of(task));
  if (const auto given = initial_.find(task);
      given != initial_.end() && given->second.state.state == TaskState::cached) {
    if (Result<bool> valid = is_valid(task, given->second, step.now); valid && *valid) {
      journal::TaskChange change = change_to(task, TaskState::cached, step.now);
      change.result = given->second.state.result;
      arrive(task, Stage::overruled, std::move(change), step);
      return true;
    }
  }
  const bool is_looked_up = kind.cache.enabled && context_->cache != CacheMode::off &&
                            kind.cache.key_function.empty() && kind.target.text.empty();
  if (is_looked_up)
    look_up(task);
  else
    overruled_.erase(task);
  return is_looked_up;
}

void Run::looked_up_overruled(TaskId task, Answer answer, Step& step) {
  // Nobody computes what others may wait for.
  const bool is_ours_to_make = !answer.value && !answer.failure;
  if (answer.key && (is_ours_to_make || answer.refresh)) keep_nothing(task, *answer.key, step);
  if (!answer.value) return judged_again(task, step);
  journal::TaskChange change = change_to(task, TaskState::cached, step.now);
  change.result = std::move(*answer.value);
  arrive(task, Stage::overruled, std::move(change), step);
}

void Run::judged_again(TaskId task, Step& step) {
  judged(task, overruled_.at(task), step);
  overruled_.erase(task);
}

void Run::arrive(TaskId task, Stage stage, journal::TaskChange change, Step& step) {
  Arrival arrival;
  arrival.stage = stage;
  arrival.change = std::move(change);
  arrive(task, std::move(arrival), step);
}

void Run::arrive(TaskId task, Arrival arrival, Step& step) {
  if (!has_hooks(task) || cancelled_) return land(task, std::move(arrival), false, step);
  Question question;
  question.kind = Question::Kind::hooks;
  question.before = record_of(task);
  StateRecord& after = question.after;
  if (is_before_attempt(arrival.stage)) {
    after.state = arrival.change.state;
    after.result = arrival.change.result;
    if (arrival.change.detail) {
      after.message = arrival.change.detail->message;
      after.start_time = arrival.change.detail->start_time;
    }
  } else {
    const Outcome& outcome = arrival.outcome;
    question.before.state = arrival.stage == Stage::result ? TaskState::running : outcome.state;
    after = {outcome.state, outcome.message, outcome.value, outcome.start_time};
    if (arrival.stage == Stage::stored) after.state = TaskState::cached;
    if (arrival.stage == Stage::retry) after.state = TaskState::retrying;
  }
  arrival.question = std::make_shared<const Question>(std::move(question));
  ask(task, std::move(arrival), step);
}

void Run::ask(TaskId task, Arrival arrival, Step& step) {
  arrivals_.insert_or_assign(task, std::move(arrival));
  enter_active(task, queued);
  flags_[task.value] = static_cast<std::uint8_t>(flags_[task.value] | asking);
  step.ready.push(question_lane(task), graph_.rank(node_of(task)), ReadyTask{index_, task});
}

// Its validator says which of the earlier results is valid, if any.
void Run::ask_validator(TaskId task, Answer answer, Step& step) {
  Question question;
  question.kind = Question::Kind::validator;
  question.candidates = std::move(answer.candidates);
  Arrival arrival;
  arrival.stage = Stage::validator;
  arrival.question = std::make_shared<const Question>(std::move(question));
  arrival.key = answer.key;
  arrival.reason = std::move(answer.reason);
  ask(task, std::move(arrival), step);
}

std::optional<Attempt> Run::dispatch_question(TaskId task) {
  Attempt attempt;
  attempt.run = index_.value;
  attempt.task = task;
  attempt.number = last_question_ = std::max(last_question_, first_question) + 1;
  attempt.context = context_;
  if (task == run_task) {
    if (!run_question_ || run_question_sent_) return std::nullopt;
    run_question_sent_ = true;
    attempt.node = NodeId{0};
    attempt.question = run_question_;
    return attempt;
  }
  const Arrival& arrival = arrivals_.at(task);
  if (Result<Attempt> made = make_attempt(task)) {
    made->number = attempt.number;
    attempt = std::move(*made);
  }
  attempt.node = node_of(task);
  attempt.map_index = map_index(task);
  attempt.key.reset();
  attempt.question = arrival.question;
  // The attempt that is about to begin, or has just ended.
  const bool has_ended = arrival.stage == Stage::result || arrival.stage == Stage::stored ||
                         arrival.stage == Stage::retry;
  attempt.run_count = tries(task) + (has_ended ? 0 : 1);
  asked_.insert_or_assign(task, attempt.number);
  enter_active(task, dispatched);
  flags_[task.value] = static_cast<std::uint8_t>(flags_[task.value] & ~queued);
  return attempt;
}

// ---- answers

void Run::answered(TaskId task, Outcome outcome, Step& step) {
  asked_.erase(task);
  Arrival arrival = std::move(arrivals_.at(task));
  arrivals_.erase(task);
  if (outcome.state == TaskState::cancelled || cancelled_) {
    journal::TaskChange change = change_to(task, TaskState::cancelled, step.now);
    change.run_count = run_count_[task.value];
    change.executed = arrival.outcome.executed;
    change.duration = arrival.outcome.duration;
    change.detail.emplace().message = cancel_reason_;
    return finish(task, std::move(change), step);
  }
  if (outcome.failure == FailureClass::timeout) {
    outcome.state = TaskState::failed;
    outcome.failure = FailureClass::validation;
    outcome.message = "user code that was asked about its state did not answer: " + outcome.message;
    outcome.value = failure_payload("NoAnswer", outcome.message);
    outcome.is_final = true;
  }
  if (arrival.stage == Stage::trigger) {
    const bool passes =
        outcome.state == TaskState::success && outcome.value == *Payload::of(Value{true});
    if (passes) return judged(task, Verdict::run, step);
    if (outcome.state == TaskState::success) return judged(task, Verdict::trigger_failed, step);
    // A trigger that failed by itself has the same end, with its own message; a signal has its own.
    journal::TaskChange change = change_to(task, outcome.state, step.now);
    if (is_failed(outcome.state)) change.state = TaskState::trigger_failed;
    change.result = std::move(outcome.value);
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.message = std::move(outcome.message);
    detail.start_time = outcome.start_time;
    return enter(task, std::move(change), step);
  }
  if (arrival.stage == Stage::cache_key) {
    const Result<Value> key = outcome.value.value();
    const std::string* text = key ? key->get_if<std::string>() : nullptr;
    if (outcome.state == TaskState::success && text != nullptr) {
      user_keys_.insert_or_assign(task, *text);
      return look_up(task);
    }
    bypass_.insert_or_assign(task, outcome.state == TaskState::success
                                       ? "its key function gave no key"
                                       : "uncacheable: " + outcome.message);
    return begin(task, step);
  }
  if (arrival.stage == Stage::validator) return validated(task, arrival, std::move(outcome), step);
  // Hooks: the state that they made of it.
  if (is_before_attempt(arrival.stage)) {
    journal::TaskChange& change = arrival.change;
    if (change.state != outcome.state) change.cache = journal::CacheOutcome::none;
    change.state = outcome.state;
    change.result = std::move(outcome.value);
    if (!outcome.message.empty() || outcome.start_time || change.detail) {
      journal::ChangeDetail& detail = change.detail ? *change.detail : change.detail.emplace();
      detail.message = std::move(outcome.message);
      detail.start_time = outcome.start_time;
      if (is_failed(change.state) && detail.failure == FailureClass::none)
        detail.failure = FailureClass::validation;
    }
  } else {
    const bool was_failed = is_failed(arrival.outcome.state);
    if (arrival.stage != Stage::stored) {
      arrival.outcome.state = outcome.state;
    } else if (outcome.state != TaskState::cached) {
      pass(arrival.outcome.passed, TaskState::success);
      arrival.outcome.state = outcome.state;
      arrival.outcome.uncacheable = "a hook made another state of it";
    }
    arrival.outcome.value = std::move(outcome.value);
    arrival.outcome.message = std::move(outcome.message);
    arrival.outcome.start_time = outcome.start_time;
    const bool is_retried = arrival.stage == Stage::retry && outcome.state == TaskState::retrying;
    if (!is_failed(outcome.state) && !is_retried)
      arrival.outcome.failure = FailureClass::none;
    else if (!was_failed && is_failed(outcome.state))
      arrival.outcome.failure = FailureClass::validation;
  }
  land(task, std::move(arrival), outcome.is_final, step);
}

// The validator gave the position of a candidate, or nil. One that throws fails its task.
void Run::validated(TaskId task, const Arrival& arrival, Outcome outcome, Step& step) {
  if (outcome.state != TaskState::success) {
    journal::TaskChange change = change_to(task, outcome.state, step.now);
    change.result = std::move(outcome.value);
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.message = std::move(outcome.message);
    detail.start_time = outcome.start_time;
    detail.failure = outcome.failure;
    return enter(task, std::move(change), step);
  }
  const std::vector<Candidate>& candidates = arrival.question->candidates;
  const Result<Value> chosen = outcome.value.value();
  const auto* position = chosen ? chosen->get_if<std::int64_t>() : nullptr;
  if (position == nullptr || *position < 0 ||
      static_cast<std::uint64_t>(*position) >= candidates.size())
    return missed(task, arrival.key, arrival.reason, step);
  const Candidate& valid = candidates[static_cast<std::size_t>(*position)];
  if (arrival.key) keep_nothing(task, *arrival.key, step);
  journal::TaskChange change = change_to(task, TaskState::cached, step.now);
  change.cache = journal::CacheOutcome::hit;
  change.result = valid.value;
  journal::ChangeDetail& detail = change.detail.emplace();
  detail.key = valid.key;
  detail.origin = valid.run;
  enter(task, std::move(change), step);
}

void Run::settle_in(TaskId task, journal::TaskChange change, Step& step) {
  if (is_scheduled(change.state)) return wait_in(task, std::move(change), step);
  if (!is_finished(change.state)) {
    change.detail.emplace().message =
        fmt::format("a hook gave it the state {}, in which nothing can follow", name(change.state));
    change.state = TaskState::failed;
  }
  finish(task, std::move(change), step);
}

// The state stands: what follows from it. `is_final`: nothing but the state itself.
void Run::land(TaskId task, Arrival arrival, bool is_final, Step& step) {
  journal::TaskChange& change = arrival.change;
  switch (arrival.stage) {
    case Stage::trigger:
    case Stage::cache_key:
    case Stage::validator:
    case Stage::remembered:
      return;  // answered elsewhere
    case Stage::overruled:
      if (is_final) return settle_in(task, std::move(change), step);
      return judged_again(task, step);
    case Stage::undone:
      if (!is_final && change.state == TaskState::pending) return begin(task, step);
      return settle_in(task, std::move(change), step);
    case Stage::expansion: {
      const NodeId node = node_of(task);
      if (is_final || change.state != TaskState::mapped)
        return settle_in(task, std::move(change), step);
      return graph_.is_mapped(node) ? expand(node, true, step) : reduce(node, true, step);
    }
    case Stage::start:
      if (!is_final && change.state == TaskState::running) return want_slot(task, step);
      [[fallthrough]];
    case Stage::entry:
      return settle_in(task, std::move(change), step);
    case Stage::result: {
      Outcome& outcome = arrival.outcome;
      outcome.is_final = is_final;
      if (is_final || outcome.state != TaskState::success || !keys_.contains(task) ||
          outcome.uncacheable || !writes(context_->cache))
        return succeed_or_fail(task, std::move(outcome), false, step);
      // Asked before anything is kept: nobody is to be served what they refuse.
      arrival.stage = Stage::stored;
      return arrive(task, std::move(arrival), step);
    }
    case Stage::stored: {
      Outcome& outcome = arrival.outcome;
      outcome.is_final = is_final;
      if (outcome.state != TaskState::success || outcome.uncacheable)
        return succeed_or_fail(task, std::move(outcome), false, step);
      step.wants.keeps.push_back({{index_, task, run_count_[task.value]},
                                  context_,
                                  node_of(task),
                                  label_of(task),
                                  map_index(task),
                                  keys_.at(task),
                                  outcome.value,
                                  outcome.duration});
      enter_active(task, keeping);
      arrivals_.insert_or_assign(task, std::move(arrival));
      return;
    }
    case Stage::retry: {
      Outcome& outcome = arrival.outcome;
      if (!is_final && outcome.state == TaskState::retrying)
        return retry(task, outcome, outcome.start_time.value_or(step.now), step);
      outcome.is_final = true;  // it was decided already that another attempt follows
      return succeed_or_fail(task, std::move(outcome), false, step);
    }
  }
}

void Run::kept(const Kept& answer, Time now, ReadyQueue& ready, Wants& wants) {
  const TaskId task = answer.attempt.task;
  if (task.value >= state_.size() || (flags_[task.value] & keeping) == 0 ||
      answer.attempt.number != run_count_[task.value])
    return;
  Step step{ready, wants, now};
  leave_active(task, keeping);
  Arrival arrival = std::move(arrivals_.at(task));
  arrivals_.erase(task);
  arrival.outcome.stored = answer.kept;
  if (arrival.stage == Stage::remembered) {
    end_task(task, std::move(arrival.outcome), false, step);
    return settle(step);
  }
  if (!answer.kept)
    arrival.outcome.uncacheable = answer.why.empty() ? "the cache did not take it" : answer.why;
  succeed_or_fail(task, std::move(arrival.outcome), false, step);
  settle(step);
}

// ---- the run's own hooks

void Run::ask_run_hooks(RunState after, std::string message, Step& step) {
  Question question;
  question.kind = Question::Kind::run_hooks;
  question.run_before = has_begun_ ? RunState::running : RunState::queued;
  question.run_after = after;
  question.run_message = std::move(message);
  run_question_ = std::make_shared<const Question>(std::move(question));
  ask_run_again(step);
}

void Run::ask_run_again(Step& step) {
  run_question_sent_ = false;
  step.ready.push(run_lane_, 0, ReadyTask{index_, run_task});
}

// outcome.state stands for the run's: success, failed, cancelled, paused; running = as it was.
void Run::run_answered(Outcome outcome, Step& step) {
  const std::shared_ptr<const Question> question = std::exchange(run_question_, nullptr);
  Ended end{index_, question->run_after, question->run_message};
  switch (outcome.state) {
    case TaskState::running:
      break;
    case TaskState::success:
      end = {index_, RunState::success, outcome.message};
      break;
    case TaskState::paused:
      end = {index_, RunState::paused, outcome.message};
      break;
    case TaskState::cancelled:
      end = {index_, RunState::cancelled, outcome.message};
      break;
    default:
      end = {index_, RunState::failed, outcome.message};
      break;
  }
  if (has_begun_) {
    end_approved_ = std::move(end);
    return;
  }
  if (end.state == RunState::running) return begin_tasks(step);
  // The run's hooks did not let it begin.
  has_begun_ = true;
  refusal_ = end.message;
  if (end.state == RunState::failed && refusal_.empty()) refusal_ = "a hook of the run refused it";
  end_approved_ = std::move(end);
}

}  // namespace reprise::scheduler
