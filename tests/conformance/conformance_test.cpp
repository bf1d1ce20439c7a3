// Guards the program that runs conformance cases: it passes what is right and reports what is not.
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "tests/conformance/case_file.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(conformance)

namespace {

using reprise::conformance::Json;
using reprise::testing::TemporaryFolder;

std::filesystem::path from_environment(const char* name, const char* otherwise) {
  const char* given = std::getenv(name);
  return given != nullptr ? given : otherwise;
}

const std::filesystem::path own_cases =
    from_environment("REPRISE_SOURCE_DIR", ".") / "tests/conformance/own_cases.json";

/// Files of cases that come with the specification; empty, with a message: they are not there.
std::vector<std::filesystem::path> shared_cases() {
  const std::filesystem::path beside = from_environment("REPRISE_SOURCE_DIR", ".") / "../shared";
  const std::filesystem::path folder =
      from_environment("REPRISE_SHARED_DIR", beside.c_str()) / "conformance";
  std::vector<std::filesystem::path> files{folder / "states.json", folder / "fuzz.json"};
  for (const auto& file : files) {
    if (std::filesystem::exists(file)) continue;
    std::cout << "SKIPPED: " << file.string()
              << " is absent; REPRISE_SHARED_DIR names the folder it is in\n";
    return {};
  }
  return files;
}

struct Outcome {
  int code = -1;
  std::vector<std::string> lines;

  [[nodiscard]] std::string last() const { return lines.empty() ? "" : lines.back(); }
  [[nodiscard]] bool has(const std::string& beginning) const {
    for (const std::string& line : lines)
      if (line.starts_with(beginning)) return true;
    return false;
  }
  [[nodiscard]] std::string all() const {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
  }
};

Outcome run(const std::filesystem::path& file, const std::string& more = "") {
  const std::filesystem::path program =
      from_environment("REPRISE_BIN_DIR", "bin") / "conformance_runner";
  const std::string command =
      fmt::format("'{}' '{}' {} 2>&1", program.string(), file.string(), more);
  Outcome outcome;
  FILE* pipe = ::popen(command.c_str(), "r");
  BOOST_REQUIRE(pipe != nullptr);
  std::string line;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    outcome.lines.push_back(line);
    line.clear();
  }
  if (!line.empty()) outcome.lines.push_back(line);
  const int status = ::pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

Outcome run_cases(const Json& cases, const std::string& more = "") {
  const TemporaryFolder folder;
  reprise::testing::write_file(folder / "cases.json", cases.dump());
  return run(folder / "cases.json", more);
}

void check_none_failed(const Outcome& outcome) {
  BOOST_TEST(outcome.code == 0, outcome.all());
  BOOST_TEST(outcome.last().find(" 0 failed") != std::string::npos, outcome.last());
}

Json one_task(const std::string& id, const Json& behaviour) {
  return {{"id", id},
          {"tasks", {{{"name", "a"}, {"upstream", Json::array()}, {"behaviour", behaviour}}}},
          {"run_options", {{"mode", "full"}}},
          {"expect", {{"a", "Success"}, {"flow", "Success"}}}};
}

/// One expectation of a case: where it is, how the program calls it, and what is wrong there.
struct Corruption {
  Json::json_pointer place;
  std::string member;
  Json wrong;
};

void add_corruptions(const Json& members, const std::string& at, const std::string& where,
                     std::vector<Corruption>& all) {
  const auto add = [&](const char* member, const std::string& task, const Json& wrong) {
    all.push_back({Json::json_pointer(at) / member / task,
                   fmt::format("{}{}.{}:", where, member, task), wrong});
  };
  const auto each = [&](const char* member, const auto& wrong) {
    if (!members.contains(member)) return;
    for (const auto& [task, right] : members[member].items()) add(member, task, wrong(right));
  };
  const auto other_class = [](const Json& right) {
    return right == "Success" ? "Failed" : "Success";
  };
  const auto one_more = [](const Json& right) { return right.get<int>() + 1; };
  const auto longer = [](const Json& right) {
    Json list = right;
    list.push_back("Looped");
    return list;
  };
  if (!members["expect"].contains("error")) each("expect", other_class);
  each("expect_results", [](const Json& right) {
    return right.is_number() ? Json(right.get<double>() + 1) : Json{{"corrupted", right}};
  });
  each("expect_executions", one_more);
  each("expect_handler_calls", one_more);
  each("expect_on_failure_calls", one_more);
  each("expect_children", longer);
  each("expect_history", longer);
}

std::vector<Corruption> corruptions(const Json& test_case) {
  std::vector<Corruption> all;
  if (test_case.contains("calls")) {
    for (std::size_t i = 0; i < test_case["expect"].size(); ++i)
      for (const auto& [member, right] : test_case["expect"][i].items())
        if (member != "error")
          all.push_back({Json::json_pointer("/expect") / i / member,
                         fmt::format("expect[{}].{}:", i, member), Json{{"corrupted", right}}});
    return all;
  }
  add_corruptions(test_case, "", "", all);
  for (std::size_t i = 0; i < test_case.value("prior_runs", Json::array()).size(); ++i)
    add_corruptions(test_case["prior_runs"][i], fmt::format("/prior_runs/{}", i),
                    fmt::format("prior_runs[{}].", i), all);
  return all;
}

/// Takes up to `count` cases, each with one of its expectations made wrong.
void check_that_corruptions_are_reported(std::vector<Json> cases, std::size_t count) {
  std::mt19937 random(20240229);
  std::shuffle(cases.begin(), cases.end(), random);
  Json wrong = Json::array();
  std::vector<std::string> reports;
  for (Json& each : cases) {
    if (each.value("divergence_ok", false) || wrong.size() == count) continue;
    const std::vector<Corruption> all = corruptions(each);
    if (all.empty()) continue;
    const Corruption& chosen = all[random() % all.size()];
    each[chosen.place] = chosen.wrong;
    reports.push_back(fmt::format("{} {}", each["id"].get<std::string>(), chosen.member));
    wrong.push_back(std::move(each));
  }
  const Outcome outcome = run_cases(wrong);
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.last() == fmt::format("0 passed, {} failed, 0 skipped", wrong.size()));
  for (const std::string& report : reports) BOOST_TEST(outcome.has(report), report);
}

std::vector<Json> cases_of(const std::filesystem::path& file) {
  auto cases = reprise::conformance::read_cases(file);
  BOOST_REQUIRE(cases.has_value());
  return std::move(*cases);
}

}  // namespace

BOOST_AUTO_TEST_CASE(own_cases_come_out_as_expected) {
  check_none_failed(run(own_cases));
}

BOOST_AUTO_TEST_CASE(own_cases_survive_that_their_runs_are_killed) {
  for (const int seed : {1, 2, 3})
    check_none_failed(run(own_cases, fmt::format("--crash {}", seed)));
}

BOOST_AUTO_TEST_CASE(shared_cases_come_out_as_expected) {
  for (const auto& file : shared_cases()) check_none_failed(run(file));
}

BOOST_AUTO_TEST_CASE(shared_cases_survive_that_their_runs_are_killed) {
  for (const auto& file : shared_cases()) check_none_failed(run(file, "--crash 7"));
}

// Every run has an engine of its own here: what it finds was kept in the server.
BOOST_AUTO_TEST_CASE(cases_come_out_as_expected_with_results_in_a_server) {
  reprise::testing::RedisServer server;
  const std::string redis = fmt::format("--redis 127.0.0.1:{}", server.port());
  check_none_failed(run(own_cases, redis));
  check_none_failed(run(own_cases, redis + " --crash 5"));
  for (const auto& file : shared_cases()) check_none_failed(run(file, redis));
  const std::string used = server("INFO", "commandstats").text;
  BOOST_TEST(used.find("cmdstat_mget") != std::string::npos);
  BOOST_TEST(used.find("cmdstat_fcall") != std::string::npos);
  BOOST_TEST(server("DBSIZE").integer == 0);
}

BOOST_AUTO_TEST_CASE(every_corrupted_expectation_of_own_cases_is_reported) {
  check_that_corruptions_are_reported(cases_of(own_cases), SIZE_MAX);
}

BOOST_AUTO_TEST_CASE(a_corrupted_expectation_is_reported_in_each_of_200_cases) {
  std::vector<Json> all;
  for (const auto& file : shared_cases())
    for (Json& each : cases_of(file)) all.push_back(std::move(each));
  if (!all.empty()) check_that_corruptions_are_reported(std::move(all), 200);
}

BOOST_AUTO_TEST_CASE(a_case_that_is_not_understood_fails) {
  const Outcome outcome = run_cases({one_task("odd", {{"type", "levitate"}}),
                                     one_task("good", {{"type", "success"}, {"value", 1}})});
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.has("odd case: expected one that can be run got no behaviour is called"));
  BOOST_TEST(outcome.last() == "1 passed, 1 failed, 0 skipped");
}

/// `good` with one more member at `place`, or with another value there.
Json changed(Json good, const std::string& id, const char* place, const Json& wrong) {
  good["id"] = id;
  good[Json::json_pointer(place)] = wrong;
  return good;
}

// A case that says something which is not looked at would pass without being checked.
BOOST_AUTO_TEST_CASE(a_word_that_is_not_known_fails_its_case_wherever_it_stands) {
  Json good = one_task("good", {{"type", "success"}, {"value", 1}});
  good["tasks"][0]["options"] = Json::object();
  good["tasks"][0]["inputs"] = {{"x", {{"const", 1}}}};
  const std::vector<std::pair<const char*, Json>> wrong{
      {"/expect_result", {{"a", 5}}},
      {"/prior_run", Json::array()},
      {"/refrence_tasks", {"a"}},
      {"/requires", {"teleport"}},
      {"/expect/zz", "Pending"},
      {"/expect/a", "Succes"},
      {"/expect_executions", {{"zz", 0}}},
      {"/expect_results", {{"zz", nullptr}}},
      {"/run_options/start_task", {"a"}},
      {"/run_options/initial_task_states", {{"zz", "Success"}}},
      {"/run_options/initial_task_states", {{"a", {{"state", "Success"}, {"reslt", 3}}}}},
      {"/tasks/0/input", {{"x", {{"const", 1}}}}},
      {"/tasks/0/inputs/x/maped", true},
      {"/tasks/0/behaviour/vlaue", 1},
      {"/tasks/0/behaviour", {{"type", "echo"}}},
      {"/tasks/0/options/retry", 3},
      {"/tasks/0/options/retries", 1.5},
      {"/tasks/0/options/trigger", {{"name", "some_failed"}, {"atleast", 1}}},
      {"/tasks/0/options/trigger", {{"name", "all_failed"}, {"at_least", 1}}},
      {"/tasks/0/options/cache_validator", {{"name", "duration_only"}, {"validates_on", {"x"}}}},
      {"/tasks/0/options/state_handlers", {{{"do", "record"}, {"no", "Success"}}}},
      {"/prior_runs", {{{"run_options", {{"mode", "full"}}}, {"expects", {{"a", "Success"}}}}}}};
  Json cases = Json::array({good});
  for (std::size_t i = 0; i < wrong.size(); ++i)
    cases.push_back(changed(good, fmt::format("wrong-{}", i), wrong[i].first, wrong[i].second));
  for (const char* needed : {"tasks", "run_options", "expect"}) {
    cases.push_back(good);
    cases.back()["id"] = fmt::format("without-{}", needed);
    cases.back().erase(needed);
  }
  const Outcome outcome = run_cases(cases);
  BOOST_TEST(outcome.last() == fmt::format("1 passed, {} failed, 0 skipped", cases.size() - 1),
             outcome.all());
  BOOST_TEST(run_cases(cases, "--crash 1").last() == outcome.last());
}

BOOST_AUTO_TEST_CASE(a_word_that_is_not_known_fails_its_policy_case) {
  const Json good{{"id", "good"},
                  {"tasks", Json::array()},
                  {"run_options", Json::object()},
                  {"calls",
                   {{{"task", "t"},
                     {"inputs", {{"x", 1}}},
                     {"flow_run", "F1"},
                     {"policy", "INPUTS"},
                     {"body_returns", 1}}}},
                  {"expect", {{{"state", "Completed"}, {"result", 1}}}}};
  const std::vector<std::pair<const char*, Json>> wrong{
      {"/settings", {{"tasks.refresh", true}}},
      {"/expect", Json::array()},
      {"/expect", {{{"stat", "Completed"}}}},
      {"/calls/0/refresh", true},
      {"/calls/0/commit_mode", "EAGERR"},
      {"/calls/0/isolation", "SERIALISABLE"},
      {"/calls/0/lock_manager", "nope"},
      {"/calls/0/policy", "INPUT"},
      {"/calls/0/policy", {{"keyfn", "const:K"}}},
      {"/calls/0/policy", "INPUTS.configure(isolationlevel='SERIALIZABLE')"}};
  Json cases = Json::array({good});
  for (std::size_t i = 0; i < wrong.size(); ++i)
    cases.push_back(changed(good, fmt::format("wrong-{}", i), wrong[i].first, wrong[i].second));
  const Outcome outcome = run_cases(cases);
  BOOST_TEST(outcome.last() == fmt::format("1 passed, {} failed, 0 skipped", wrong.size()),
             outcome.all());
}

BOOST_AUTO_TEST_CASE(a_difference_that_no_decision_is_about_fails_although_it_is_marked) {
  Json marked = one_task("marked", {{"type", "fail"}});
  marked["divergence_ok"] = true;
  const Outcome outcome = run_cases(Json::array({marked}));
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.has("marked expect.a: expected \"Success\" got \"Failed\""));
}

BOOST_AUTO_TEST_CASE(decisions_that_are_named_exist) {
  Json cycle = one_task("cycle", {{"type", "success"}});
  cycle["tasks"][0]["name"] = "b";
  cycle["tasks"][0]["upstream"] = {"a"};
  Json other = one_task("cycle", {{"type", "success"}})["tasks"][0];
  other["upstream"] = {"b"};
  cycle["tasks"].push_back(other);
  cycle["divergence_ok"] = true;
  const Outcome outcome = run_cases(Json::array({cycle}));
  BOOST_TEST(outcome.code == 0, outcome.all());
  BOOST_REQUIRE(outcome.has("cycle skipped: docs/decisions/"));
  const std::string page = outcome.lines.front().substr(std::string("cycle skipped: ").size());
  BOOST_TEST(std::filesystem::exists(from_environment("REPRISE_SOURCE_DIR", ".") / page), page);
}

BOOST_AUTO_TEST_CASE(a_case_that_hangs_fails_alone) {
  const Outcome outcome =
      run_cases({one_task("hangs", {{"type", "sleep"}, {"seconds", 600}, {"value", 1}}),
                 one_task("good", {{"type", "success"}, {"value", 1}})});
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.has("hangs deadline: expected the run ends or comes to rest got it goes on"),
             outcome.all());
  BOOST_TEST(outcome.last() == "1 passed, 1 failed, 0 skipped");
}

BOOST_AUTO_TEST_CASE(what_is_no_list_of_cases_is_refused) {
  for (const char* text : {"", "{", "{}", "[1]", R"([{"id": 1}])"}) {
    const TemporaryFolder folder;
    reprise::testing::write_file(folder / "cases.json", text);
    const Outcome outcome = run(folder / "cases.json");
    BOOST_TEST(outcome.code == 2, text);
    BOOST_TEST(outcome.lines.size() == 1U, outcome.all());
  }
  BOOST_TEST(run("/nowhere/cases.json").code == 2);
  BOOST_TEST(run(own_cases, "no-such-case").code == 2);
  BOOST_TEST(run(own_cases, "--redis 127.0.0.1:1").code == 2);
}

BOOST_AUTO_TEST_SUITE_END()
