// Several processes on one data folder, and runs that people stop.
#include <boost/test/unit_test.hpp>

#include <csignal>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(sharing_tests)

using namespace reprise::integration;
using namespace std::chrono_literals;

namespace {

constexpr const char* busy_flow = R"(version: 1
name: busy
params:
  tally: {type: string}
tasks:
  step:
    map: {over: "${{ range(30) }}", as: i}
    env: {TALLY: "${{ params.tally }}", I: "${{ i }}"}
    cache: true
    shell: |
      echo "$I" >> $TALLY
      sleep 0.02
      echo "$I" > made.txt
      echo $(( I + 1 ))
    outputs: [made.txt]
  sum:
    env: {LIST: "${{ step.map(s, s.stdout).join('') }}"}
    shell: |
      total=0
      for x in $LIST; do total=$(( total + x )); done
      echo $total
outputs:
  total: "${{ sum.stdout }}"
)";

/// The shell has a child that has a child; all of them would like to go on.
constexpr const char* tree_flow = R"(version: 1
name: tree
params:
  here: {type: string}
tasks:
  first: {run: ["true"]}
  tree:
    needs: [first]
    env: {HERE: "${{ params.here }}"}
    shell: |
      cd $HERE
      test -e go && exit 0
      (trap '' TERM INT; (trap '' TERM INT; sh -c 'echo $$ >> pids; exec sleep 300') & sh -c 'echo $$ >> pids; exec sleep 300') &
      echo $$ >> pids
      wait
  after: {needs: [tree], run: ["true"]}
)";

struct Shared : Home {
  Shared() {
    write("busy.yaml", busy_flow);
    write("tree.yaml", tree_flow);
    write("trace.json", layered_trace(40, 50, 1.0));
  }
  Arguments busy() {
    return {"run", "busy.yaml", "-p", "tally=" + (path / "tally").string(), "--slots", "2"};
  }
  Arguments tree() {
    return {"run", "tree.yaml", "-p", "here=" + path.string(), "--grace", "300ms"};
  }
  std::vector<Outcome> at_once(const std::vector<Arguments>& all) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::unique_ptr<Program>> programs;
    for (Arguments arguments : all) {
      arguments.insert(arguments.end(), {"--json", "--progress", "none"});
      programs.push_back(start(std::move(arguments)));
    }
    std::vector<Outcome> outcomes;
    for (const auto& program : programs) outcomes.push_back(outcome_of(*program, begin));
    return outcomes;
  }
  bool tree_is_up() {
    return until([&] { return lines_of(read("pids")).size() == 3; });
  }
  bool tree_is_gone() {
    return until(
        [&] {
          for (const std::string& pid : lines_of(read("pids")))
            if (::kill(std::stoi(pid), 0) == 0) return false;
          return true;
        },
        10s);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(sharing, Shared)

BOOST_AUTO_TEST_CASE(different_flows_share_a_data_folder) {
  const auto outcomes =
      at_once({busy(), {"run", "trace.json"}, {"run", "trace.json", "--touch", "t0_0=x"}});
  for (const Outcome& o : outcomes) BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(outcomes[0].at("/outputs/total") == "465\n");
  BOOST_TEST(outcomes[1].digest() != outcomes[2].digest());
  BOOST_TEST(invoke(*this, {"ps", "--all"}).at("/runs").size() == 3);
  const Outcome plain = invoke(*this, {"run", "trace.json"}),
                touched = invoke(*this, {"run", "trace.json", "--touch", "t0_0=x"});
  BOOST_TEST(plain.digest() == outcomes[1].digest());
  BOOST_TEST(touched.digest() == outcomes[2].digest());
  BOOST_TEST(plain.counted("executed") == 0);
  BOOST_TEST(touched.counted("executed") == 0);
}

BOOST_AUTO_TEST_CASE(the_same_flow_twice_at_once_ends_well_twice) {
  for (int round = 0; round < 3; ++round) {
    std::filesystem::remove_all(path / "data");
    std::filesystem::remove(path / "tally");
    const auto outcomes = at_once({busy(), busy()});
    for (const Outcome& o : outcomes) {
      BOOST_TEST(o.code == 0, o.shown());
      BOOST_TEST(o.at("/outputs/total") == "465\n");
      BOOST_TEST(o.at("/continued") == false);
    }
    BOOST_TEST(outcomes[0].text("run") != outcomes[1].text("run"));
    // `executed` counts bodies that really ran.
    BOOST_TEST(outcomes[0].counted("executed") + outcomes[1].counted("executed") - 2 ==
               static_cast<long>(lines_of(read("tally")).size()));
    BOOST_TEST(invoke(*this, busy()).counted("executed") == 1);  // the sum is not cached
  }
}

BOOST_AUTO_TEST_CASE(four_of_the_same_trace_at_once_agree) {
  const auto outcomes = at_once({4, Arguments{"run", "trace.json"}});
  for (const Outcome& o : outcomes) {
    BOOST_TEST(o.code == 0, o.shown());
    BOOST_TEST(o.digest() == outcomes[0].digest());
    BOOST_TEST(o.counted("executed") + o.counted("cached") == 2000);
  }
  BOOST_TEST(invoke(*this, {"run", "trace.json"}).counted("executed") == 0);
}

BOOST_AUTO_TEST_CASE(readers_do_not_disturb_a_run) {
  const auto begin = std::chrono::steady_clock::now();
  Arguments arguments = busy();
  arguments.insert(arguments.end(), {"--json"});
  const auto program = start(arguments);
  BOOST_REQUIRE(program->shows("[ 1/"));
  for (int i = 0; i < 5; ++i)
    for (const Arguments& command : std::vector<Arguments>{{"ps"},
                                                           {"status"},
                                                           {"events", "last"},
                                                           {"logs", "last"},
                                                           {"cache", "ls"},
                                                           {"cache", "stats"},
                                                           {"history"}})
      BOOST_TEST(invoke(*this, command).code == 0, joined(command));
  const Outcome o = outcome_of(*program, begin);
  BOOST_TEST(o.code == 0, o.shown());
}

BOOST_AUTO_TEST_CASE(ctrl_c_once_cancels_kills_the_tree_and_says_so) {
  Arguments arguments = tree();
  arguments.emplace_back("--json");
  const auto begin = std::chrono::steady_clock::now();
  const auto program = start(arguments);
  BOOST_REQUIRE(tree_is_up());
  program->send(SIGINT);
  const Outcome o = outcome_of(*program, begin);
  BOOST_TEST(o.code == 8, o.shown());
  BOOST_TEST(o.text("state") == "cancelled");
  BOOST_TEST(o.err.find("cancel") != std::string::npos);
  BOOST_TEST(o.seconds < 15);
  BOOST_TEST(tree_is_gone());
  BOOST_TEST(o.counted("executed") == 2);
  // What was cancelled is over: the same command line starts anew.
  write("go", "");
  const Outcome again = invoke(*this, tree());
  BOOST_TEST(again.code == 0, again.shown());
  BOOST_TEST(again.at("/continued") == false);
}

BOOST_AUTO_TEST_CASE(ctrl_c_twice_leaves_a_run_that_the_same_command_continues) {
  Arguments arguments = tree();
  arguments.back() = "20s";
  const auto program = start(arguments);
  BOOST_REQUIRE(tree_is_up());
  const auto begin = std::chrono::steady_clock::now();
  program->send(SIGINT);
  BOOST_REQUIRE(program->shows("cancelling"));
  program->send(SIGINT);
  const Outcome o = outcome_of(*program, begin);
  BOOST_TEST(o.code == 130, o.shown());
  BOOST_TEST(o.seconds < 10, "the second Ctrl-C waited for the tasks");
  BOOST_TEST(last_state(*this) == "interrupted");
  BOOST_TEST(tree_is_gone());
  write("go", "");
  const Outcome again = invoke(*this, arguments);
  BOOST_TEST(again.code == 0, again.shown());
  BOOST_TEST(again.at("/continued") == true);
}

BOOST_AUTO_TEST_CASE(a_trace_is_cancelled_in_the_middle_and_keeps_what_it_has) {
  Arguments arguments{"run", "trace.json", "--mode", "sleep", "--scale", "0.01", "--slots", "2"};
  const auto program = start(arguments);
  BOOST_REQUIRE(program->shows("[  20/2000]"));
  program->send(SIGINT);
  const auto begin = std::chrono::steady_clock::now();
  const Outcome o = outcome_of(*program, begin);
  BOOST_TEST(o.code == 8, o.shown());
  BOOST_TEST(o.seconds < 5);
  const Outcome status = invoke(*this, {"status"});
  BOOST_TEST(status.text("state") == "cancelled");
  BOOST_TEST(status.counted("executed") >= 20);
  BOOST_TEST(status.counted("cancelled") > 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
