#include "tests/support/scheduler_bench.hpp"

#include <algorithm>
#include <stdexcept>

namespace reprise::test {

using scheduler::RunIndex;

Outcome success(Value value) {
  Outcome outcome;
  outcome.state = TaskState::success;
  outcome.value = *Payload::of(value);
  outcome.executed = true;
  return outcome;
}

Outcome failure(FailureClass failure) {
  Outcome outcome;
  outcome.state = TaskState::failed;
  outcome.failure = failure;
  outcome.message = "it broke";
  outcome.executed = true;
  return outcome;
}

void SchedulerBench::handle(scheduler::Event event) {
  scheduler::Effects effects = scheduler_.handle(std::move(event), now);
  for (Attempt& attempt : effects.dispatches) sent.push_back(std::move(attempt));
  for (Attempt& attempt : effects.look_ups) look_ups.push_back(std::move(attempt));
  for (scheduler::Nest& nest : effects.nests) nests.push_back(std::move(nest));
  stops.insert(stops.end(), effects.stops.begin(), effects.stops.end());
  retracts.insert(retracts.end(), effects.retracts.begin(), effects.retracts.end());
  for (journal::Batch& batch : effects.batches) {
    // What is journalled is what its bytes say.
    auto copy = journal::decode(batch.run, journal::encode(batch));
    if (!copy) throw std::runtime_error(copy.error().message);
    journal.push_back(std::move(*copy));
  }
  ended.insert(ended.end(), effects.ended.begin(), effects.ended.end());
  wake_at_ = effects.wake_at;
  scheduler_.check_invariants();
  keeps.insert(keeps.end(), effects.keeps.begin(), effects.keeps.end());
  for (const scheduler::Keep& keep : effects.keeps)
    handle(scheduler::Kept{keep.attempt, keeps_results});
}

void SchedulerBench::submit(std::shared_ptr<const FlowSpec> flow, std::vector<journal::Batch> past,
                            CacheMode cache, bool resume) {
  auto context = std::make_shared<RunContext>();
  context->flow = std::move(flow);
  context->cache = cache;
  handle(scheduler::Submit{RunIndex{0}, std::move(context), std::move(past), resume, resume,
                           resume_tasks, shape});
}

std::string SchedulerBench::name_of(const Attempt& attempt) const {
  std::string name = attempt.context->flow->nodes[attempt.node.value].name;
  if (attempt.map_index >= 0) name += "[" + std::to_string(attempt.map_index) + "]";
  return name;
}

std::size_t SchedulerBench::position_of(const std::vector<Attempt>& attempts,
                                        const std::string& task) const {
  const auto found = std::find_if(attempts.begin(), attempts.end(),
                                  [&](const Attempt& a) { return name_of(a) == task; });
  if (found == attempts.end()) throw std::runtime_error("not waiting: " + task);
  return static_cast<std::size_t>(found - attempts.begin());
}

void SchedulerBench::report(std::size_t position, Outcome outcome) {
  const Attempt attempt = sent.at(position);
  sent.erase(sent.begin() + static_cast<std::ptrdiff_t>(position));
  outcome.started = now;
  scheduler::Reported event;
  event.reports.push_back(
      {{RunIndex{attempt.run}, attempt.task, attempt.number}, std::move(outcome)});
  handle(std::move(event));
}

// A question that the test has nothing to say about is answered as if nobody objected.
Outcome SchedulerBench::no_objection(const Question& question) {
  Outcome outcome;
  switch (question.kind) {
    case Question::Kind::trigger:
      outcome = success(true);
      break;
    case Question::Kind::cache_key:
      outcome = success("a key");
      break;
    case Question::Kind::validator:  // none is valid
      outcome.state = TaskState::success;
      outcome.value = Payload::nil();
      break;
    case Question::Kind::hooks:
      outcome.state = question.after.state;
      outcome.message = question.after.message;
      outcome.value = question.after.result;
      outcome.start_time = question.after.start_time;
      break;
    case Question::Kind::run_hooks:
      outcome.state = TaskState::running;
      break;
  }
  outcome.executed = false;
  return outcome;
}

void SchedulerBench::pause(std::vector<std::string> tasks) {
  scheduler::Pause event{RunIndex{0}, {}, "a person asked"};
  for (const std::string& name : tasks) event.tasks.push_back(run().find_task(name).value());
  handle(std::move(event));
}

void SchedulerBench::succeed(const std::string& task, Value value) {
  report(position_of(sent, task), success(std::move(value)));
}

void SchedulerBench::fail(const std::string& task, FailureClass why) {
  report(position_of(sent, task), failure(why));
}

void SchedulerBench::answer(std::size_t position, std::optional<Value> value) {
  const Attempt attempt = look_ups.at(position);
  look_ups.erase(look_ups.begin() + static_cast<std::ptrdiff_t>(position));
  scheduler::Answer answer;
  answer.attempt = {RunIndex{attempt.run}, attempt.task, attempt.number};
  answer.key = Key{digest_in("test", name_of(attempt))};
  if (value) answer.value = *Payload::of(*value);
  scheduler::LookedUp event;
  event.answers.push_back(std::move(answer));
  handle(std::move(event));
}

void SchedulerBench::hit(const std::string& task, Value value) {
  answer(position_of(look_ups, task), std::move(value));
}

void SchedulerBench::miss(const std::string& task) {
  answer(position_of(look_ups, task), std::nullopt);
}

void SchedulerBench::cancel(std::vector<std::string> tasks) {
  scheduler::Cancel event{RunIndex{0}, {}, "a person asked"};
  for (const std::string& name : tasks) event.tasks.push_back(run().find_task(name).value());
  handle(std::move(event));
}

void SchedulerBench::advance() {
  if (!wake_at_) throw std::runtime_error("no timer");
  now = std::max(now, *wake_at_);
  handle(scheduler::Tick{});
}

scheduler::Ended SchedulerBench::finish(const std::function<Outcome(const std::string&)>& body) {
  while (ended.empty()) {
    if (!look_ups.empty())
      answer(0, std::nullopt);
    else if (!sent.empty())
      report(0, sent.front().question ? no_objection(*sent.front().question)
                                      : body(name_of(sent.front())));
    else
      advance();
  }
  return ended.front();
}

TaskState SchedulerBench::state(const std::string& task) {
  return run().state(run().find_task(task).value());
}

std::string SchedulerBench::sent_names() const {
  std::vector<std::string> names;
  for (const Attempt& attempt : sent) names.push_back(name_of(attempt));
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

}  // namespace reprise::test
