#include "tests/conformance/case_file.hpp"

#include <algorithm>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "reprise/state.hpp"

namespace reprise::conformance {
namespace {

const Words expectations{
    "expect",         "expect_results",       "expect_executions",      "expect_children",
    "expect_history", "expect_handler_calls", "expect_on_failure_calls"};

/// What a case may say that it needs.
const Words features{"cache",
                     "caching",
                     "cancellation",
                     "cancel",
                     "carry_states",
                     "concurrency",
                     "conditional",
                     "conditionals",
                     "context",
                     "expiration",
                     "flatten",
                     "flow_parameters",
                     "handlers",
                     "initial_states",
                     "isolation",
                     "locking",
                     "locks",
                     "looping",
                     "loops",
                     "manual_only",
                     "map",
                     "mapping",
                     "merge",
                     "on_failure",
                     "parameters",
                     "pause",
                     "prefect3_cache",
                     "reference_tasks",
                     "resource_manager",
                     "resume",
                     "retries",
                     "retry",
                     "signals",
                     "single_pass",
                     "skip",
                     "skipping",
                     "start_tasks",
                     "state_handlers",
                     "switch",
                     "time",
                     "timeout",
                     "timeouts",
                     "transactions",
                     "triggers"};

std::set<std::string> names_of_tasks(const Json& test_case) {
  std::set<std::string> names;
  for (const Json& task : list_in(test_case, "tasks")) names.insert(text_in(task, "name"));
  return names;
}

void check_states(const Json& states) {
  for (const auto& [task, state] : states.items())
    if (task != "error" && (!state.is_string() || !parse_task_state(state.get<std::string>())))
      throw bad_case(fmt::format("no state is called {}", state.dump()));
}

void check_expectations(const Json& run, const std::set<std::string>& tasks) {
  check_states(object_in(run, "expect"));
  for (const std::string_view member : expectations)
    for (const auto& [task, wanted] : object_in(run, std::string(member).c_str()).items()) {
      const bool is_of_run =
          (task == "flow" && is_one_of({"expect", "expect_handler_calls"}, member)) ||
          (task == "error" && member == "expect");
      if (!is_of_run && !tasks.contains(task))
        throw bad_case(fmt::format("{} speaks of \"{}\", which is no task", member, task));
    }
}

}  // namespace

expected<std::vector<Json>> read_cases(const std::filesystem::path& path) {
  const auto refuse = [&](error_code code, const std::string& why) {
    return tl::unexpected(
        error{code, fmt::format("cannot read cases from \"{}\": {}", path.string(), why)});
  };
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path))
    return refuse(error_code::io, "there is no such file, or it may not be read");
  Json all;
  try {
    all = Json::parse(in);
  } catch (const Json::exception& e) {
    return refuse(error_code::corrupt, e.what());
  }
  if (!all.is_array()) return refuse(error_code::corrupt, "it is no list of cases");
  std::vector<Json> cases;
  for (Json& each : all) {
    if (!each.is_object() || !each.contains("id") || !each["id"].is_string())
      return refuse(error_code::corrupt,
                    fmt::format("its entry {} is no object with a text \"id\"", cases.size()));
    cases.push_back(std::move(each));
  }
  return cases;
}

const Json& object_in(const Json& parent, const char* name) {
  static const Json none = Json::object();
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return none;
  if (!found->is_object()) throw bad_case(fmt::format("\"{}\" is no object", name));
  return *found;
}

const Json& list_in(const Json& parent, const char* name) {
  static const Json none = Json::array();
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return none;
  if (!found->is_array()) throw bad_case(fmt::format("\"{}\" is no list", name));
  return *found;
}

std::string text_in(const Json& parent, const char* name) {
  const auto found = parent.find(name);
  if (found == parent.end() || !found->is_string())
    throw bad_case(fmt::format("\"{}\" is missing or no text", name));
  return found->get<std::string>();
}

double number_in(const Json& parent, const char* name) {
  const auto found = parent.find(name);
  if (found == parent.end() || !found->is_number())
    throw bad_case(fmt::format("\"{}\" is missing or no number", name));
  return found->get<double>();
}

double number_in(const Json& parent, const char* name, double otherwise) {
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return otherwise;
  return number_in(parent, name);
}

bool flag_in(const Json& parent, const char* name, bool otherwise) {
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return otherwise;
  if (!found->is_boolean()) throw bad_case(fmt::format("\"{}\" is not true or false", name));
  return found->get<bool>();
}

bool is_one_of(Words words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void check_members(const Json& object, const std::string& whose, Words known) {
  if (!object.is_object()) throw bad_case(fmt::format("{} is no object", whose));
  for (const auto& [name, member] : object.items())
    if (!is_one_of(known, name))
      throw bad_case(fmt::format("{} has a member \"{}\", which is not known", whose, name));
}

void check_requirements(const Json& test_case) {
  for (const Json& each : list_in(test_case, "requires"))
    if (!each.is_string() || !is_one_of(features, each.get<std::string>()))
      throw bad_case(fmt::format("it requires {}, which is not known", each.dump()));
}

std::vector<CaseRun> runs_of(const Json& test_case) {
  check_requirements(test_case);
  check_members(test_case, "the case",
                {"id",
                 "source",
                 "category",
                 "tasks",
                 "reference_tasks",
                 "run_options",
                 "prior_runs",
                 "flow_state_handlers",
                 "expect",
                 "expect_results",
                 "expect_history",
                 "expect_executions",
                 "expect_children",
                 "requires",
                 "verified",
                 "expect_handler_calls",
                 "oracle",
                 "engine",
                 "note",
                 "expect_on_failure_calls",
                 "divergence_ok",
                 "min_duration_s"});
  for (const char* needed : {"tasks", "run_options", "expect"})
    if (!test_case.contains(needed)) throw bad_case(fmt::format("there is no \"{}\"", needed));
  const std::set<std::string> tasks = names_of_tasks(test_case);
  std::vector<CaseRun> runs;
  const Json& prior = list_in(test_case, "prior_runs");
  for (std::size_t i = 0; i < prior.size(); ++i) {
    check_members(prior[i], fmt::format("prior_runs[{}]", i),
                  {"run_options", "expect", "expect_results", "expect_executions",
                   "expect_children", "expect_history", "expect_handler_calls",
                   "expect_on_failure_calls", "min_duration_s", "note"});
    runs.push_back({&prior[i], fmt::format("prior_runs[{}].", i)});
  }
  runs.push_back({&test_case, ""});
  for (const CaseRun& each : runs) check_expectations(*each.members, tasks);
  return runs;
}

}  // namespace reprise::conformance
