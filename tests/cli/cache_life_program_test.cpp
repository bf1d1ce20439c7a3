// How long results live, through the real program: every case counts what its command did in a file
// beside the flow.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"

BOOST_AUTO_TEST_SUITE(cache_life_program_tests)

using namespace reprise::cli::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

struct Place : Home {
  Json document(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return document_in(run(std::move(arguments)));
  }

  /// A flow with one task `a`, which appends a line to "ran" and then does what `then` says.
  void flow(const std::string& cache, const std::string& then) {
    write("flow.yaml", "version: 1\ntasks:\n  a: {shell: 'echo x >> " + (path / "ran").string() +
                           "; " + then + "', cache: " + cache +
                           "}\noutputs: {out: \"${{ a.stdout }}\"}\n");
  }
  [[nodiscard]] std::size_t executions() const {
    std::ifstream file(path / "ran");
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }
  /// Until the newest version of the only entry is over.
  void wait_until_over() {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (run({"cache", "ls"}).out.find("(over)") == std::string::npos) {
      BOOST_REQUIRE((std::chrono::steady_clock::now() < deadline));
      std::this_thread::yield();
    }
  }
  Json explanation() { return document({"cache", "explain", "last", "a"}); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(program_cache_life, Place)

BOOST_AUTO_TEST_CASE(a_stale_result_is_served_and_made_anew_for_the_next_run) {
  flow("{for: 1s, stale: 1h}", "cat " + (path / "source").string());
  write("source", "old");
  BOOST_TEST(document({"run", "flow.yaml"})["outputs"]["out"] == "old");
  write("source", "new");
  wait_until_over();
  const Json plan = document({"plan", "flow.yaml"});
  BOOST_TEST(plan["summary"]["cached"] == 1, plan.dump());
  const Json second = document({"run", "flow.yaml"});
  BOOST_TEST(second["outputs"]["out"] == "old");
  BOOST_TEST(second["summary"]["cached"] == 1);
  BOOST_TEST(second["summary"]["executed"] == 1);
  BOOST_TEST(executions() == 2u);
  const Json why = explanation();
  BOOST_TEST(why["outcome"] == "hit");
  BOOST_TEST(why["reason"] == "stale");
  BOOST_TEST(why["note"] == "stale: computed anew for later runs");
  BOOST_TEST(document({"run", "flow.yaml"})["outputs"]["out"] == "new");
}

BOOST_AUTO_TEST_CASE(an_old_result_stands_in_for_one_that_cannot_be_made) {
  flow("{for: 1s, stale: {if_error: 1h}}", "cat " + (path / "source").string());
  write("source", "old");
  BOOST_TEST(document({"run", "flow.yaml"})["state"] == "success");
  std::filesystem::remove(path / "source");
  wait_until_over();
  const Json second = document({"run", "flow.yaml"});
  BOOST_TEST(second["state"] == "success");
  BOOST_TEST(second["outputs"]["out"] == "old");
  BOOST_TEST(second["summary"]["executed"] == 1);
  const Json why = explanation();
  BOOST_TEST(why["reason"] == "stale");
  BOOST_TEST(why["note"].get<std::string>().starts_with("stale: computing it anew failed (exit"),
             why.dump());
  bool is_flagged = false;
  const Json events = document({"events", "last"});
  for (const Json& event : events["events"]) is_flagged |= event.contains("expired");
  BOOST_TEST(is_flagged);
}

BOOST_AUTO_TEST_CASE(a_declared_failure_is_not_made_again_before_its_time) {
  flow("{negative: {for: 1h, exits: [65]}}", "exit $(cat " + (path / "source").string() + ")");
  write("source", "65");
  BOOST_TEST(document({"run", "flow.yaml"})["state"] == "failed");
  const std::string listed = run({"cache", "ls"}).out;
  BOOST_TEST(listed.find("(a failure)") != std::string::npos, listed);
  write("source", "0");
  BOOST_TEST(document({"plan", "flow.yaml"})["summary"]["run"] == 0);
  const Json again = document({"run", "flow.yaml", "--new"});
  BOOST_TEST(again["state"] == "failed");
  BOOST_TEST(again["summary"]["executed"] == 0);
  const std::string message = again["failures"][0]["message"];
  BOOST_TEST(message.find("(remembered from run ") != std::string::npos, message);
  BOOST_TEST(explanation()["outcome"] == "hit");
  BOOST_TEST(executions() == 1u);
  // Who does not believe it makes it anew, and a success is the next version.
  BOOST_TEST(document({"run", "flow.yaml", "--new", "--cache", "refresh"})["state"] == "success");
  BOOST_TEST(document({"run", "flow.yaml", "--new"})["summary"]["cached"] == 1);
  const Json entries = document({"cache", "ls"})["entries"];
  BOOST_TEST(entries.size() == 1u);
  BOOST_TEST(entries[0]["version"] == 2);
  BOOST_TEST(entries[0]["kind"] == "result");
}

BOOST_AUTO_TEST_CASE(other_failures_are_made_again) {
  flow("{negative: {exits: [65]}}", "exit 66");
  BOOST_TEST(document({"run", "flow.yaml"})["state"] == "failed");
  BOOST_TEST(document({"run", "flow.yaml", "--new"})["summary"]["executed"] == 1);
  BOOST_TEST(document({"cache", "ls"})["entries"].empty());
}

BOOST_AUTO_TEST_CASE(a_hit_prolongs_the_life_of_a_sliding_result) {
  flow("{for: 1h, sliding: true}", "echo x");
  const auto expires = [&] {
    return document({"cache", "ls"})["entries"][0]["expires"].get<std::string>();
  };
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["executed"] == 1);
  const std::string before = expires();
  // A gain of less than a 64th is no write.
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["cached"] == 1);
  BOOST_TEST(expires() == before);
  flow("{for: 2h, sliding: true}", "echo x");  // the same key; this reader gives it more
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["cached"] == 1);
  BOOST_TEST(expires() > before);
  BOOST_TEST(executions() == 1u);
}

BOOST_AUTO_TEST_CASE(a_reader_may_refuse_what_is_old) {
  flow("{max_age: 1h}", "echo x");
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["executed"] == 1);
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["cached"] == 1);
  flow("{max_age: 1ms}", "echo x");
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["executed"] == 1);
  BOOST_TEST(explanation()["reason"] == "max_age");
  flow("{max_age: 1h}", "echo x");
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["cached"] == 1);
}

BOOST_AUTO_TEST_CASE(what_is_removed_while_it_is_computed_is_not_stored_when_it_is_done) {
  const auto compute_and = [&](const std::vector<std::string>& mode,
                               const std::vector<std::string>& removing) {
    std::filesystem::remove(path / "go");
    const std::size_t before = executions();
    std::vector<std::string> arguments{"run", "flow.yaml", "--new"};
    arguments.insert(arguments.end(), mode.begin(), mode.end());
    const auto computing = start(arguments);
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (executions() == before) {
      BOOST_REQUIRE((std::chrono::steady_clock::now() < deadline));
      std::this_thread::yield();
    }
    const Finished removed = run(removing);
    BOOST_TEST(removed.code == 0, removed.err);
    write("go", "");
    const Finished done = computing->wait();
    BOOST_TEST(done.code == 0, done.err);  // the run has its result
    BOOST_TEST(document({"cache", "ls"})["entries"].empty());
    BOOST_TEST(document({"events", "last"}).dump().find("not cached: fenced") != std::string::npos);
    return removed;
  };
  const auto keep_it = [&] {
    write("go", "");
    BOOST_TEST(run({"run", "flow.yaml", "--new"}).code == 0);
    BOOST_TEST(document({"cache", "ls"})["entries"].size() == 1u);
  };
  flow("{for: 1h}", "while test ! -e " + (path / "go").string() + "; do sleep 0.02; done");
  // Of what was never kept there is nothing to remove, and it does not come a moment later.
  const std::vector<std::string> by_task{"cache", "rm", "--task", "a", "-y"};
  const Finished nothing = compute_and({}, by_task);
  BOOST_TEST(nothing.err.find("nothing in the cache matches") != std::string::npos, nothing.err);
  compute_and({}, {"cache", "rm", "--run", "last", "-y"});
  keep_it();
  compute_and({"--cache", "refresh"}, by_task);
  keep_it();
  compute_and({"--cache", "refresh"}, {"cache", "erase", "--task", "a", "-y"});
  // With a head that is over.
  flow("{for: 1ms}", "while test ! -e " + (path / "go").string() + "; do sleep 0.02; done");
  keep_it();
  compute_and({}, by_task);
  keep_it();
}

BOOST_AUTO_TEST_CASE(a_task_that_waits_for_another_run_says_for_which) {
  flow("{}", "while test ! -e " + (path / "go").string() + "; do sleep 0.05; done");
  const auto first = start({"run", "flow.yaml", "--new"});
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (executions() == 0) {
    BOOST_REQUIRE((std::chrono::steady_clock::now() < deadline));
    std::this_thread::yield();
  }
  const std::string owner = document({"ps"})["runs"][0]["run"];
  const auto second = start({"run", "flow.yaml", "--new"});
  std::string reason;
  while (reason.empty()) {
    BOOST_REQUIRE((std::chrono::steady_clock::now() < deadline));
    const Json status = document({"status", "last"});
    if (status["run"] != owner && !status["groups"][0]["waiting_reason"].is_null())
      reason = status["groups"][0]["waiting_reason"];
  }
  BOOST_TEST(reason.starts_with("waits for run " + owner + ", which computes the same since "));
  const Json events = document({"events", "last"})["events"];
  BOOST_TEST(events.back()["waits_for"] == owner, events.dump());
  write("go", "");
  BOOST_TEST(first->wait().code == 0);
  BOOST_TEST(second->wait().code == 0);
  BOOST_TEST(executions() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
