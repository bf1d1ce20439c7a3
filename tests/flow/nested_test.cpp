// Flows that run flows: what files say of them, what a FlowSpec and its bytes hold, and what is
// complained about.
#include <boost/test/unit_test.hpp>

#include <map>

#include <fmt/format.h>

#include "flow/flow_builder.hpp"
#include "flow/flow_file.hpp"

BOOST_AUTO_TEST_SUITE(nested_flow)

using namespace reprise;

namespace {

using Files = std::map<std::string, std::string>;

FlowFileOptions among(Files files) {
  FlowFileOptions options;
  options.beside = std::make_shared<FilesBeside>();
  options.beside->way = {"flow.yaml"};
  options.beside->read = [files =
                              std::move(files)](const std::string& name) -> Result<std::string> {
    const auto file = files.find(name);
    if (file == files.end()) return fail(ErrorCode::not_found, "no such file");
    return file->second;
  };
  return options;
}

constexpr const char* inner = R"(version: 1
params: {n: {type: int}, x: {type: float, default: 1}}
tasks: {t: {run: [echo, "${{ params.n }}"]}}
outputs: {said: "${{ t.stdout }}"}
)";

/// A flow of these tasks; the first line of them is the third.
std::string tasks(const std::string& text) {
  return "version: 1\ntasks:\n" + text;
}

FlowSpec flow(const std::string& text, Files files = {{"inner.yaml", inner}}) {
  FlowFile file = decode_flow_file(text, "flow.yaml", among(std::move(files)));
  BOOST_REQUIRE_MESSAGE(file.flow, render(file.diagnostics, "flow.yaml", text, false));
  const auto again = FlowSpec::decode(file.flow->encode());
  BOOST_REQUIRE_MESSAGE(again, again.error().message);
  BOOST_TEST(again->encode() == file.flow->encode());
  return *std::move(file.flow);
}

/// "RP1214 3:12 …" of every mistake.
std::vector<std::string> mistakes(const std::string& text, Files files = {{"inner.yaml", inner}}) {
  std::vector<std::string> found;
  const FlowFile file = decode_flow_file(text, "flow.yaml", among(std::move(files)));
  BOOST_TEST(!file.flow);
  for (const Diagnostic& d : file.diagnostics)
    found.push_back(fmt::format("{} {}:{} {}", d.code, d.span.line, d.span.column, d.message));
  return found;
}

std::string only_mistake(const std::string& text, Files files = {{"inner.yaml", inner}}) {
  const auto found = mistakes(text, std::move(files));
  return found.size() == 1 ? found[0] : fmt::format("{} mistakes", found.size());
}

const NestedBody& body(const FlowSpec& spec, std::uint32_t node) {
  return std::get<NestedBody>(spec.kind_of(NodeId{node}).body);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_flow_file_beside_becomes_part_of_the_flow) {
  const FlowSpec spec = flow(tasks(R"(  a: {flow: inner.yaml, params: {n: 3}}
  b: {flow: ./inner.yaml, params: {n: "${{ size(a) }}", x: 2}}
)"));
  BOOST_REQUIRE(spec.nested.size() == 1u);  // one file, however often it is named
  BOOST_TEST(spec.nested[0]->name == "inner");
  BOOST_TEST((body(spec, 0) == NestedBody{0, "", ""}));
  BOOST_TEST((body(spec, 1) == NestedBody{0, "", ""}));
  const Signature& signature = spec.kind_of(NodeId{1}).signature;
  BOOST_REQUIRE(signature.inputs.size() == 2u);
  BOOST_TEST(signature.inputs[0].first == "n");
  BOOST_TEST(signature.inputs[1].first == "x");
}

BOOST_AUTO_TEST_CASE(a_flow_that_is_made_is_an_input) {
  const FlowSpec spec = flow(tasks(R"(  plan: {shell: "./make > flow.yaml", outputs: [flow.yaml]}
  work:
    map: {over: [1, 2], as: i}
    flow: "${{ plan.outputs['flow.yaml'] }}"
    params: {n: "${{ i }}", plan: "${{ plan.exit }}"}
)"));
  BOOST_TEST(spec.nested.empty());
  BOOST_TEST((body(spec, 1) == NestedBody{std::nullopt, "(flow)", ""}));
  std::vector<std::string> names;
  for (const Input& input : spec.inputs_of(NodeId{1})) names.push_back(spec.names[input.name]);
  // A task called like a parameter is seen by expressions under another name.
  const std::vector<std::string> expected{"(flow)", "n", "plan", "plan (task)"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  BOOST_TEST(spec.is_mapped(NodeId{1}));
}

BOOST_AUTO_TEST_CASE(defaults_that_are_for_workers_are_not_for_it) {
  const FlowSpec spec = flow(R"(version: 1
defaults: {timeout: 10s, cache: true, retry: {max: 2}, limit: db, priority: 5}
tasks:
  a: {flow: inner.yaml, params: {n: 3}}
)");
  const TaskKind& kind = spec.kind_of(NodeId{0});
  BOOST_TEST(!kind.cache.enabled);
  BOOST_TEST(kind.limits.empty());
  BOOST_TEST(kind.timeout.count() == 0);
  BOOST_TEST(kind.retry.max == 2u);
  BOOST_TEST(kind.priority == 5);
}

BOOST_AUTO_TEST_CASE(parameters_are_checked_before_anything_runs) {
  BOOST_TEST(only_mistake(tasks("  a: {flow: inner.yaml, params: {m: 3, n: 1}}\n")) ==
             "RP1215 3:34 'inner.yaml' has no parameter 'm'");
  BOOST_TEST(only_mistake(tasks("  a: {flow: inner.yaml}\n")) ==
             "RP1215 3:13 'inner.yaml' lacks the parameter 'n'");
  BOOST_TEST(only_mistake(tasks("  a: {flow: inner.yaml, params: {x: 1}}\n")) ==
             "RP1215 3:25 'inner.yaml' lacks the parameter 'n'");
  BOOST_TEST(only_mistake(tasks("  a: {flow: inner.yaml, params: {n: [1]}}\n"))
                 .starts_with("RP1215 3:37 parameter 'n' of 'inner.yaml' must be"));
  BOOST_TEST(
      only_mistake(tasks("  a: {flow: inner.yaml, params: 3}\n")).starts_with("RP1103 3:33"));
}

BOOST_AUTO_TEST_CASE(what_is_no_flow_file_is_said_where_it_is_named) {
  BOOST_TEST(only_mistake(tasks("  a: {flow: other.yaml}\n")) ==
             "RP1214 3:13 the flow file 'other.yaml' cannot be read: no such file");
  BOOST_TEST(only_mistake(tasks("  a: {flow: ../inner.yaml}\n")) ==
             "RP1214 3:13 the flow file '../inner.yaml' lies in another folder");
  BOOST_TEST(only_mistake(tasks("  a: {flow: bad.yaml}\n"),
                          {{"bad.yaml", "version: 1\ntasks: {t: {rum: [x]}}\n"}}) ==
             "RP1214 3:13 the flow file 'bad.yaml' has mistakes: 2:13: unknown key 'rum' in task "
             "'t'");
  BOOST_TEST(only_mistake(tasks("  a: {flow: \"${{ 1 + 1 }}\"}\n"))
                 .starts_with("RP1214 3:13 task 'a' runs a flow, and this is"));
  BOOST_TEST(only_mistake(tasks("  a: {flow: \"\"}\n")).starts_with("RP1108 3:13"));
  // Where there are no files beside it.
  const FlowFile alone = decode_flow_file(tasks("  a: {flow: inner.yaml}\n"), "flow.yaml");
  BOOST_REQUIRE(alone.diagnostics.size() == 1u);
  BOOST_TEST(alone.diagnostics[0].message == "the flow file 'inner.yaml' cannot be read here");
}

BOOST_AUTO_TEST_CASE(files_that_run_each_other_in_a_circle_are_refused) {
  const Files files{{"b.yaml", tasks("  t: {flow: c.yaml}\n")},
                    {"c.yaml", tasks("  t: {flow: b.yaml}\n")}};
  const std::string said = only_mistake(tasks("  t: {flow: b.yaml}\n"), files);
  BOOST_TEST(said.find("flow files run each other in a circle: flow.yaml → b.yaml → c.yaml → "
                       "b.yaml") != std::string::npos,
             said);
  Files chain;
  for (int i = 0; i < 40; ++i)
    chain[fmt::format("f{}.yaml", i)] = tasks(fmt::format("  t: {{flow: f{}.yaml}}\n", i + 1));
  BOOST_TEST(only_mistake(tasks("  t: {flow: f0.yaml}\n"), chain).find("more than 16 deep") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(keys_for_workers_do_not_go_with_it) {
  const auto found = mistakes(tasks(
      "  a: {flow: inner.yaml, params: {n: 1}, cache: true, timeout: 3s, inputs: [x], args: [1]}\n"
      "  b: {run: [x], params: {n: 1}}\n"
      "  c: {run: [x], flow: inner.yaml}\n"));
  std::vector<std::string> codes;
  for (const std::string& each : found) codes.push_back(each.substr(0, each.find(' ', 7)));
  const std::vector<std::string> expected{"RP1114 3:41", "RP1114 3:54", "RP1114 3:67",
                                          "RP1114 3:80", "RP1114 4:17", "RP1109 5:17"};
  BOOST_TEST(codes == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(flows_without_others_in_them_keep_their_bytes) {
  FlowBuilder builder("f");
  (void)builder.add_node("a", builder.add_kind({}));
  const FlowSpec spec = std::move(builder).finish().value();
  BOOST_TEST(spec.encode()[0] == '\x9c');  // an array of 12, as before flows could be nested
}

BOOST_AUTO_TEST_CASE(records_that_make_no_sense_are_refused) {
  FlowSpec spec = flow(tasks("  a: {flow: inner.yaml, params: {n: 3}}\n"));
  spec.nested.clear();
  BOOST_TEST(!check(spec));
  BOOST_TEST(!FlowSpec::decode(spec.encode()));
  auto deep = std::make_shared<FlowSpec>();
  for (int i = 0; i < 40; ++i) {
    auto outer = std::make_shared<FlowSpec>();
    outer->nested = {deep};
    deep = outer;
    BOOST_TEST(check(*deep).has_value() == (i < 16), i);
    BOOST_TEST(FlowSpec::decode(deep->encode()).has_value() == (i < 16), i);
  }
  TaskKind kind;
  kind.body = NestedBody{std::nullopt, "x", ""};
  kind.cache.enabled = true;
  FlowBuilder builder("f");
  (void)builder.add_node("a", builder.add_kind(kind));
  BOOST_TEST(!std::move(builder).finish());
}

BOOST_AUTO_TEST_SUITE_END()
