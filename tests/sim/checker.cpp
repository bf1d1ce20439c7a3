#include "tests/sim/checker.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"

namespace reprise::sim {

namespace {

std::string text_of(const RunId& run, TaskId task, std::uint32_t number) {
  return fmt::format("run {} task {} attempt {}", run.short_text(), task.value, number);
}

std::vector<Digest> digests_of(const std::vector<Argument>& arguments) {
  std::vector<Digest> digests;
  for (const Argument& each : arguments) digests.push_back(each.value.digest);
  return digests;
}

[[noreturn]] void broken(Invariant invariant, const std::string& what) {
  throw Broken(invariant, what);
}

}  // namespace

// ---- RunLog

NodeId RunLog::node_of(TaskId task) const {
  if (task.value < flow_->nodes.size()) return NodeId{task.value};
  for (const auto& [number, each] : tasks)
    if (each.width > 0 && task.value >= each.first_element &&
        task.value < each.first_element + each.width)
      return NodeId{number};
  return NodeId::none();
}

void RunLog::apply(const journal::Batch& batch) {
  if (next_element_ == 0) next_element_ = static_cast<std::uint32_t>(flow_->nodes.size());
  for (const journal::TaskChange& change : batch.tasks) {
    if (journal::is_refresh(change) && is_finished(tasks[change.task.value].state)) {
      executed += change.executed;
      continue;
    }
    const NodeId node = node_of(change.task);
    if (node.is_none())
      broken(Invariant::no_phantom,
             fmt::format("a change of task {}, which is none", change.task.value));
    Task& task = tasks[change.task.value];
    const std::string who =
        fmt::format("task {} of run {}", change.task.value, batch.run.short_text());
    if (is_finished(task.state))
      broken(Invariant::unique_commit,
             fmt::format("{} is {} and becomes {}", who, name(task.state), name(change.state)));
    const TaskKind& kind = flow_->kind_of(node);
    executed += change.executed;
    hits += is_success(change.state) && change.cache == journal::CacheOutcome::hit;
    const auto failure = change.detail ? change.detail->failure : FailureClass::none;
    if (change.state == TaskState::retrying && ++task.failed_tries > kind.retry.max)
      broken(Invariant::limits, who + " is retried more often than it may be");
    const bool is_lost = failure == FailureClass::worker_lost;
    if (is_failed(change.state) && change.executed && !is_lost &&
        task.failed_tries < kind.retry.max)
      broken(Invariant::limits,
             fmt::format("{} failed for good after {} of {} retries: {}", who, task.failed_tries,
                         kind.retry.max, change.detail ? change.detail->message : ""));
    gave_up_lost |= is_failed(change.state) && is_lost;
    // What a task takes was there before it began, also where its upstreams are recorded.
    if (change.executed || change.state == TaskState::running)
      for (const Input& input : flow_->inputs_of(node))
        if (input.source == Input::Source::upstream && value_of(NodeId{input.index}).is_none())
          broken(Invariant::dependency_safety,
                 fmt::format("{} ran before what it takes from node {} was recorded", who,
                             input.index));
    task.state = change.state;
    if (is_finished(change.state)) task.result = change.result;
    if (change.state == TaskState::mapped) {
      task.width = change.detail ? change.detail->width : 0;
      task.first_element = next_element_;
      next_element_ += task.width;
    }
  }
  if (!batch.change) return;
  if (is_finished(state))
    broken(Invariant::unique_commit,
           fmt::format("run {} is {} and becomes {}", batch.run.short_text(), name(state),
                       name(batch.change->state)));
  state = batch.change->state;
  was_cancelled |= state == RunState::cancelling || state == RunState::cancelled;
}

Payload RunLog::value_of(NodeId node) const {
  const auto found = tasks.find(node.value);
  if (found == tasks.end()) return {};
  const Task& task = found->second;
  if (task.state != TaskState::mapped) return task.result;
  List list;
  for (std::uint32_t i = 0; i < task.width; ++i) {
    const auto element = tasks.find(task.first_element + i);
    if (element == tasks.end() || !is_success(element->second.state)) return {};
    const Payload& result = element->second.result;
    list.push_back(result.is_none() ? Value{} : *result.value());
  }
  return *Payload::of(Value{std::move(list)});
}

journal::Summary RunLog::summary() const {
  journal::Summary counted;
  counted.executed = executed;
  counted.cached = hits;
  for (const auto& [number, task] : tasks) {
    if (task.state == TaskState::mapped) continue;
    ++counted.tasks;
    counted.failed += is_failed(task.state);
    counted.skipped += task.state == TaskState::skipped;
    counted.cancelled += task.state == TaskState::cancelled;
  }
  return counted;
}

// ---- Checker

void Checker::require(bool holds, Invariant invariant, const std::string& what) const {
  if (!holds) broken(invariant, what);
}

Checker::Known& Checker::known(const RunId& run) {
  const auto found = runs_.find(run);
  if (found == runs_.end())
    broken(Invariant::no_phantom, "run " + run.text() + " was never asked for");
  return found->second;
}

const Job* Checker::job_of(const RunId& run) const {
  const auto found = runs_.find(run);
  if (found == runs_.end())
    broken(Invariant::no_phantom, "run " + run.text() + " was never asked for");
  return found->second.job;
}

// What somebody was told is there; and the journal is a possible one.
void Checker::recovered(std::uint64_t life, journal::Journal& journal) {
  life_ = life;
  given_.clear();
  run_of_index_.clear();
  journal::RunQuery all;
  all.limit = UINT32_MAX;
  std::set<RunId> there;
  const auto rows = journal.runs(all);
  for (const journal::RunRow& row : *rows) there.insert(row.id);
  for (auto& [run, known] : runs_) {
    const std::string who = "run " + run.short_text();
    known.is_cancelled = known.told_cancelled;
    if (!there.contains(run))
      broken(Invariant::no_lost_task, who + " was accepted and is not on disk");
    known.log = std::make_unique<RunLog>(known.job->flow);
    const auto entries = journal.read(run, 0);
    for (const journal::Journal::Entry& entry : *entries) known.log->apply(entry.batch);
    if (known.told_cancelled && !known.log->was_cancelled && !is_finished(known.log->state))
      broken(Invariant::cancel, who + " was cancelled, and its journal does not say so");
    if (known.told && known.log->state != *known.told)
      broken(Invariant::no_lost_task, fmt::format("{} was told to be {}, and is {} on disk", who,
                                                  name(*known.told), name(known.log->state)));
  }
}

void Checker::run_opened(const RunId& run, const Job& job) {
  const auto [place, is_new] = by_key_.emplace(job.key, run);
  if (!is_new)
    broken(Invariant::no_phantom, fmt::format("key \"{}\" became run {} and run {}", job.key,
                                              place->second.short_text(), run.short_text()));
  Known& known = runs_[run];
  known.job = &job;
  known.log = std::make_unique<RunLog>(job.flow);
}

void Checker::restored(const RunId& run, scheduler::Run& made) {
  const RunLog& log = *known(run).log;
  for (const auto& [number, task] : log.tasks) {
    const std::string who = fmt::format("task {} of run {}", number, run.short_text());
    if (number >= made.task_count())
      broken(Invariant::replay_equals_state, who + " was not restored");
    const TaskState state = made.state(TaskId{number});
    if ((is_finished(task.state) || is_finished(state)) && state != task.state)
      broken(Invariant::replay_equals_state,
             fmt::format("{} is {} in the journal and was restored as {}", who, name(task.state),
                         name(state)));
    if (number < log.flow().nodes.size() && is_success(task.state) &&
        task.state != TaskState::mapped && !(made.value_of(NodeId{number}) == task.result))
      broken(Invariant::replay_equals_state, who + " was restored with another result");
  }
}

void Checker::appended(const journal::Batch& batch) {
  known(batch.run).log->apply(batch);
}

void Checker::check_inputs(const RunLog& log, const Attempt& attempt) const {
  const auto inputs = log.flow().inputs_of(attempt.node);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs[i];
    if (input.source != Input::Source::upstream) continue;
    const Payload value = log.value_of(NodeId{input.index});
    const std::string who = text_of(attempt.context->run, attempt.task, attempt.number);
    if (value.is_none())
      broken(Invariant::dependency_safety,
             fmt::format("{} begins before node {} was recorded", who, input.index));
    if (!input.mapped && !(attempt.arguments[i].value == value))
      broken(
          Invariant::unique_commit,
          fmt::format("{} is given another result of node {} than was recorded", who, input.index));
  }
}

void Checker::dispatched(const Attempt& attempt) {
  const RunId run = attempt.context->run;
  const std::string who = text_of(run, attempt.task, attempt.number);
  Known& of = known(run);
  if (of.is_cancelled)
    broken(Invariant::cancel, who + " is dispatched after the run was cancelled");
  check_inputs(*of.log, attempt);
  const TaskKind& kind = of.job->flow->kind_of(attempt.node);
  if (kind.max_parallel > 0) {
    std::uint32_t others = 0;
    for (const auto& [name, given] : given_)
      others += std::get<0>(name) == run && given.node == attempt.node && !given.is_over;
    if (others >= kind.max_parallel)
      broken(Invariant::limits, who + " is one more of its node than may run at once");
  }
  run_of_index_[attempt.run] = run;
  const auto [place, is_new] =
      given_.emplace(Name{run, attempt.task.value, attempt.number}, Given{});
  if (!is_new) broken(Invariant::fencing, who + " is dispatched twice");
  place->second.node = attempt.node;
  place->second.map_index = attempt.map_index;
  place->second.arguments = digests_of(attempt.arguments);
}

void Checker::adopted(const scheduler::Adopted::One& news) {
  const RunId run = run_of_index_.at(news.attempt.run.value);
  const std::string who = text_of(run, news.attempt.task, news.attempt.number);
  auto given = given_.extract(Name{run, news.attempt.task.value, news.attempt.number});
  if (given.empty())
    broken(Invariant::fencing, who + " was not given out, and something is adopted");
  given.key() = Name{run, news.attempt.task.value, news.number};
  if (!given_.insert(std::move(given)).inserted)
    broken(Invariant::fencing, who + " is given out, and adopted beside that");
  world_.trace("adopted", news.attempt.task.value, news.number);
}

void Checker::returned(const scheduler::AttemptRef& attempt) {
  const RunId run = run_of_index_.at(attempt.run.value);
  const std::string who = text_of(run, attempt.task, attempt.number);
  const auto found = given_.find({run, attempt.task.value, attempt.number});
  if (found == given_.end() || found->second.is_over)
    broken(Invariant::fencing, who + " is given back, and nobody had it");
  if (begun_.contains({life_, run, attempt.task.value, attempt.number}))
    broken(Invariant::fencing, who + " is given back, and has begun");
  given_.erase(found);
  world_.trace("returned", attempt.task.value, attempt.number);
}

void Checker::took(const std::string& worker, const char* what, std::uint64_t taken,
                   std::uint64_t all) const {
  if (taken > all)
    broken(Invariant::resource_safety,
           fmt::format("{} has {} {} and {} are given away", worker, all, what, taken));
}

void Checker::reported(const scheduler::Report& report) {
  const RunId run = run_of_index_.at(report.attempt.run.value);
  const std::string who = text_of(run, report.attempt.task, report.attempt.number);
  const auto found = given_.find({run, report.attempt.task.value, report.attempt.number});
  if (found == given_.end()) broken(Invariant::fencing, who + " was not given out and is reported");
  Given& given = found->second;
  if (std::exchange(given.is_over, true)) broken(Invariant::fencing, who + " is reported twice");
  if (!report.outcome.executed) return;
  const auto number = static_cast<std::size_t>(report.outcome.exit_code);
  if (number >= executions_.size())
    broken(Invariant::no_phantom, who + " never ran and is reported");
  const Execution& execution = executions_[number];
  // What a scheduler before gave out counts where it was at the same, and takes the place of what
  // this one gave out. Tasks may have had other numbers there.
  if (execution.run != run || execution.node != given.node ||
      execution.map_index != given.map_index || execution.number != report.attempt.number ||
      (execution.scheduler_life == life_ && execution.task != report.attempt.task))
    broken(Invariant::fencing,
           fmt::format("{} ends with what another attempt gave: {} of scheduler {}", who,
                       text_of(execution.run, execution.task, execution.number),
                       execution.scheduler_life));
  if (!execution.is_over) broken(Invariant::no_phantom, who + " is reported and still runs");
  if (execution.arguments != given.arguments)
    broken(Invariant::dependency_safety, who + " ran with other arguments than it was given");
  if (report.outcome.state != execution.state || report.outcome.value.digest != execution.value)
    broken(Invariant::unique_commit, who + " is reported with another result than it had");
}

void Checker::answered(const Attempt& attempt, const scheduler::Answer& answer) {
  const FlowSpec& flow = *attempt.context->flow;
  const Behavior& behavior = workload_.behavior_of(flow, attempt.node);
  const std::string& cache_name = flow.kind_of(attempt.node).cache_name;
  const Payload right = value_for(behavior, cache_name, attempt.arguments, 0);
  const bool is_doomed = behavior.fails_first == UINT32_MAX;  // nobody has a result of it
  if (answer.key && !is_doomed && wanted_.size() < 64)
    wanted_.push_back({*answer.key, right, cache_name});
  if (!answer.value) return;
  const std::string who = text_of(attempt.context->run, attempt.task, attempt.number);
  if (!(*answer.value == right))
    broken(Invariant::no_wrong_cache, who + " is served something that its body would not give");
  if (!answer.key || !kept_[*answer.key].contains(answer.value->digest))
    broken(Invariant::no_wrong_cache, who + " is served something that was never kept");
}

void Checker::cancel_asked(const RunId& run) {
  known(run).is_cancel_asked = true;
}

void Checker::cancel_answered(const RunId& run) {
  known(run).is_cancelled = true;
}

void Checker::ended(const RunId& run, const scheduler::Ended& ended,
                    const journal::Summary& summary) {
  const Known& of = known(run);
  const RunLog& log = *of.log;
  const std::string who = "run " + run.short_text();
  if (log.state != ended.state)
    broken(Invariant::replay_equals_state, fmt::format("{} ends as {} and is recorded as {}", who,
                                                       name(ended.state), name(log.state)));
  if (!(log.summary() == summary))
    broken(
        Invariant::observability_truth,
        fmt::format("{} says executed {} cached {} failed {} cancelled {} of {}, its journal {} {} "
                    "{} {} of {}",
                    who, summary.executed, summary.cached, summary.failed, summary.cancelled,
                    summary.tasks, log.summary().executed, log.summary().cached,
                    log.summary().failed, log.summary().cancelled, log.summary().tasks));
  if (log.was_cancelled && !of.is_cancel_asked)
    broken(Invariant::no_phantom, who + " was cancelled, and nobody asked for that");
  const RunState expected = log.was_cancelled   ? RunState::cancelled
                            : of.job->is_doomed ? RunState::failed
                                                : RunState::success;
  if (ended.state != expected && !(ended.state == RunState::failed && log.gave_up_lost))
    broken(Invariant::no_lost_task, fmt::format("{} ends as {} and is to end as {}", who,
                                                name(ended.state), name(expected)));
}

void Checker::gave_up_worker(const std::string& name, Duration silence, Duration lost_after) const {
  if (silence < lost_after)
    broken(Invariant::bounded_recovery,
           fmt::format("{} is given up, and said something {} ago", name, describe(silence)));
}

void Checker::told_accepted(const Job& job, const RunId& run) {
  const auto found = runs_.find(run);
  if (found == runs_.end()) {
    // So it is on nobody's disk.
    broken(Invariant::no_lost_task,
           fmt::format("\"{}\" was accepted as run {}, which is not on disk", job.key,
                       run.short_text()));
  }
  if (found->second.job != &job)
    broken(Invariant::no_phantom,
           fmt::format("\"{}\" was accepted as somebody else's run", job.key));
  found->second.told_accepted = true;
}

void Checker::told_cancelled(const RunId& run) {
  known(run).told_cancelled = true;
}

void Checker::told_end(const RunId& run, RunState state) {
  Known& of = known(run);
  if (of.told && *of.told != state)
    broken(Invariant::unique_commit, fmt::format("run {} was told to be {}, then {}",
                                                 run.short_text(), name(*of.told), name(state)));
  of.told = state;
}

std::int32_t Checker::began(const std::string& worker, std::uint64_t life,
                            const cluster::WorkerCard& card, const Attempt& attempt) {
  const RunId run = attempt.context->run;
  const std::string who = text_of(run, attempt.task, attempt.number);
  const Known& of = known(run);
  Execution execution;
  execution.run = run;
  execution.task = attempt.task;
  execution.number = attempt.number;
  execution.worker = worker;
  execution.worker_life = life;
  const TaskKind& kind = of.job->flow->kind_of(attempt.node);
  execution.memory_bytes = kind.resources.memory_bytes;
  execution.node = attempt.node;
  execution.map_index = attempt.map_index;
  execution.arguments = digests_of(attempt.arguments);
  const auto value = attempt.context->context.at(life_name).value();
  execution.scheduler_life = static_cast<std::uint64_t>(*value->get_if<std::int64_t>());
  if (execution.scheduler_life == life_ &&
      !given_.contains({run, attempt.task.value, attempt.number}))
    broken(Invariant::no_phantom, who + " begins, and nobody dispatched it");
  if (!begun_.emplace(execution.scheduler_life, run, attempt.task.value, attempt.number).second)
    broken(Invariant::fencing, who + " begins twice");
  std::uint64_t slots = 1, memory = execution.memory_bytes;
  for (const std::int32_t other : running_) {
    const Execution& each = executions_[static_cast<std::size_t>(other)];
    if (each.worker != worker) continue;
    ++slots;
    memory += each.memory_bytes;
  }
  took(worker, "slots", slots, card.slots);
  took(worker, "memory", memory, card.capacity.memory_bytes);
  if (!std::ranges::includes(card.labels, kind.require))
    broken(Invariant::resource_safety, who + " requires another worker than " + worker);
  const auto number = static_cast<std::int32_t>(executions_.size());
  executions_.push_back(std::move(execution));
  running_.insert(number);
  world_.trace("begins on " + worker, attempt.task.value, attempt.number);
  return number;
}

void Checker::finished(std::int32_t number, const Outcome& outcome) {
  Execution& execution = executions_[static_cast<std::size_t>(number)];
  execution.is_over = true;
  execution.state = outcome.state;
  execution.value = outcome.value.digest;
  running_.erase(number);
}

void Checker::stopped(std::int32_t number) {
  Execution& execution = executions_[static_cast<std::size_t>(number)];
  if (!execution.stop_by) execution.stop_by = world_.now() + grace;
}

void Checker::check_time(const std::function<bool(const std::string& worker)>& is_paused) {
  for (const std::int32_t number : running_) {
    Execution& execution = executions_[static_cast<std::size_t>(number)];
    if (!execution.stop_by) continue;
    if (is_paused(execution.worker))
      execution.stop_by = world_.now() + grace;
    else if (world_.now() > *execution.stop_by)
      broken(Invariant::cancel, text_of(execution.run, execution.task, execution.number) + " on " +
                                    execution.worker + " does not stop");
  }
}

void Checker::worker_died(const std::string& worker) {
  std::erase_if(running_, [&](std::int32_t number) {
    Execution& execution = executions_[static_cast<std::size_t>(number)];
    if (execution.worker != worker) return false;
    execution.is_over = true;
    execution.state = TaskState::lost;
    return true;
  });
}

void Checker::may_be_kept(const cache::Commit& commit) {
  kept_[commit.key].insert(commit.value.digest);
}

void Checker::quiet(journal::Journal& journal) const {
  if (!running_.empty())
    broken(Invariant::no_orphan, fmt::format("{} attempts still run", running_.size()));
  for (const auto& [run, known] : runs_) {
    const std::string who = "run " + run.short_text();
    RunLog log(known.job->flow);
    const auto entries = journal.read(run, 0);
    for (const journal::Journal::Entry& entry : *entries) log.apply(entry.batch);
    if (!is_finished(log.state)) broken(Invariant::liveness, who + " did not end");
    if (known.told && *known.told != log.state)
      broken(Invariant::no_lost_task, fmt::format("{} was told to be {}, and is {} on disk", who,
                                                  name(*known.told), name(log.state)));
    if (known.told_cancelled && !log.was_cancelled)
      broken(Invariant::cancel, who + " was cancelled, and its journal does not say so");
    journal::RunQuery query;
    query.id_prefix = run.text();
    const auto rows = journal.runs(query);
    if (!(rows->front().summary == log.summary()))
      broken(Invariant::observability_truth, who + " has another summary than its journal gives");
  }
}

}  // namespace reprise::sim
