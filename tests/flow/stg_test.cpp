#include "flow/stg.hpp"

#include <boost/test/unit_test.hpp>

#include "flow/input_file.hpp"
#include "tests/flow/hash_chain.hpp"
#include "tests/flow/import_support.hpp"

namespace reprise {

BOOST_AUTO_TEST_SUITE(Stg)
namespace {

using test::listed;
using test::why_not;

// Source 0, tasks 1 to 3, sink 4.
const std::string fork_join =
    "# a comment first\n"
    "  3\n"
    "  0  0  0\n"
    "  1  5  1  0   # behind a row\n"
    "\n"
    "  2  2.5  1  0\r\n"
    "  3  4  2  1 2\n"
    "  4  0  1  3\n"
    "# Parallelism : 1\n";

TraceOptions in_mode(TraceMode mode, double scale = 1) {
  return {.mode = mode, .scale = scale, .touch = {}};
}

std::string mistakes_of(std::string_view text) {
  const Checked<FlowSpec> flow = import_stg(text, "g", in_mode(TraceMode::sleep));
  return flow ? std::string() : listed(flow.error());
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_become_tasks_with_both_dummies) {
  const Checked<Trace> trace = read_stg(fork_join, "g");
  BOOST_REQUIRE_MESSAGE(trace.has_value(), why_not(trace));
  BOOST_REQUIRE(trace->tasks.size() == 5U);
  BOOST_TEST(trace->name == "g");
  BOOST_TEST(trace->tasks[2].id == "2");
  BOOST_TEST(trace->tasks[2].runtime_s.value() == 2.5);
  BOOST_TEST((trace->tasks[3].parents == std::vector<std::uint32_t>{1, 2}));
  BOOST_TEST(trace->tasks[4].runtime_s.value() == 0);
}

BOOST_AUTO_TEST_CASE(every_mode_is_possible) {
  const Checked<FlowSpec> sleeps = import_stg(fork_join, "g", in_mode(TraceMode::sleep, 0.1));
  BOOST_REQUIRE(sleeps.has_value());
  BOOST_TEST(
      (sleeps->constants[sleeps->inputs_of(NodeId{1})[0].index].value().value() == Value(0.5)));
  BOOST_TEST(import_stg(fork_join, "g", in_mode(TraceMode::noop)).has_value());
  const Checked<FlowSpec> hashes = import_stg(fork_join, "g", in_mode(TraceMode::hash));
  BOOST_REQUIRE(hashes.has_value());
  BOOST_TEST(test::run_hash_chain(*hashes)[0] == sha256("0\n").hex());
}

BOOST_AUTO_TEST_CASE(ids_in_another_order_and_a_byte_order_mark_are_accepted) {
  BOOST_TEST(mistakes_of("\xef\xbb\xbf"
                         "1\n2 0 1 1\n1 3 1 00\n0 0 0\n") == "");
}

BOOST_AUTO_TEST_CASE(every_mistake_has_its_own_message_and_place) {
  BOOST_TEST(mistakes_of("# nothing\n\n") ==
             "0:0 RP2201 the file holds no task graph: it has no line with the number of tasks");
  BOOST_TEST(mistakes_of("1 2\n") ==
             "1:3 RP2201 the first row must be the number of tasks alone, but '2' follows");
  BOOST_TEST(mistakes_of("x\n") ==
             "1:1 RP2202 the number of tasks must be a whole number, not 'x'");
  BOOST_TEST(mistakes_of("-4\n") == "1:1 RP2203 the number of tasks is negative: -4");
  BOOST_TEST(mistakes_of("99999999999999999999\n") ==
             "1:1 RP2202 the number of tasks must be a whole number, not '99999999999999999999'");
  BOOST_TEST(mistakes_of("9223372036854775807\n0 0 0\n") ==
             "3:1 RP2204 the file is truncated: it announces 9223372036854775807 tasks and two "
             "dummies, and has 1 rows");
  BOOST_TEST(
      mistakes_of("1\n0 0 0\n1 3 1 0\n") ==
      "4:1 RP2204 the file is truncated: it announces 1 tasks and two dummies, and has 2 rows");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3 1 0\n2 0 1 1\n3 0 0\n") ==
             "5:1 RP2205 '3' stands after the last of 1 tasks and two dummies");
  BOOST_TEST(
      mistakes_of("1\n0 0 0\n1 3 1 0\n2 0\n") ==
      "4:1 RP2206 the row of task 2 is truncated: it needs id, time, number of predecessors");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3 1 0\n1 0 1 0\n") == "4:1 RP2207 two tasks have the id 1");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3 2 0\n2 0 1 1\n") ==
             "3:5 RP2208 task 1 announces 2 predecessors and lists 1");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3 1 0 0\n2 0 1 1\n") ==
             "3:5 RP2208 task 1 announces 1 predecessors and lists 2");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 -3 1 0\n2 0 1 1\n") ==
             "3:3 RP2209 the time of task 1 is negative: -3");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 nan 1 0\n2 0 1 1\n") ==
             "3:3 RP2202 the time of task 1 must be a number, not 'nan'");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3s 1 0\n2 0 1 1\n") ==
             "3:3 RP2202 the time of task 1 must be a number, not '3s'");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 inf 1 0\n2 0 1 1\n") ==
             "3:3 RP2210 the time of task 1 is too large: 'inf'");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3 1 7\n2 0 1 1\n") ==
             "3:7 RP2211 task 1 names the predecessor 7, but there is no such task");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3 1 -1\n2 0 1 1\n") ==
             "3:7 RP2203 a predecessor of task 1 is negative: -1");
  BOOST_TEST(mistakes_of("1\n0 0 0\n1 3 1 1\n2 0 1 1\n") ==
             "3:1 RP2120 tasks wait for each other in a cycle: 1 → 1");
  BOOST_TEST(mistakes_of("1\n0 0 1 2\n1 3 1 0\n2 0 1 1\n") ==
             "2:1 RP2120 tasks wait for each other in a cycle: 0 → 1 → 2 → 0");
}

BOOST_AUTO_TEST_CASE(all_mistakes_are_told_at_once) {
  BOOST_TEST(mistakes_of("2\n0 0 0\n1 -3 1 0\n2 x 1 0\n3 0 1\n") ==
             "3:3 RP2209 the time of task 1 is negative: -3\n"
             "4:3 RP2202 the time of task 2 must be a number, not 'x'\n"
             "5:5 RP2208 task 3 announces 1 predecessors and lists 0");
}

BOOST_AUTO_TEST_CASE(a_file_begins_with_a_row_of_one_number) {
  BOOST_TEST(looks_like_stg(fork_join));
  BOOST_TEST(!looks_like_stg(""));
  BOOST_TEST(!looks_like_stg("3 4\n"));
  BOOST_TEST(!looks_like_stg("tasks:\n"));
}

BOOST_AUTO_TEST_CASE(standard_task_graphs_give_their_known_numbers) {
  const auto folder = test::shared_folder("workflows");
  if (!folder) return;
  std::size_t graphs = 0;
  for (const auto& row : test::read_table(*folder / "expected.tsv")) {
    const std::string& file = row.at("file");
    if (!file.starts_with("stg/")) continue;
    ++graphs;
    BOOST_TEST_CONTEXT(file) {
      const Result<std::string> text = read_input((*folder / file).string());
      BOOST_REQUIRE_MESSAGE(text.has_value(), why_not(text));
      const Checked<Trace> trace = read_stg(*text, "g");
      BOOST_REQUIRE_MESSAGE(trace.has_value(), why_not(trace));
      std::size_t edges = 0;
      double seconds = 0;
      for (const TraceTask& task : trace->tasks) {
        edges += task.parents.size();
        seconds += task.runtime_s.value();
      }
      BOOST_TEST(std::to_string(trace->tasks.size()) == row.at("tasks"));
      BOOST_TEST(std::to_string(edges) == row.at("edges"));
      BOOST_TEST(seconds == std::stod(row.at("sum_runtime")));
      const Checked<FlowSpec> flow = import_stg(*text, "g", in_mode(TraceMode::hash));
      BOOST_REQUIRE(flow.has_value());
      BOOST_TEST(test::chain_digest_of(*flow, test::run_hash_chain(*flow)) ==
                 row.at("chain_digest"));
    }
  }
  BOOST_TEST(graphs == 45U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise
