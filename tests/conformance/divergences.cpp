#include "tests/conformance/divergences.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <vector>

namespace reprise::conformance {
namespace {

constexpr const char* page = "docs/decisions/0009-where-older-engines-are-not-followed.md";

std::string upstream_of(const Json& described) {
  return described.is_object() ? described.value("task", "") : described.get<std::string>();
}

std::vector<std::string> upstreams(const Json& task) {
  std::vector<std::string> all;
  for (const Json& each : list_in(task, "upstream")) all.push_back(upstream_of(each));
  for (const auto& [name, from] : object_in(task, "inputs").items())
    if (from.contains("task")) all.push_back(text_in(from, "task"));
  return all;
}

std::string trigger_of(const Json& task) {
  const Json& options = object_in(task, "options");
  const auto found = options.find("trigger");
  if (found == options.end() || found->is_null()) return "all_successful";
  return found->is_object() ? found->value("name", "") : found->get<std::string>();
}

bool any_task(const Json& test_case, const std::function<bool(const Json&)>& holds) {
  const Json& tasks = list_in(test_case, "tasks");
  return std::any_of(tasks.begin(), tasks.end(), holds);
}

bool is_cached(const Json& task) {
  return object_in(task, "options").contains("cache_for_s");
}

std::string cache_key(const Json& task) {
  return object_in(task, "options")
      .value("cache_key", task.value("cache_name", task.value("name", "")));
}

/// A task depends on itself.
bool has_cycle(const Json& test_case) {
  std::map<std::string, std::vector<std::string>> graph;
  for (const Json& task : list_in(test_case, "tasks"))
    graph[text_in(task, "name")] = upstreams(task);
  std::set<std::string> open, done;
  const std::function<bool(const std::string&)> returns = [&](const std::string& name) {
    if (done.contains(name)) return false;
    if (!open.insert(name).second) return true;
    for (const std::string& above : graph[name])
      if (returns(above)) return true;
    open.erase(name);
    done.insert(name);
    return false;
  };
  for (const Json& task : list_in(test_case, "tasks"))
    if (returns(text_in(task, "name"))) return true;
  return false;
}

bool is_without_upstream(const Json& task, const std::string& trigger) {
  return trigger_of(task) == trigger && upstreams(task).empty();
}

/// Several results under one key: the newest goes first here.
bool has_shared_key(const Json& test_case) {
  std::set<std::string> keys;
  return any_task(test_case, [&](const Json& task) {
    return is_cached(task) && !keys.insert(cache_key(task)).second;
  });
}

/// What a run that is one pass only has made can be found by the next one.
bool caches_in_single_passes(const Json& test_case) {
  const Json& prior = list_in(test_case, "prior_runs");
  return any_task(test_case, is_cached) &&
         std::any_of(prior.begin(), prior.end(), [](const Json& run) {
           return object_in(run, "run_options").value("mode", "full") == "single_pass";
         });
}

}  // namespace

std::string decision_about(const Json& test_case) {
  const bool is_known =
      any_task(test_case,
               [](const Json& task) { return is_without_upstream(task, "manual_only"); }) ||
      has_cycle(test_case) || has_shared_key(test_case) || caches_in_single_passes(test_case);
  return is_known ? page : "";
}

}  // namespace reprise::conformance
