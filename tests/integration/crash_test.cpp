// kill -9 in the middle: nothing that was committed is lost, nothing that is finished runs again.
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <map>
#include <set>
#include <thread>

#include "tests/integration/support.hpp"
#include "tests/integration/tally.hpp"

BOOST_AUTO_TEST_SUITE(crash_tests)

using namespace reprise::integration;
using namespace std::chrono_literals;

namespace {

constexpr int steps = 40;

/// A later step needs all of them.
const std::string tally_flow = R"(version: 1
name: tally
params:
  tally: {type: string}
  n: {type: int, default: 40}
tasks:
)" + tallied_step("0.05", "$(( I * I ))") +
                               R"(  sum:
    env: {LIST: "${{ step.map(s, s.stdout).join('') }}"}
    shell: |
      total=0
      for x in $LIST; do total=$(( total + x )); done
      echo $total
outputs:
  total: "${{ sum.stdout }}"
)";

struct Tallied : Home {
  Tallied() {
    write("tally.yaml", tally_flow);
    write("trace.json", layered_trace(60, 50, 1.0));
  }
  Arguments tally() { return {"run", "tally.yaml", "--slots", "2", "-p", tally_of(*this)}; }
  /// Starts, waits until so many steps are over, kills. The names of the tasks the journal then
  /// knows as finished.
  std::vector<std::string> killed_after(const std::string& mark, const Arguments& arguments) {
    const auto program = start(arguments);
    BOOST_REQUIRE_MESSAGE(program->shows(mark), program->output());
    program->send(SIGKILL);
    BOOST_REQUIRE_EQUAL(program->wait().code, 128 + SIGKILL);
    return succeeded(*this, "last");
  }
};

/// How often each of the finished tasks had begun when the program was killed.
std::map<std::string, int> begun_by(Tallied& home, const std::vector<std::string>& finished) {
  const auto counts = tally_lines(home);
  std::map<std::string, int> begun;
  for (const std::string& name : finished) {
    const std::string line = beginning_of(name);
    begun[line] = counts.contains(line) ? counts.at(line) : 0;
  }
  return begun;
}

/// Every step ran, none of those that were finished ran again, and few of the others.
void check_tally(Tallied& home, const std::map<std::string, int>& finished, int kills) {
  const auto counts = tally_lines(home);
  int again = 0;
  for (int i = 0; i < steps; ++i) {
    const auto begun = counts.find("begin " + std::to_string(i));
    BOOST_REQUIRE_MESSAGE(begun != counts.end(), "step " << i << " never ran");
    BOOST_TEST(counts.contains("end " + std::to_string(i)));
    again += begun->second - 1;
  }
  for (const auto& [line, times] : finished)
    BOOST_TEST(counts.at(line) == times, line << ": was finished and ran again");
  // Two slots: two in flight, and two more that were over but not yet written down.
  BOOST_TEST(again <= 4 * kills);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(crash, Tallied)

BOOST_AUTO_TEST_CASE(a_killed_flow_of_commands_continues_with_what_is_left) {
  for (const std::string mark : {"[ 1/", "[ 7/", "[20/", "[38/"}) {
    BOOST_TEST_CONTEXT("killed at " << mark) {
      std::filesystem::remove_all(path / "data");
      std::filesystem::remove(path / "tally");
      const auto finished = killed_after(mark, tally());
      BOOST_TEST(!finished.empty());
      const auto begun = begun_by(*this, finished);
      BOOST_TEST(last_state(*this) == "interrupted");
      const Outcome list = invoke(*this, {"ps"});
      BOOST_REQUIRE_MESSAGE(list.at("/runs").size() == 1, list.shown());
      BOOST_TEST(list.at("/runs/0/state") == "interrupted");
      const Outcome again = invoke(*this, tally());
      BOOST_REQUIRE_MESSAGE(again.code == 0, again.shown());
      BOOST_TEST(again.at("/continued") == true);
      BOOST_TEST(again.at("/run") == list.at("/runs/0/run"));
      BOOST_TEST(again.at("/outputs/total") == "20540\n");
      BOOST_TEST(again.counted("tasks") == steps + 1);
      check_tally(*this, begun, 1);
      BOOST_TEST(last_state(*this) == "success");
      // The journal tells the whole story: each task succeeded once.
      const auto all = succeeded(*this, "last");
      BOOST_TEST(all.size() == static_cast<std::size_t>(steps + 1));
      BOOST_TEST(std::set<std::string>(all.begin(), all.end()).size() == all.size());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_flow_killed_again_and_again_still_gets_to_its_end) {
  std::map<std::string, int> finished;
  for (const std::string mark : {"[ 5/", "[15/", "[25/"})
    finished.merge(begun_by(*this, killed_after(mark, tally())));
  // Lines are printed as things happen; what happened in the last milliseconds before a kill may
  // not be on disk yet and is then done again. What the kills before left is there for certain.
  BOOST_TEST(finished.size() >= 15u);
  const Outcome end = invoke(*this, {"resume", "last", "--slots", "2"});
  BOOST_REQUIRE_MESSAGE(end.code == 0, end.shown());
  BOOST_TEST(end.at("/continued") == true);
  BOOST_TEST(end.at("/outputs/total") == "20540\n");
  check_tally(*this, finished, 3);
  BOOST_TEST(invoke(*this, {"ps", "--all"}).at("/runs").size() == 1);
}

BOOST_AUTO_TEST_CASE(new_starts_over_and_other_parameters_are_another_run) {
  killed_after("[10/", tally());
  Arguments other = tally();
  other.insert(other.end(), {"-p", "n=3"});
  const Outcome small = invoke(*this, other);
  BOOST_REQUIRE_MESSAGE(small.code == 0, small.shown());
  BOOST_TEST(small.at("/continued") == false);
  std::filesystem::remove(path / "tally");
  Arguments over = tally();
  over.emplace_back("--new");
  const Outcome fresh = invoke(*this, over);
  BOOST_REQUIRE_MESSAGE(fresh.code == 0, fresh.shown());
  BOOST_TEST(fresh.at("/continued") == false);
  BOOST_TEST(fresh.counted("executed") == steps + 1);
  BOOST_TEST(lines_of(read("tally")).size() == 2u * steps);
  BOOST_TEST(invoke(*this, {"ps", "--all"}).at("/runs").size() == 3);
}

BOOST_AUTO_TEST_CASE(a_changed_flow_does_not_continue_the_old_one) {
  killed_after("[ 3/", tally());
  std::string changed = tally_flow;
  changed.replace(changed.find("sleep 0.05"), 10, "sleep 0.01");
  write("tally.yaml", changed);
  const Outcome o = invoke(*this, tally());
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/continued") == false);
  BOOST_TEST(o.counted("executed") == steps + 1);
}

BOOST_AUTO_TEST_CASE(commands_of_a_killed_run_are_gone_before_it_continues) {
  write("long.yaml",
        "version: 1\nname: long\nparams: {here: {type: string}}\ntasks:\n"
        "  t:\n    env: {HERE: '${{ params.here }}'}\n"
        "    shell: |\n      cd $HERE\n      echo $$ >> pids\n      test -e go || sleep 300\n      "
        "echo done\n");
  const Arguments arguments{"run", "long.yaml", "-p", "here=" + path.string()};
  const auto program = start(arguments);
  BOOST_REQUIRE(until([&] { return !read("pids").empty(); }));
  program->send(SIGKILL);
  program->wait();
  write("go", "");
  const Outcome o = invoke(*this, arguments);
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  const auto pids = lines_of(read("pids"));
  BOOST_REQUIRE(pids.size() == 2);
  BOOST_TEST(until([&] { return ::kill(std::stoi(pids[0]), 0) != 0; }, 5s),
             "the first attempt still runs beside the second");
  ::kill(std::stoi(pids[0]), SIGKILL);
}

BOOST_AUTO_TEST_CASE(a_killed_trace_continues_to_the_right_digest) {
  const std::string digest = [] {
    Tallied quiet;
    const Outcome o = invoke(quiet, {"run", "trace.json"});
    BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
    BOOST_TEST(o.counted("executed") == 3000);
    return o.digest();
  }();
  int interrupted = 0;
  const auto check_rest = [&] {
    const std::string state = last_state(*this);
    const auto done = state.empty() ? std::vector<std::string>{} : succeeded(*this, "last");
    BOOST_TEST((state.empty() || state == "interrupted" || state == "success"), state);
    const Outcome again = invoke(*this, {"run", "trace.json"});
    BOOST_REQUIRE_MESSAGE(again.code == 0, again.shown());
    BOOST_TEST(again.digest() == digest);
    BOOST_TEST(again.counted("tasks") == 3000);
    BOOST_TEST(again.at("/continued") == (state == "interrupted"));
    if (state == "interrupted") {
      // A task whose success was written before the kill has no second one.
      const auto all = succeeded(*this, "last");
      BOOST_TEST(std::set<std::string>(all.begin(), all.end()).size() == all.size());
      BOOST_TEST(all.size() == 3000u);
      BOOST_TEST(again.counted("executed") + again.counted("cached") ==
                 3000 - static_cast<long>(done.size()));
      if (!done.empty()) ++interrupted;
    }
    const Outcome third = invoke(*this, {"run", "trace.json"});
    BOOST_TEST(third.counted("executed") == 0);
    BOOST_TEST(third.digest() == digest);
  };
  for (const std::string mark : {"[   1/", "[ 100/", "[1000/", "[2500/"}) {
    BOOST_TEST_CONTEXT("killed at " << mark) {
      std::filesystem::remove_all(path / "data");
      const auto program = start({"run", "trace.json"});
      BOOST_REQUIRE(program->shows(mark));
      program->send(SIGKILL);
      program->wait();
      check_rest();
    }
  }
  BOOST_TEST(interrupted >= 1, "no kill met a run with finished tasks");
  for (const int milliseconds : {5, 15, 25, 40, 60, 80, 120}) {
    BOOST_TEST_CONTEXT("killed after " << milliseconds << " ms") {
      std::filesystem::remove_all(path / "data");
      const auto program = start({"run", "trace.json", "--progress", "none"});
      std::this_thread::sleep_for(std::chrono::milliseconds{milliseconds});
      program->send(SIGKILL);
      program->wait();
      check_rest();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
