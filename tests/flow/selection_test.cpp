#include "flow/selection.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

#include "flow/flow_file.hpp"

BOOST_TEST_DONT_PRINT_LOG_VALUE(std::vector<std::string>)

BOOST_AUTO_TEST_SUITE(selection)

using namespace reprise;

namespace {

using Names = std::vector<std::string>;

FlowSpec flow_of(std::string_view text) {
  const FlowFile file = decode_flow_file(text, "flow.yaml", {});
  BOOST_REQUIRE(file.flow.has_value());
  return *file.flow;
}

// a → b → d, c → d, e after d; `of b` reads b alone, `of d` reads both.
FlowSpec diamond() {
  return flow_of(R"(
version: 1
name: diamond
tasks:
  c: {run: [echo, c]}
  a: {run: [echo, a]}
  b: {run: [echo, "${{ a.stdout }}"]}
  d: {run: [echo, "${{ b.stdout }} ${{ c.stdout }}"]}
  e: {run: [echo, e], needs: [d]}
  m: {run: [echo, "${{ item }}"], map: {over: "${{ [a.stdout, 'x'] }}", as: item}}
outputs:
  of b: "${{ b.stdout }}"
  of d: "${{ d.stdout }} after ${{ b.stdout }}"
  fixed: "1"
)");
}

Names tasks_of(const FlowSpec& flow) {
  Names names;
  for (const Node& node : flow.nodes) names.push_back(node.name);
  std::ranges::sort(names);
  return names;
}

Names outputs_of(const FlowSpec& flow) {
  Names names;
  for (const Output& output : flow.outputs) names.push_back(output.name);
  std::ranges::sort(names);
  return names;
}

Names upstream_of(const FlowSpec& flow, std::string_view task) {
  Names names;
  for (std::uint32_t i = 0; i < flow.nodes.size(); ++i) {
    if (flow.nodes[i].name != task) continue;
    for (const Input& input : flow.inputs_of(NodeId{i}))
      if (input.source == Input::Source::upstream || input.source == Input::Source::state_only)
        names.push_back(flow.nodes[input.index].name);
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_task_comes_with_all_that_is_upstream_of_it_and_nothing_else) {
  const FlowSpec flow = diamond();
  const auto b = only(flow, {"b"});
  BOOST_REQUIRE(b.has_value());
  BOOST_TEST(tasks_of(*b) == (Names{"a", "b"}));
  BOOST_TEST(upstream_of(*b, "b") == Names{"a"});
  BOOST_TEST(outputs_of(*b) == (Names{"fixed", "of b"}));
  const auto e = only(flow, {"e", "a"});
  BOOST_REQUIRE(e.has_value());
  BOOST_TEST(tasks_of(*e) == (Names{"a", "b", "c", "d", "e"}));
  BOOST_TEST(upstream_of(*e, "d") == (Names{"b", "c"}));
  BOOST_TEST(upstream_of(*e, "e") == Names{"d"});
  BOOST_TEST(outputs_of(*e) == (Names{"fixed", "of b", "of d"}));
}

BOOST_AUTO_TEST_CASE(what_an_expression_reads_is_upstream) {
  const auto m = only(diamond(), {"m"});
  BOOST_REQUIRE(m.has_value());
  BOOST_TEST(tasks_of(*m) == (Names{"a", "m"}));
  for (const Expression& expression : m->expressions)
    for (const NodeId read : expression.reads) BOOST_TEST(m->nodes[read.value].name == "a");
}

BOOST_AUTO_TEST_CASE(the_whole_of_a_flow_stays_what_it_is) {
  const FlowSpec flow = diamond();
  const auto all = only(flow, {"e", "m"});
  BOOST_REQUIRE(all.has_value());
  BOOST_TEST((all->encode() == flow.encode()));
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_task_is_refused_with_the_one_that_was_meant) {
  const auto none =
      only(flow_of("version: 1\nname: f\ntasks:\n  align: {run: [echo]}\n"), {"alien"});
  BOOST_REQUIRE(!none.has_value());
  BOOST_TEST((none.error().code == ErrorCode::invalid_argument));
  BOOST_TEST(none.error().message == "\"alien\" is no task of flow \"f\"; did you mean \"align\"?");
}

BOOST_AUTO_TEST_SUITE_END()
