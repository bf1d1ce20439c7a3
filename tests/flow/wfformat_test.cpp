#include "flow/wfformat.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <functional>
#include <set>

#include <rapidcheck.h>
#include <nlohmann/json.hpp>

#include "flow/input_file.hpp"
#include "tests/flow/hash_chain.hpp"
#include "tests/flow/import_support.hpp"

namespace reprise {

BOOST_AUTO_TEST_SUITE(WfFormat)
namespace {

using nlohmann::json;
using test::listed;
using test::why_not;

json task(std::string id, std::vector<std::string> parents, std::vector<std::string> children,
          std::vector<std::string> reads, std::vector<std::string> writes) {
  return {{"name", "step"},
          {"id", std::move(id)},
          {"parents", std::move(parents)},
          {"children", std::move(children)},
          {"inputFiles", std::move(reads)},
          {"outputFiles", std::move(writes)}};
}

/// get → left, right → put, with files and times.
json diamond() {
  json trace;
  trace["name"] = "diamond";
  trace["schemaVersion"] = "1.5";
  json& specification = trace["workflow"]["specification"];
  specification["tasks"] = {task("get", {}, {"left", "right"}, {"in"}, {"raw"}),
                            task("left", {"get"}, {"put"}, {"raw"}, {"l"}),
                            task("right", {"get"}, {"put"}, {"raw"}, {"r"}),
                            task("put", {"left", "right"}, {}, {"l", "r"}, {"out"})};
  specification["files"] = json::array();
  for (const char* id : {"in", "raw", "l", "r", "out"})
    specification["files"].push_back({{"id", id}, {"sizeInBytes", 7}});
  json& execution = trace["workflow"]["execution"];
  execution = {
      {"makespanInSeconds", 9.5}, {"executedAt", "20200101T000000+0000"}, {"tasks", json::array()}};
  double seconds = 1;
  for (const char* id : {"get", "left", "right", "put"}) {
    execution["tasks"].push_back({{"id", id}, {"runtimeInSeconds", seconds}});
    seconds += 0.5;
  }
  return trace;
}

json& tasks(json& trace) {
  return trace["workflow"]["specification"]["tasks"];
}
json& files(json& trace) {
  return trace["workflow"]["specification"]["files"];
}
json& executed(json& trace) {
  return trace["workflow"]["execution"]["tasks"];
}

FlowSpec imported(const json& trace, const TraceOptions& options = {}) {
  Checked<FlowSpec> flow = import_wfformat(trace.dump(), options);
  BOOST_REQUIRE_MESSAGE(flow.has_value(), why_not(flow));
  return *std::move(flow);
}

/// "CODE message" of each mistake, without places; "" when there is none.
std::string mistakes_of(std::string_view text, const TraceOptions& options = {}) {
  const Checked<FlowSpec> flow = import_wfformat(text, options);
  std::string all;
  if (flow) return all;
  for (const Diagnostic& d : flow.error()) {
    if (!all.empty()) all += '\n';
    all += d.code + " " + d.message;
    if (!d.suggestion.empty()) all += " (did you mean '" + d.suggestion + "'?)";
  }
  return all;
}

std::string mistakes_after(const std::function<void(json&)>& change,
                           const TraceOptions& options = {}) {
  json trace = diamond();
  change(trace);
  return mistakes_of(trace.dump(), options);
}

std::vector<std::string> names_of_inputs(const FlowSpec& flow, std::uint32_t node) {
  std::vector<std::string> all;
  for (const Input& input : flow.inputs_of(NodeId{node})) {
    if (input.source == Input::Source::constant)
      all.push_back("constant " + flow.names[input.name]);
    if (input.source == Input::Source::upstream)
      all.push_back("upstream " + flow.nodes[input.index].name);
    if (input.source == Input::Source::state_only)
      all.push_back("after " + flow.nodes[input.index].name);
  }
  return all;
}

TraceOptions in_mode(TraceMode mode, double scale = 1e-3) {
  return {.mode = mode, .scale = scale, .touch = {}};
}

}  // namespace

BOOST_AUTO_TEST_CASE(hash_mode_makes_a_cached_node_of_every_task_in_file_order) {
  const FlowSpec flow = imported(diamond());
  BOOST_TEST(flow.name == "diamond");
  BOOST_REQUIRE(flow.nodes.size() == 4U);
  BOOST_TEST(flow.nodes[0].name == "get");
  BOOST_TEST(flow.nodes[3].name == "put");
  BOOST_REQUIRE(flow.kinds.size() == 1U);
  const TaskKind& kind = flow.kinds[0];
  BOOST_TEST(std::get<FunctionBody>(kind.body).function == "trace.hash@1");
  BOOST_TEST(kind.cache_name == "trace.hash");
  BOOST_TEST(kind.cache.enabled);
  BOOST_TEST(
      (names_of_inputs(flow, 0) == std::vector<std::string>{"constant line", "constant parents"}));
  BOOST_TEST((names_of_inputs(flow, 3) ==
              std::vector<std::string>{"constant line", "upstream left", "upstream right"}));
  BOOST_REQUIRE(flow.outputs.size() == 1U);
  BOOST_TEST(flow.outputs[0].name == "chain_digest");
  BOOST_TEST((flow.outputs[0].kind == Output::Kind::chain_digest));
  BOOST_TEST(check(flow).has_value());
}

BOOST_AUTO_TEST_CASE(chain_digest_is_that_of_the_written_rule) {
  // Computed by hand with sha256sum: D(a) of "a LF", D(b) of "b LF D(a) LF", then "a SP D(a) LF b
  // SP D(b) LF".
  json trace = diamond();
  tasks(trace) = {task("b", {"a"}, {}, {}, {}), task("a", {}, {"b"}, {}, {})};
  trace["workflow"].erase("execution");
  const FlowSpec flow = imported(trace);
  const std::vector<std::string> results = test::run_hash_chain(flow);
  BOOST_TEST(results[1] == "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7");
  BOOST_TEST(results[0] == "14df1fea3bc354a44be03723751f8d69eff8986721f1efc3dd3bcb26b489c6f2");
  BOOST_TEST(test::chain_digest_of(flow, results) ==
             "14ae61722b71ac3befadc95c634c98272ea93c45a25a46ae9f9e3d5073275772");
}

BOOST_AUTO_TEST_CASE(parents_are_gathered_by_ascending_bytes_of_their_ids) {
  json trace = diamond();
  trace["workflow"].erase("execution");
  tasks(trace) = {task("\xc3\xa9", {}, {"z"}, {}, {}), task("a10", {}, {"z"}, {}, {}),
                  task("B", {}, {"z"}, {}, {}), task("a9", {}, {"z"}, {}, {}),
                  task("z", {"a9", "\xc3\xa9", "B", "a10"}, {}, {}, {})};
  BOOST_TEST((names_of_inputs(imported(trace), 4) ==
              std::vector<std::string>{"constant line", "upstream B", "upstream a10", "upstream a9",
                                       "upstream \xc3\xa9"}));
}

BOOST_AUTO_TEST_CASE(sleep_mode_scales_the_recorded_times_and_caches_nothing) {
  const FlowSpec flow = imported(diamond(), in_mode(TraceMode::sleep, 0.01));
  BOOST_TEST(std::get<FunctionBody>(flow.kinds.at(0).body).function == "trace.sleep@1");
  BOOST_TEST(!flow.kinds[0].cache.enabled);
  BOOST_TEST(flow.outputs.empty());
  BOOST_TEST((names_of_inputs(flow, 3) ==
              std::vector<std::string>{"constant seconds", "after left", "after right"}));
  const Input& seconds = flow.inputs_of(NodeId{1})[0];
  BOOST_TEST((flow.constants[seconds.index].value().value() == Value(0.015)));
  BOOST_TEST(flow.nodes[1].expected_seconds == 0.015F);
}

BOOST_AUTO_TEST_CASE(sleep_mode_keeps_a_float_where_the_time_is_a_whole_number) {
  const FlowSpec flow = imported(diamond(), in_mode(TraceMode::sleep, 1));
  BOOST_TEST((flow.constants[flow.inputs_of(NodeId{0})[0].index].value().value() == Value(1.0)));
}

BOOST_AUTO_TEST_CASE(timed_mode_takes_its_time_and_gives_the_digests_of_hash_mode) {
  const FlowSpec flow = imported(diamond(), in_mode(TraceMode::timed, 0.01));
  BOOST_TEST(std::get<FunctionBody>(flow.kinds.at(0).body).function == "trace.timed@1");
  BOOST_TEST(flow.kinds[0].cache.enabled);
  BOOST_TEST(flow.nodes[1].expected_seconds == 0.015F);
  BOOST_TEST((flow.outputs == imported(diamond()).outputs));
  const std::vector<std::string> inputs = names_of_inputs(flow, 1);
  BOOST_TEST((inputs.back() == "constant seconds"));
  BOOST_TEST((inputs.front() == "constant line"));
}

BOOST_AUTO_TEST_CASE(noop_mode_keeps_only_the_order) {
  const FlowSpec flow = imported(diamond(), in_mode(TraceMode::noop));
  BOOST_TEST(std::get<FunctionBody>(flow.kinds.at(0).body).function == "trace.noop@1");
  BOOST_TEST((names_of_inputs(flow, 3) == std::vector<std::string>{"after left", "after right"}));
  BOOST_TEST(flow.constants.empty());
}

BOOST_AUTO_TEST_CASE(structure_alone_is_enough_for_hash_and_noop_but_not_for_sleep) {
  const auto without_execution = [](json& trace) { trace["workflow"].erase("execution"); };
  BOOST_TEST(mistakes_after(without_execution) == "");
  BOOST_TEST(mistakes_after(without_execution, in_mode(TraceMode::noop)) == "");
  BOOST_TEST(
      mistakes_after(without_execution, in_mode(TraceMode::sleep)) ==
      "RP2134 the trace records no runtimes, which --mode sleep needs; use --mode hash or noop");
  BOOST_TEST(
      mistakes_after([](json& trace) { executed(trace).erase(2); }, in_mode(TraceMode::sleep)) ==
      "RP2135 no runtime is recorded for task 'right', which --mode sleep needs");
}

BOOST_AUTO_TEST_CASE(version_1_6_and_unknown_members_are_accepted) {
  BOOST_TEST(mistakes_after([](json& trace) {
               trace["schemaVersion"] = "1.6";
               trace["x-lab"] = {{"deep", json::array({1, nullptr, "x"})}};
               tasks(trace)[0]["priority"] = "high";
               executed(trace)[0]["executedAt"] = "05-10-23T16:23:32Z";
               trace["workflow"]["execution"].erase("executedAt");
             }) == "");
}

BOOST_AUTO_TEST_CASE(an_edge_or_a_file_named_twice_in_one_list_counts_once) {
  json trace = diamond();
  tasks(trace)[1]["parents"] = {"get", "get"};
  tasks(trace)[1]["outputFiles"] = {"l", "l"};
  BOOST_TEST((names_of_inputs(imported(trace), 1) ==
              std::vector<std::string>{"constant line", "upstream get"}));
}

BOOST_AUTO_TEST_CASE(odd_ids_are_data) {
  for (const std::string id :
       {"__proto__", "../x", "a b", "\x1b[31m", "\n", "%s{}", "constructor", "\xf0\x9f\x90\x99"}) {
    json trace = diamond();
    tasks(trace)[0]["id"] = id;
    tasks(trace)[1]["parents"] = {id};
    tasks(trace)[2]["parents"] = {id};
    executed(trace)[0]["id"] = id;
    BOOST_TEST(imported(trace).nodes[0].name == id);
  }
}

BOOST_AUTO_TEST_CASE(touch_changes_exactly_the_task_and_what_follows_from_it) {
  const FlowSpec before = imported(diamond());
  const FlowSpec after =
      imported(diamond(), {.mode = TraceMode::hash, .scale = 1, .touch = {{"left", "x"}}});
  const auto old_results = test::run_hash_chain(before);
  const auto new_results = test::run_hash_chain(after);
  BOOST_TEST(old_results[0] == new_results[0]);
  BOOST_TEST(old_results[1] != new_results[1]);
  BOOST_TEST(old_results[2] == new_results[2]);
  BOOST_TEST(old_results[3] != new_results[3]);
  // "left x LF" and the parent, as the rule for a task with a text of its own says.
  const std::vector<std::string_view> parents{old_results[0]};
  BOOST_TEST(new_results[1] == chain_step("left x", parents).hex());
}

BOOST_AUTO_TEST_CASE(touch_is_refused_where_it_means_nothing) {
  const json trace = diamond();
  TraceOptions options;
  options.touch = {{"lft", "x"}, {"quite different", "x"}, {"put", "\xff"}};
  BOOST_TEST(mistakes_of(trace.dump(), options) ==
             "RP2131 --touch names task 'lft', which is not in this trace; did you mean 'left'?\n"
             "RP2132 the text of --touch for task 'put' is not valid UTF-8\n"
             "RP2131 --touch names task 'quite different', which is not in this trace");
  options = in_mode(TraceMode::noop);
  options.touch = {{"left", "x"}};
  BOOST_TEST(mistakes_of(trace.dump(), options) ==
             "RP2130 --touch changes digests and needs --mode hash or timed, not noop");
}

BOOST_AUTO_TEST_CASE(scale_must_be_a_number_from_zero_that_gives_sensible_times) {
  const std::string trace = diamond().dump();
  BOOST_TEST(mistakes_of(trace, in_mode(TraceMode::sleep, -1)) ==
             "RP2133 --scale must be a number from 0, not -1");
  BOOST_TEST(mistakes_of(trace, in_mode(TraceMode::sleep, std::nan(""))) ==
             "RP2133 --scale must be a number from 0, not nan");
  BOOST_TEST(mistakes_of(trace, in_mode(TraceMode::sleep, 2e8)) ==
             "RP2136 task 'right' would sleep for more than 10 years; use a smaller --scale\n"
             "RP2136 task 'put' would sleep for more than 10 years; use a smaller --scale");
  BOOST_TEST(mistakes_of(trace, in_mode(TraceMode::sleep, 0)) == "");
}

BOOST_AUTO_TEST_CASE(every_mistake_has_its_own_message) {
  struct Case {
    std::function<void(json&)> change;
    std::string expected;
  };
  const std::vector<Case> cases = {
      // Version
      {[](json& t) { t.erase("schemaVersion"); },
       "RP2102 the trace has no 'schemaVersion'; WfFormat '1.5' and '1.6' are read"},
      {[](json& t) { t["schemaVersion"] = 1.5; },
       "RP2102 'schemaVersion' must be a text such as '1.5', not a number"},
      {[](json& t) { t["schemaVersion"] = "1.4"; },
       "RP2103 schemaVersion '1.4' is too old; WfFormat '1.5' and '1.6' are read"},
      {[](json& t) { t["schemaVersion"] = "2.0\x1b"; },
       "RP2104 unknown schemaVersion '2.0\\x1b'; WfFormat '1.5' and '1.6' are read"},
      // Shape
      {[](json& t) { t = json::array({t}); },
       "RP2101 a WfFormat trace is an object, this is a list"},
      {[](json& t) { t["name"] = 3; }, "RP2105 'name' of the trace must be a text, not a number"},
      {[](json& t) { t.erase("name"); }, "RP2106 the trace has no 'name'"},
      {[](json& t) { t["name"] = ""; }, "RP2106 the 'name' of the trace is empty"},
      {[](json& t) { t.erase("workflow"); }, "RP2106 the trace has no 'workflow'"},
      {[](json& t) { t["workflow"] = nullptr; },
       "RP2105 'workflow' of the trace must be an object, not null"},
      {[](json& t) { t["workflow"].erase("specification"); },
       "RP2106 'workflow' has no 'specification'"},
      {[](json& t) { t["workflow"]["specification"].erase("tasks"); },
       "RP2106 'workflow.specification' has no 'tasks'"},
      {[](json& t) {
         tasks(t) = json::array();
         t["workflow"].erase("execution");
       },
       "RP2107 the trace has no tasks"},
      {[](json& t) { tasks(t)[1] = "left"; }, "RP2105 task number 2 must be an object, not a text"},
      {[](json& t) { tasks(t)[1].erase("id"); }, "RP2106 task number 2 has no 'id'"},
      {[](json& t) { tasks(t)[1]["id"] = 2; },
       "RP2105 'id' of task number 2 must be a text, not a number"},
      {[](json& t) { tasks(t)[1]["id"] = ""; }, "RP2106 the 'id' of task number 2 is empty"},
      {[](json& t) { tasks(t)[1].erase("name"); }, "RP2106 task 'left' has no 'name'"},
      {[](json& t) { tasks(t)[1]["name"] = ""; }, "RP2106 the 'name' of task 'left' is empty"},
      {[](json& t) { tasks(t)[1].erase("parents"); }, "RP2106 task 'left' has no 'parents'"},
      {[](json& t) { tasks(t)[1].erase("children"); }, "RP2106 task 'left' has no 'children'"},
      {[](json& t) { tasks(t)[1]["parents"] = "get"; },
       "RP2105 'parents' of task 'left' must be a list, not a text"},
      {[](json& t) { tasks(t)[1]["parents"].push_back(true); },
       "RP2105 'parents' of task 'left' must hold texts, not a boolean"},
      {[](json& t) {
         tasks(t)[1]["inputFiles"] = {{"raw", 1}};
       },
       "RP2105 'inputFiles' of task 'left' must be a list, not an object"},
      // Graph
      {[](json& t) { tasks(t).push_back(task("left", {}, {}, {}, {})); },
       "RP2108 two tasks have the id 'left'"},
      {[](json& t) { tasks(t)[1]["parents"].push_back("gett"); },
       "RP2109 task 'left' names 'gett' as a parent, but there is no such task (did you mean "
       "'get'?)"},
      {[](json& t) { tasks(t)[1]["children"].push_back("nobody-like-it"); },
       "RP2109 task 'left' names 'nobody-like-it' as a child, but there is no such task"},
      {[](json& t) { tasks(t)[1]["parents"] = json::array(); },
       "RP2110 task 'get' names 'left' as a child, but 'left' does not name 'get' as a parent"},
      {[](json& t) { tasks(t)[1]["children"] = json::array(); },
       "RP2110 task 'put' names 'left' as a parent, but 'left' does not name 'put' as a child"},
      {[](json& t) {
         tasks(t)[3]["children"] = {"get"};
         tasks(t)[0]["parents"] = {"put"};
       },
       "RP2120 tasks wait for each other in a cycle: get → left → put → get"},
      {[](json& t) {
         tasks(t)[2]["children"].push_back("right");
         tasks(t)[2]["parents"].push_back("right");
       },
       "RP2120 tasks wait for each other in a cycle: right → right"},
      // Files
      {[](json& t) {
         t["workflow"]["specification"]["files"] = 5;
         tasks(t) = json::array({task("a", {}, {}, {}, {})});
         executed(t) = json::array({{{"id", "a"}, {"runtimeInSeconds", 1}}});
       },
       "RP2105 'files' of 'workflow.specification' must be a list, not a number"},
      {[](json& t) { files(t).erase(4); },
       "RP2111 task 'put' writes file 'out', which 'files' does not list"},
      {[](json& t) { files(t).erase(0); },
       "RP2111 task 'get' reads file 'in', which 'files' does not list"},
      {[](json& t) { tasks(t)[2]["outputFiles"].push_back("l"); },
       "RP2112 file 'l' is written by two tasks, 'left' and 'right'"},
      {[](json& t) { files(t)[1]["sizeInBytes"] = -1; },
       "RP2113 'sizeInBytes' of file 'raw' is negative: -1"},
      {[](json& t) { files(t)[1]["sizeInBytes"] = 1e300; },
       "RP2114 'sizeInBytes' of file 'raw' is too large: 1e+300"},
      {[](json& t) { files(t)[1]["sizeInBytes"] = 1.5; },
       "RP2114 'sizeInBytes' of file 'raw' is not a whole number: 1.5"},
      {[](json& t) { files(t)[1]["sizeInBytes"] = "7"; },
       "RP2105 'sizeInBytes' of file 'raw' must be a number, not a text"},
      {[](json& t) { files(t)[1].erase("sizeInBytes"); }, "RP2106 file 'raw' has no 'sizeInBytes'"},
      {[](json& t) {
         files(t).push_back({{"sizeInBytes", 1}});
       },
       "RP2106 file number 6 has no 'id'"},
      {[](json& t) { files(t).push_back("x"); },
       "RP2105 file number 6 must be an object, not a text"},
      {[](json& t) {
         files(t).push_back({{"id", "raw"}, {"sizeInBytes", 8}});
       },
       "RP2115 file 'raw' is listed twice"},
      {[](json& t) {
         files(t).push_back({{"id", "l"}, {"sizeInBytes", 7}});
       },
       "RP2115 file 'l' is listed twice"},
      {[](json& t) {
         files(t).push_back({{"id", ""}, {"sizeInBytes", 7}});
       },
       "RP2106 the 'id' of file number 6 is empty"},
      // Execution
      {[](json& t) { t["workflow"]["execution"] = json::array(); },
       "RP2105 'execution' of 'workflow' must be an object, not a list"},
      {[](json& t) { t["workflow"]["execution"].erase("tasks"); },
       "RP2106 'workflow.execution' has no 'tasks'"},
      {[](json& t) { executed(t).clear(); }, "RP2107 'workflow.execution' lists no tasks"},
      {[](json& t) { t["workflow"]["execution"].erase("makespanInSeconds"); },
       "RP2106 'workflow.execution' has no 'makespanInSeconds'"},
      {[](json& t) { executed(t)[2]["coreCount"] = 0; },
       "RP2121 'coreCount' of executed task 'right' is less than 1: 0"},
      {[](json& t) { executed(t)[2]["coreCount"] = "2"; },
       "RP2105 'coreCount' of executed task 'right' must be a number, not a text"},
      {[](json& t) {
         t["workflow"]["execution"]["machines"] = {{{"nodeName", "a"}}, json::object()};
       },
       "RP2106 machine number 2 has no 'nodeName'"},
      {[](json& t) { t["workflow"]["execution"]["machines"] = {"a"}; },
       "RP2105 machine number 1 must be an object, not a text"},
      {[](json& t) { t["workflow"]["execution"]["makespanInSeconds"] = -2; },
       "RP2118 'makespanInSeconds' of 'workflow.execution' is negative: -2"},
      {[](json& t) {
         executed(t).push_back({{"id", "putt"}, {"runtimeInSeconds", 1}});
       },
       "RP2116 task 'putt' was executed, but the specification has no such task (did you mean "
       "'put'?)"},
      {[](json& t) {
         executed(t).push_back({{"id", "put"}, {"runtimeInSeconds", 1}});
       },
       "RP2117 the execution of task 'put' is recorded twice"},
      {[](json& t) { executed(t)[0]["runtimeInSeconds"] = -0.25; },
       "RP2118 'runtimeInSeconds' of executed task 'get' is negative: -0.25"},
      {[](json& t) { executed(t)[0]["runtimeInSeconds"] = 1e11; },
       "RP2119 'runtimeInSeconds' of executed task 'get' is too large: 100000000000"},
      {[](json& t) { executed(t)[0].erase("runtimeInSeconds"); },
       "RP2106 executed task 'get' has no 'runtimeInSeconds'"},
      {[](json& t) { executed(t)[0]["runtimeInSeconds"] = nullptr; },
       "RP2105 'runtimeInSeconds' of executed task 'get' must be a number, not null"},
      {[](json& t) { executed(t)[0].erase("id"); }, "RP2106 executed task number 1 has no 'id'"},
      {[](json& t) { executed(t)[0] = 1; },
       "RP2105 executed task number 1 must be an object, not a number"},
  };
  std::set<std::string> messages;
  for (const Case& one : cases) {
    BOOST_TEST(mistakes_after(one.change) == one.expected);
    BOOST_TEST(messages.insert(one.expected).second);
  }
}

BOOST_AUTO_TEST_CASE(old_version_says_how_to_convert) {
  json trace = diamond();
  trace["schemaVersion"] = "1.3";
  const Checked<FlowSpec> flow = import_wfformat(trace.dump(), {});
  BOOST_REQUIRE(!flow.has_value());
  BOOST_TEST(flow.error().at(0).help.at(0) ==
             "convert it with tools/wfcommons-migrate-instance.py of "
             "https://github.com/wfcommons/WfFormat");
}

BOOST_AUTO_TEST_CASE(all_mistakes_are_told_at_once_with_their_places) {
  const std::string text =
      "\xef\xbb\xbf{\"name\": \"t\", \"schemaVersion\": \"1.5\",\n"
      " \"workflow\": {\"specification\": {\"files\": [{\"id\": \"f\", \"sizeInBytes\": -1}],\n"
      "  \"tasks\": [\n"
      "   {\"name\": \"n\", \"id\": \"\xc3\xa9\", \"parents\": [], \"children\": [\"b\"], "
      "\"inputFiles\": [\"g\"]},\n"
      "   {\"name\": \"n\", \"id\": \"b\",\n"
      "    \"parents\": [\"\xc3\xa9\", \"c\"], \"children\": []}]}}}\n";
  const Checked<FlowSpec> flow = import_wfformat(text, {});
  BOOST_REQUIRE(!flow.has_value());
  BOOST_TEST(listed(flow.error()) ==
             "2:70 RP2113 'sizeInBytes' of file 'f' is negative: -1\n"
             "4:78 RP2111 task '\xc3\xa9' reads file 'g', which 'files' does not list\n"
             "6:22 RP2109 task 'b' names 'c' as a parent, but there is no such task");
  BOOST_TEST(flow.error()[2].span.end_column == 25U);
}

BOOST_AUTO_TEST_CASE(a_cycle_is_found_wherever_it_is_and_a_long_one_is_shortened) {
  json trace = diamond();
  trace["workflow"].erase("execution");
  json ring = json::array();
  const auto id = [](int i) { return "t" + std::to_string(i); };
  ring.push_back(task("start", {}, {"t0"}, {}, {}));
  for (int i = 0; i < 40; ++i) {
    std::vector<std::string> parents{id((i + 39) % 40)};
    if (i == 0) parents.push_back("start");
    std::vector<std::string> children{id((i + 1) % 40)};
    if (i == 7) children.push_back("end");
    ring.push_back(task(id(i), parents, children, {}, {}));
  }
  ring.push_back(task("end", {"t7"}, {}, {}, {}));
  tasks(trace) = ring;
  BOOST_TEST(mistakes_of(trace.dump()) ==
             "RP2120 tasks wait for each other in a cycle: t0 → t1 → t2 → t3 → t4 → t5 → t6 → t7 → "
             "t8 → t9 → t10 → t11 → "
             "… 28 more … → t0");
}

BOOST_AUTO_TEST_CASE(thousands_of_mistakes_are_counted_not_kept) {
  json trace = diamond();
  for (int i = 0; i < 5000; ++i)
    tasks(trace)[0]["inputFiles"].push_back("missing" + std::to_string(i));
  const Checked<FlowSpec> flow = import_wfformat(trace.dump(), {});
  BOOST_REQUIRE(!flow.has_value());
  BOOST_TEST(flow.error().size() == 1001U);
  BOOST_TEST(flow.error().back().message == "there are 4000 more mistakes of this sort");
}

BOOST_AUTO_TEST_CASE(broken_json_is_told_with_its_place) {
  const auto first = [](std::string_view text) {
    const Checked<FlowSpec> flow = import_wfformat(text, {});
    return flow ? std::string() : listed(flow.error());
  };
  BOOST_TEST(first("{\"a\": 1,\n \"a\": 2}") == "2:2 RP2011 key 'a' stands twice in one object");
  BOOST_TEST(first("{\"a\": 1e999}")
                 .starts_with("1:11 RP2010 the file is not well-formed JSON: number overflow"));
  BOOST_TEST(first("{\"a\": NaN}")
                 .starts_with("1:7 RP2010 the file is not well-formed JSON: syntax error"));
  BOOST_TEST(
      first("{\"a\": \"\xff\"}").starts_with("1:8 RP2010 the file is not well-formed JSON: "));
  BOOST_TEST(first("{\"a\": 1} x").starts_with("1:10 RP2010 the file is not well-formed JSON: "));
  BOOST_TEST(first("").starts_with("1:1 RP2010 the file is not well-formed JSON: "));
  BOOST_TEST(first("{\"a\": [1,").starts_with("1:10 RP2010 the file is not well-formed JSON: "));
}

BOOST_AUTO_TEST_CASE(any_change_of_one_byte_is_refused_or_imported_but_never_crashes) {
  const std::string text = diamond().dump();
  BOOST_TEST(rc::check("import after damage", [&] {
    std::string damaged = text;
    const auto count = *rc::gen::inRange(1, 4);
    for (int i = 0; i < count; ++i) {
      damaged[*rc::gen::inRange<std::size_t>(0, damaged.size())] = *rc::gen::arbitrary<char>();
    }
    const auto mode = *rc::gen::element(TraceMode::hash, TraceMode::sleep, TraceMode::noop);
    const Checked<FlowSpec> flow = import_wfformat(damaged, in_mode(mode));
    if (flow)
      RC_ASSERT(check(*flow).has_value());
    else
      RC_ASSERT(!flow.error().empty());
  }));
}

BOOST_AUTO_TEST_CASE(random_graphs_come_out_as_they_went_in) {
  BOOST_TEST(rc::check("edges survive", [] {
    const auto count = *rc::gen::inRange<std::uint32_t>(1, 30);
    std::vector<std::vector<std::string>> parents(count), children(count);
    std::set<std::pair<std::uint32_t, std::uint32_t>> edges;
    for (std::uint32_t child = 1; child < count; ++child) {
      const auto chosen = *rc::gen::container<std::vector<bool>>(child, rc::gen::arbitrary<bool>());
      for (std::uint32_t parent = 0; parent < child; ++parent) {
        if (!chosen[parent]) continue;
        edges.emplace(parent, child);
        parents[child].push_back(std::to_string(parent));
        children[parent].push_back(std::to_string(child));
      }
    }
    json trace = diamond();
    trace["workflow"].erase("execution");
    tasks(trace) = json::array();
    for (std::uint32_t i = 0; i < count; ++i)
      tasks(trace).push_back(task(std::to_string(i), parents[i], children[i], {}, {}));
    const Checked<FlowSpec> flow = import_wfformat(trace.dump(), in_mode(TraceMode::noop));
    RC_ASSERT(flow.has_value());
    std::set<std::pair<std::uint32_t, std::uint32_t>> found;
    for (std::uint32_t i = 0; i < count; ++i) {
      for (const Input& input : flow->inputs_of(NodeId{i})) found.emplace(input.index, i);
    }
    RC_ASSERT(found == edges);
  }));
}

BOOST_AUTO_TEST_CASE(recorded_workflows_give_their_known_digests) {
  const auto folder = test::shared_folder("workflows");
  if (!folder) return;
  std::size_t traces = 0;
  for (const auto& row : test::read_table(*folder / "expected.tsv")) {
    const std::string& file = row.at("file");
    if (!file.starts_with("wfformat/")) continue;
    ++traces;
    BOOST_TEST_CONTEXT(file) {
      const Result<std::string> text = read_input((*folder / file).string());
      BOOST_REQUIRE_MESSAGE(text.has_value(), why_not(text));
      const auto started = std::chrono::steady_clock::now();
      const Checked<FlowSpec> flow = import_wfformat(*text, {});
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - started;
      BOOST_REQUIRE_MESSAGE(flow.has_value(), why_not(flow));
      if (text->size() > 4'000'000)
        BOOST_TEST_MESSAGE(file << ": " << text->size() << " bytes in " << took.count() << " ms");

      std::size_t edges = 0;
      for (const Input& input : flow->inputs)
        edges += input.source == Input::Source::upstream ? 1 : 0;
      BOOST_TEST(std::to_string(flow->nodes.size()) == row.at("tasks"));
      BOOST_TEST(std::to_string(edges) == row.at("edges"));
      const std::vector<std::string> results = test::run_hash_chain(*flow);
      BOOST_TEST(test::chain_digest_of(*flow, results) == row.at("chain_digest"));

      const TraceOptions touched{
          .mode = TraceMode::hash, .scale = 1, .touch = {{row.at("inval_task"), "x"}}};
      const Checked<FlowSpec> other = import_wfformat(*text, touched);
      BOOST_REQUIRE(other.has_value());
      const std::vector<std::string> changed = test::run_hash_chain(*other);
      std::size_t differ = 0;
      for (std::size_t i = 0; i < results.size(); ++i) differ += results[i] != changed[i] ? 1 : 0;
      BOOST_TEST(std::to_string(differ) == row.at("inval_n"));
    }
  }
  BOOST_TEST(traces == 25U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise
