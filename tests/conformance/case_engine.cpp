#include "tests/conformance/case_engine.hpp"

#include <set>

#include <fmt/format.h>

#include "tests/conformance/case_flow.hpp"
#include "tests/conformance/values.hpp"

namespace reprise::conformance {
namespace {

using std::chrono::nanoseconds;

std::string class_of(const run_result& ended) {
  switch (ended.state) {
    case run_state::success:
      return "Success";
    case run_state::failed:
      return "Failed";
    case run_state::cancelled:
      return "Cancelled";
    case run_state::queued:
      return "Scheduled";
    case run_state::running:
    case run_state::paused:
    case run_state::cancelling:
    case run_state::interrupted:
      break;
  }
  return "Running";
}

/// States that only this engine has, on the way to those of the cases.
bool is_told(task_state state) {
  switch (state) {
    case task_state::pending:
    case task_state::ready:
    case task_state::queued:
    case task_state::submitted:
    case task_state::lost:
      return false;
    case task_state::scheduled:
    case task_state::retrying:
    case task_state::paused:
    case task_state::resume:
    case task_state::running:
    case task_state::cancelling:
    case task_state::success:
    case task_state::cached:
    case task_state::mapped:
    case task_state::skipped:
    case task_state::looped:
    case task_state::failed:
    case task_state::trigger_failed:
    case task_state::timed_out:
    case task_state::validation_failed:
    case task_state::cancelled:
      break;
  }
  return true;
}

nanoseconds left_until(Deadline deadline) {
  return std::max<nanoseconds>(deadline - std::chrono::steady_clock::now(), nanoseconds(0));
}

}  // namespace

engine_options engine_for_cases(const Place& place, unsigned slots, const skipping_clock& clock) {
  engine_options options;
  options.data = place.data;
  options.in_memory = place.data.empty();
  options.redis = place.redis;
  options.slots = slots;
  options.grace = std::chrono::milliseconds(200);
  options.clock = clock;
  return options;
}

CaseEngine::CaseEngine(const Json& test_case, Tally& tally, const Place& place, Deadline deadline)
    : case_(test_case),
      tally_(tally),
      engine_(engine_for_cases(place, 4, clock_)),
      deadline_(deadline) {}

void CaseEngine::set_time(std::chrono::system_clock::time_point now) {
  const nanoseconds ahead = now - clock_.now();
  if (ahead.count() > 0) clock_.advance(ahead);
}

Observation CaseEngine::execute(std::size_t number,
                                std::optional<std::chrono::system_clock::time_point> begun) {
  const CaseRun described = runs_of(case_).at(number);
  const Json& options = object_in(*described.members, "run_options");
  tally_.begin_run(number);
  Observation observed;
  try {
    if (!flow_ || flag_in(options, "rebuild_flow", false)) flow_ = build_flow(case_, tally_);
  } catch (const usage_error& refused) {
    observed.refusal = refused.what();
    return observed;
  }
  if (const double wait = number_in(options, "advance_s", 0); wait > 0) {
    const auto ahead = std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(wait));
    clock_.advance(ahead);
    if (begun) *begun += ahead;
  }
  submit_options submitted = options_of(options);
  submitted.always_new = !begun;
  const auto begin = begun.value_or(clock_.now());
  const expected<run> started = engine_.try_run(*flow_, submitted);
  if (!started) {
    observed.refusal = started.error().message;
    return observed;
  }
  const std::optional<run_result> ended = started->wait_for(left_until(deadline_));
  observed.is_over = ended.has_value();
  if (!ended) return observed;
  observed.seconds = std::chrono::duration<double>(clock_.now() - begin).count();
  observed.flow = class_of(*ended);
  observe(*started, submitted, observed);
  states_ = observed.states;
  return observed;
}

submit_options CaseEngine::options_of(const Json& options) {
  submit_options made;
  check_members(options, "\"run_options\"",
                {"mode", "parameters", "context", "initial_task_states", "initial_flow_state",
                 "carry_states", "start_tasks", "advance_s", "rebuild_flow"});
  const std::string mode = options.contains("mode") ? text_in(options, "mode") : "full";
  if (mode != "full" && mode != "single_pass")
    throw bad_case(fmt::format("no mode is called \"{}\"", mode));
  made.single_pass = mode == "single_pass";
  made.record_events = true;
  for (const auto& [key, entry] : object_in(options, "context").items())
    made.context.emplace(key, to_value(entry));
  set_parameters(made, options);
  for (const Json& name : list_in(options, "start_tasks")) {
    if (!name.is_string()) throw bad_case("a start task has no name");
    made.start_tasks.push_back(name.get<std::string>());
  }
  made.initial_states = initial_states(options);
  if (options.contains("initial_flow_state") && !options["initial_flow_state"].is_null())
    set_start(made, options["initial_flow_state"]);
  return made;
}

// One pass takes parameters that the flow does not have: the tasks find them in their context.
void CaseEngine::set_parameters(submit_options& made, const Json& options) const {
  Json in_context = object_in(object_in(options, "context"), "parameters");
  bool are_all_known = true;
  for (const auto& [name, given] : object_in(options, "parameters").items()) {
    const bool is_known = has_parameter(case_, name);
    if (is_known || !made.single_pass) made.parameters.insert_or_assign(name, to_value(given));
    if (is_known || !made.single_pass) continue;
    in_context[name] = given;
    are_all_known = false;
  }
  if (!are_all_known) made.context.insert_or_assign("parameters", to_value(in_context));
}

std::map<std::string, given_state> CaseEngine::initial_states(const Json& options) {
  std::map<std::string, given_state> initial;
  if (flag_in(options, "carry_states", false)) initial = states_;
  const auto tasks = task_numbers(case_);
  for (const auto& [task, state] : object_in(options, "initial_task_states").items()) {
    if (!tasks.contains(task))
      throw bad_case(fmt::format("a state is given to \"{}\", which is no task", task));
    initial.insert_or_assign(task, state.is_null() ? given_state{} : state_in(state, clock_.now()));
  }
  return initial;
}

void CaseEngine::set_start(submit_options& options, const Json& description) const {
  const given_state given = state_in(description, clock_.now());
  const task_state kind = given.state.kind;
  if (is_kind_of(kind, task_state::success))
    options.finished_as = run_state::success;
  else if (is_kind_of(kind, task_state::failed))
    options.finished_as = run_state::failed;
  else if (kind == task_state::cancelled)
    options.finished_as = run_state::cancelled;
  else if (given.state.start_time)
    options.start_at = given.state.start_time;
}

void CaseEngine::observe(const run& started, const submit_options& submitted,
                         Observation& observed) const {
  observed.states = started.states();
  // The run tells the states that it was given, too; they are no changes.
  std::set<std::string> given;
  for (const event& change : started.events()) {
    if (change.index || !is_told(change.state)) continue;
    const auto known = submitted.initial_states.find(change.task);
    if (known != submitted.initial_states.end() && known->second.state.kind == change.state &&
        change.state != task_state::cached && given.insert(change.task).second &&
        !observed.history.contains(change.task))
      continue;
    observed.history[change.task].emplace_back(class_name(change.state));
  }
  for (const auto& [name, number] : task_numbers(case_)) {
    observed.executions[name] = tally_.executions(number);
    observed.handler_calls[name] = tally_.handler_calls(number);
    observed.failure_calls[name] = tally_.failure_calls(number);
  }
  observed.handler_calls["flow"] = tally_.handler_calls(Tally::flow);
}

}  // namespace reprise::conformance
