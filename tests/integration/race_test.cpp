// Fifty programs that want the same fifty results at the same moment, and one that dies while the
// others wait for it. Bodies append a line to a file, so that it is known how often they ran.
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <map>

#include "tests/integration/support.hpp"
#include "tests/support/redis_server.hpp"

BOOST_AUTO_TEST_SUITE(race_tests)

using namespace reprise::integration;
using namespace std::chrono_literals;
using reprise::testing::RedisServer;

namespace {

constexpr const char* fifty_flow = R"(version: 1
name: fifty
params:
  here: {type: string}
tasks:
  step:
    map: {over: "${{ range(50) }}", as: i}
    env: {HERE: "${{ params.here }}", I: "${{ i }}"}
    cache: true
    shell: |
      echo $I >> $HERE/tally
      echo $(( I * 3 ))
  sum:
    env: {LIST: "${{ step.map(s, s.stdout).join('') }}"}
    shell: |
      total=0
      for x in $LIST; do total=$(( total + x )); done
      echo $total
outputs:
  total: "${{ sum.stdout }}"
)";

/// The first who comes stays in it; the second finds the way free.
constexpr const char* stuck_flow = R"(version: 1
name: stuck
params:
  here: {type: string}
tasks:
  step:
    env: {HERE: "${{ params.here }}"}
    cache: true
    shell: |
      echo $$ >> $HERE/tally
      test -e $HERE/go || exec sleep 300
      echo done
outputs:
  what: "${{ step.stdout }}"
)";

/// Data folders of several nodes, or one for all.
struct Nodes : Home {
  Nodes() {
    write("fifty.yaml", fifty_flow);
    write("stuck.yaml", stuck_flow);
  }
  Arguments line(const std::string& flow, const std::string& data,
                 const std::string& redis = "") const {
    Arguments arguments{"run",        flow,   "-p",     "here=" + path.string(),
                        "--slots",    "2",    "--data", (path / data).string(),
                        "--progress", "none", "--json"};
    if (!redis.empty()) arguments.insert(arguments.end(), {"--redis", redis});
    return arguments;
  }
  void race(const std::function<Arguments(int)>& line_of) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::unique_ptr<Program>> programs;
    for (int i = 0; i < 50; ++i) programs.push_back(start(line_of(i)));
    for (const auto& program : programs) {
      const Outcome o = outcome_of(*program, begin);
      BOOST_TEST(o.code == 0, o.shown());
      BOOST_TEST(o.at("/outputs/total") == "3675\n");
      BOOST_TEST(o.counted("executed") + o.counted("cached") == 51);
    }
    std::map<std::string, int> times;
    for (const std::string& line : lines_of(read("tally"))) ++times[line];
    BOOST_TEST(times.size() == 50U);
    for (const auto& [which, count] : times) BOOST_TEST(count == 1, which << " ran " << count);
  }
  /// `first` is killed in the task that `second` waits for.
  void take_over(const Arguments& first, const Arguments& second) {
    const auto holder = start(first);
    BOOST_REQUIRE(until([&] { return lines_of(read("tally")).size() == 1; }));
    const auto waiter = start(second);
    const auto begin = std::chrono::steady_clock::now();
    write("go", "");
    holder->send(SIGKILL);
    const Outcome o = outcome_of(*waiter, begin);
    BOOST_TEST(o.code == 0, o.shown());
    BOOST_TEST(o.at("/outputs/what") == "done\n");
    // A lease lasts ten seconds.
    BOOST_TEST(o.seconds < 30, o.shown());
    const auto tally = lines_of(read("tally"));
    BOOST_TEST(tally.size() == 2U);
    ::kill(std::stoi(tally.at(0)), SIGKILL);  // what the killed one left behind
  }
};

std::string address_of(const RedisServer& server) {
  return "127.0.0.1:" + std::to_string(server.port());
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(races, Nodes)

BOOST_AUTO_TEST_CASE(fifty_processes_of_one_data_folder_compute_fifty_results_once_each) {
  race([&](int) { return line("fifty.yaml", "data"); });
}

BOOST_AUTO_TEST_CASE(fifty_nodes_that_share_a_server_compute_fifty_results_once_each) {
  RedisServer server;
  race([&](int i) { return line("fifty.yaml", "data" + std::to_string(i), address_of(server)); });
}

BOOST_AUTO_TEST_CASE(a_process_takes_over_from_one_of_its_folder_that_was_killed) {
  const Arguments other = line("stuck.yaml", "data");
  Arguments anew = other;
  anew.emplace_back("--new");
  take_over(other, anew);
}

BOOST_AUTO_TEST_CASE(a_node_takes_over_from_another_that_was_killed) {
  RedisServer server;
  take_over(line("stuck.yaml", "a", address_of(server)),
            line("stuck.yaml", "b", address_of(server)));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
