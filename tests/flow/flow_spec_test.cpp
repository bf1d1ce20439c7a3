#include "flow/flow_spec.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>

#include "flow/flow_builder.hpp"

BOOST_AUTO_TEST_SUITE(flow_spec_tests)

using namespace reprise;

namespace {

/// Edges "a -> b" over tasks named by one letter; also makes cycles, which the builder alone could
/// not start with.
FlowSpec graph(std::uint32_t nodes,
               const std::vector<std::pair<std::uint32_t, std::uint32_t>>& edges) {
  FlowSpec flow;
  flow.name = "f";
  flow.kinds.emplace_back();
  flow.names = {"x"};
  for (std::uint32_t i = 0; i < nodes; ++i) {
    Node node;
    node.name = i < 26 ? std::string(1, static_cast<char>('a' + i)) : "n" + std::to_string(i);
    node.first_input = static_cast<std::uint32_t>(flow.inputs.size());
    for (auto [from, to] : edges) {
      if (to != i) continue;
      flow.inputs.push_back(Input{0, from, Input::Source::state_only, false, false, false});
      ++node.input_count;
    }
    flow.nodes.push_back(node);
  }
  return flow;
}

std::string problem(const FlowSpec& flow) {
  auto status = check(flow);
  if (status) return {};
  BOOST_TEST((status.error().code == ErrorCode::invalid_argument));
  return status.error().message;
}

bool mentions(const std::string& message, std::string_view part) {
  BOOST_TEST_INFO(message);
  return message.find(part) != std::string::npos;
}

/// A flow that uses every field.
FlowSpec rich_flow() {
  FlowBuilder builder("rich");
  TaskKind call;
  call.cache_name = "pkg.add";
  call.version = "7";
  call.body = FunctionBody{"add@7"};
  call.signature = {{{"a", "i64"}, {"b", "i64"}}, {{"o0", "i64"}}};
  call.trigger = {Trigger::Kind::some_failed, 0.5, 3, ""};
  call.skip_on_upstream_skip = false;
  call.retry = {3, std::chrono::seconds(1), true, std::chrono::minutes(2), {FailureClass::timeout}};
  call.timeout = std::chrono::seconds(30);
  call.cache.enabled = true;
  call.cache.expires_after = std::chrono::hours(1);
  call.cache.life = {true,
                     std::chrono::seconds(10),
                     std::chrono::hours(24),
                     15,
                     std::chrono::hours(48),
                     FailureCaching{std::chrono::minutes(1), {FailureClass::validation}, {65, 66}}};
  call.cache.code = sha256("build");
  call.cache.code_auto = true;
  call.cache.validator_function = "validator:mine@1";
  call.cache.hashes = {{"big.bin", {"etag", {"${{ params.etag }}", {4, 2, 9}}}}};
  call.cache.validator = Validator::partial_inputs;
  call.cache.validate_on = std::vector<std::string>{"a"};
  call.cache.shared_key = "shared";
  call.cache.ignored = {"b"};
  call.cache.salt = std::string("\xff\0", 2);
  call.cache.environment = {"TZ"};
  call.cache.dependencies = {{"image", sha256("img")}};
  call.resources = {2000, 1 << 30, {{"gpu", 1}}};
  call.require = {{"zone", "a"}};
  call.limits = {"db", "net"};
  call.priority = -7;
  call.isolated = true;
  call.when = "params.quality >= 20";
  call.when_span = {3, 5, 25};
  call.max_parallel = 8;
  call.reduce_fanin = 16;
  TaskKind command;
  CommandBody body;
  body.argv = {{"aligner", {1, 2, 9}}, {"-q", {}}};
  body.input_files = {{"ref.fa", {}}};
  body.outputs = {"out.bam"};
  body.environment = {{"LANG", {"C", {4, 4, 5}}}};
  body.in_flow_folder = true;
  body.exits = {{75, TaskState::retrying}, {77, TaskState::skipped}};
  command.body = body;
  command.target = {"out/${{ params.quality }}", {6, 1, 2}};
  command.hooks = {{{"failed"}, body}, {{}, FunctionBody{"told@1"}}};
  TaskKind script;
  script.body = CommandBody{{}, {"echo ${{ params.quality }}", {9, 1, 20}}, {}, {}, {}, false, {}};
  auto call_kind = builder.add_kind(call), command_kind = builder.add_kind(command),
       script_kind = builder.add_kind(script), pass_kind = builder.add_kind({});
  auto quality =
      builder.add_parameter({"quality",
                             "int",
                             Payload::of(Value(30)).value(),
                             "how good",
                             {Payload::of(Value(30)).value(), Payload::of(Value(35)).value()},
                             {2, 3, 10}});
  builder.add_parameter({"samples", "list", std::nullopt, "", {}, {}});

  NodeId source = builder.add_node("source", script_kind, 1.5f, {1, 1, 7});
  builder.add_parameter_input("quality", quality);
  NodeId align = builder.add_node("align", command_kind);
  builder.add_upstream("in", source, {true, true, false});
  builder.add_constant("c", Payload::of(Value(List{1, "x"})).value());
  builder.add_constant("nil", Payload::nil());
  Payload elsewhere = Payload::of(Value("far away")).value();
  elsewhere.bytes = nullptr;
  builder.add_constant("far", elsewhere);
  NodeId join = builder.add_node("join", call_kind);
  builder.add_upstream("parts", source, {false, false, true});
  builder.add_upstream("parts", align, {false, false, true});
  builder.add_expression("e", {"tasks.align.exit", {5, 6, 7}, {align}});
  NodeId end = builder.add_node("end \x1b[31m 語", pass_kind);
  builder.add_state_only(join);
  builder.add_output({"text", Output::Kind::expression, {"${{ tasks.end }}", {8, 1, 2}}, {}});
  builder.add_output({"value", Output::Kind::node, {}, end});
  builder.add_output({"digest", Output::Kind::chain_digest, {}, {}});
  builder.spec().reference_nodes = {end};
  builder.spec().folder = "/somewhere";
  builder.spec().source_file = "flow.yaml";
  return std::move(builder).finish().value();
}

void check_same(const FlowSpec& a, const FlowSpec& b) {
  BOOST_TEST(a.name == b.name);
  BOOST_TEST((a.kinds == b.kinds));
  BOOST_TEST((a.nodes == b.nodes));
  BOOST_TEST((a.inputs == b.inputs));
  BOOST_TEST((a.names == b.names));
  BOOST_TEST((a.constants == b.constants));
  BOOST_TEST((a.expressions == b.expressions));
  BOOST_TEST((a.parameters == b.parameters));
  BOOST_TEST((a.outputs == b.outputs));
  BOOST_TEST((a.reference_nodes == b.reference_nodes));
}

FlowSpec chain(std::uint32_t length) {
  FlowBuilder builder("chain");
  auto kind = builder.add_kind({});
  for (std::uint32_t i = 0; i < length; ++i) {
    NodeId node = builder.add_node("task_" + std::to_string(i), kind);
    if (i > 0) builder.add_upstream("x", NodeId{node.value - 1});
  }
  return std::move(builder).finish().value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(flow_record)

BOOST_AUTO_TEST_CASE(a_flow_with_everything_is_read_back) {
  FlowSpec flow = rich_flow();
  std::string bytes = flow.encode();
  auto back = FlowSpec::decode(bytes);
  BOOST_REQUIRE_MESSAGE(back, back.error().message);
  check_same(flow, *back);
  BOOST_TEST(back->encode() == bytes);
  BOOST_TEST(back->constants[1].value().value().is_nil());
  BOOST_TEST(!back->constants[2].is_at_hand());
}

BOOST_AUTO_TEST_CASE(where_a_flow_lies_is_not_part_of_it) {
  FlowSpec flow = rich_flow();
  std::string bytes = flow.encode();
  flow.folder = "/elsewhere";
  flow.source_file = "other.yaml";
  BOOST_TEST(flow.encode() == bytes);
  BOOST_TEST(FlowSpec::decode(bytes).value().folder.empty());
  flow.kinds[0].timeout += Duration(1);
  BOOST_TEST(flow.encode() != bytes);
}

BOOST_AUTO_TEST_CASE(whether_results_of_the_same_run_count_is_read_back) {
  for (const bool takes : {false, true}) {
    FlowSpec flow = rich_flow();
    const std::string before = flow.encode();
    flow.kinds[0].cache.same_run = takes;
    flow.kinds[1].cache.same_run = takes;  // the one thing that it says of its cache
    BOOST_TEST(flow.encode() != before);
    check_same(FlowSpec::decode(flow.encode()).value(), flow);
  }
}

BOOST_AUTO_TEST_CASE(an_empty_flow_is_read_back) {
  FlowSpec flow;
  check_same(FlowSpec::decode(flow.encode()).value(), flow);
}

BOOST_AUTO_TEST_CASE(cut_off_and_longer_records_are_corrupt) {
  std::string bytes = rich_flow().encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto cut = FlowSpec::decode(std::string_view(bytes).substr(0, size));
    BOOST_REQUIRE(!cut);
    BOOST_REQUIRE((cut.error().code == ErrorCode::corrupt));
  }
  BOOST_TEST(!FlowSpec::decode(bytes + '\xc0'));
}

BOOST_AUTO_TEST_CASE(the_seeds_of_the_fuzzer_are_of_this_format) {
  const char* root = std::getenv("REPRISE_SOURCE_DIR");
  const std::string folder = std::string(root ? root : ".") + "/tests/fuzz/corpus/flow_record/";
  if (std::getenv("REPRISE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(folder + "empty", std::ios::binary) << FlowSpec{}.encode();
    std::ofstream(folder + "chain", std::ios::binary) << graph(3, {{0, 1}, {1, 2}}).encode();
    std::ofstream(folder + "cycle", std::ios::binary) << graph(2, {{0, 1}, {1, 0}}).encode();
    std::ofstream(folder + "rich", std::ios::binary) << rich_flow().encode();
  }
  for (const char* seed : {"empty", "chain", "rich"}) {
    std::ifstream in(folder + seed, std::ios::binary);
    BOOST_REQUIRE(in);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    BOOST_TEST(FlowSpec::decode(bytes).has_value(),
               seed << " is stale; run this with REPRISE_UPDATE_GOLDEN=1");
  }
}

BOOST_AUTO_TEST_CASE(an_exit_code_stands_for_a_signal_and_nothing_else) {
  FlowSpec flow = graph(1, {});
  CommandBody body;
  body.exits = {{75, TaskState::running}};
  flow.kinds[0].body = body;
  BOOST_TEST(!FlowSpec::decode(flow.encode()));
  body.exits = {{75, TaskState::paused}};
  flow.kinds[0].body = body;
  BOOST_TEST(FlowSpec::decode(flow.encode()).has_value());
}

BOOST_AUTO_TEST_CASE(other_versions_are_refused) {
  std::string bytes = rich_flow().encode();
  BOOST_REQUIRE(bytes[1] == 3);
  bytes[1] = 1;
  BOOST_TEST((FlowSpec::decode(bytes).error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(any_changed_byte_gives_a_valid_flow_or_an_error) {
  const std::string bytes = rich_flow().encode();
  int accepted = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int byte : {0x00, 0x01, 0x7f, 0x80, 0x90, 0xa0, 0xc0, 0xcf, 0xdd, 0xff}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(byte);
      if (auto flow = FlowSpec::decode(changed)) {
        ++accepted;
        BOOST_REQUIRE(check(*flow));
        BOOST_REQUIRE(FlowSpec::decode(flow->encode()));
      }
    }
  }
  BOOST_TEST(accepted > 0);
}

RC_BOOST_PROP(arbitrary_bytes_do_not_harm, (const std::string& bytes)) {
  (void)FlowSpec::decode(bytes);
}

BOOST_AUTO_TEST_CASE(ten_thousand_tasks_are_a_small_record_quickly_made) {
  FlowSpec flow = chain(10'000);
  auto begin = std::chrono::steady_clock::now();
  std::string bytes = flow.encode();
  auto took = std::chrono::steady_clock::now() - begin;
  BOOST_TEST(bytes.size() < 30u * 10'000);
  BOOST_TEST((took < std::chrono::milliseconds(200)));  // about 1 ms; sanitizers are slower
  check_same(FlowSpec::decode(bytes).value(), flow);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(flow_check)

BOOST_AUTO_TEST_CASE(cycles_are_shown_in_the_order_of_the_work) {
  // a runs before b, which runs before c, which should run before a.
  BOOST_TEST(mentions(problem(graph(4, {{0, 1}, {1, 2}, {2, 0}, {0, 3}})), "a → b → c → a"));
  BOOST_TEST(mentions(problem(graph(1, {{0, 0}})), "a → a"));
  BOOST_TEST(mentions(problem(graph(3, {{2, 1}, {1, 2}, {0, 1}})), "b → c → b"));
  BOOST_TEST(problem(graph(4, {{0, 1}, {0, 2}, {1, 3}, {2, 3}})).empty());
}

BOOST_AUTO_TEST_CASE(cycles_through_expressions_are_found) {
  FlowSpec flow = graph(2, {{0, 1}});
  flow.expressions.push_back({"tasks.b", {}, {NodeId{1}}});
  flow.nodes[0].input_count = 1;
  flow.nodes[1].first_input = 1;
  flow.inputs.insert(flow.inputs.begin(),
                     Input{0, 0, Input::Source::expression, false, false, false});
  BOOST_TEST(mentions(problem(flow), "a → b → a"));
}

BOOST_AUTO_TEST_CASE(long_cycles_are_shortened) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t i = 0; i < 1000; ++i) edges.emplace_back(i, (i + 1) % 1000);
  std::string message = problem(graph(1000, edges));
  BOOST_TEST(mentions(message, "a → b → "));
  BOOST_TEST(mentions(message, " more …"));
  BOOST_TEST(mentions(message, " → n999 → a"));
  BOOST_TEST(message.size() < 300u);
}

BOOST_AUTO_TEST_CASE(a_million_tasks_in_a_row_are_checked_without_recursion) {
  FlowSpec flow = chain(1'000'000);
  BOOST_TEST(problem(flow).empty());
  // Nodes in the other order: the first one needs all others.
  FlowSpec reverse = flow;
  for (std::uint32_t i = 0; i < 1'000'000; ++i) {
    reverse.nodes[i].first_input = i;
    reverse.nodes[i].input_count = i + 1 < 1'000'000 ? 1 : 0;
  }
  for (std::uint32_t i = 0; i + 1 < 1'000'000; ++i) reverse.inputs[i].index = i + 1;
  BOOST_TEST(problem(reverse).empty());
  reverse.nodes.back().input_count = 1;
  reverse.inputs.push_back(reverse.inputs.back());
  reverse.inputs.back().index = 0;
  BOOST_TEST(mentions(problem(reverse), "task_0 → task_999999 → task_999998"));
}

BOOST_AUTO_TEST_CASE(shared_expressions_do_not_multiply) {
  FlowSpec flow = graph(1000, {});
  Expression all{"tasks", {}, {}};
  for (std::uint32_t i = 0; i < 1000; ++i)
    all.reads.insert(all.reads.end(), 100, NodeId{i});  // 100,000 reads
  flow.expressions.push_back(all);
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    Node node;
    node.name = "reader" + std::to_string(i);
    node.first_input = i;
    node.input_count = 1;
    flow.nodes.push_back(node);
    flow.inputs.push_back(Input{0, 0, Input::Source::expression, false, false, false});
  }
  BOOST_TEST(problem(flow).empty());  // would take 2 * 10^10 steps
}

BOOST_AUTO_TEST_CASE(names_and_indices_are_checked) {
  auto broken = [](auto change) {
    FlowSpec flow = rich_flow();
    change(flow);
    return problem(flow);
  };
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.nodes[1].name = "source"; }),
                      "two tasks are named \"source\""));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.nodes[1].name.clear(); }), "no name"));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.nodes[1].kind = 99; }), "\"align\""));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.nodes[1].input_count = 99; }), "\"align\""));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { ++f.nodes[1].first_input; }), "\"align\""));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.nodes[1].expected_seconds = -1; }), "\"align\""));
  BOOST_TEST(
      mentions(broken([](FlowSpec& f) { f.kinds[0].priority = 1001; }), "has priority 1001"));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.kinds[0].limits = {"b", "a"}; }), "not in order"));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.inputs.emplace_back(); }), "no task"));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.parameters[1].name = "quality"; }),
                      "\"quality\" is declared twice"));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.outputs[1].name = "text"; }), "two outputs"));
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.outputs[1].node = {}; }), "\"value\""));
  BOOST_TEST(!broken([](FlowSpec& f) { f.expressions[0].reads[0] = {}; }).empty());
  BOOST_TEST(!broken([](FlowSpec& f) { f.reference_nodes = {NodeId{4}}; }).empty());
  for (std::size_t i = 0; i < rich_flow().inputs.size(); ++i)
    BOOST_TEST(!broken([&](FlowSpec& f) { f.inputs[i].index = 99; }).empty());
  BOOST_TEST(!broken([](FlowSpec& f) { f.inputs[0].name = 99; }).empty());
  BOOST_TEST(mentions(broken([](FlowSpec& f) { f.kinds[0].reduce_fanin = 1; }), "at least 2"));
}

BOOST_AUTO_TEST_CASE(an_input_name_comes_twice_only_when_gathered) {
  auto build = [](bool first, bool second) {
    FlowBuilder builder("f");
    auto kind = builder.add_kind({});
    NodeId a = builder.add_node("a", kind);
    builder.add_node("b", kind);
    builder.add_upstream("x", a, {false, false, first});
    builder.add_upstream("y", a);
    builder.add_upstream("x", a, {false, false, second});
    return std::move(builder).finish();
  };
  BOOST_TEST(build(true, true).has_value());
  for (auto [first, second] : {std::pair{true, false}, {false, true}, {false, false}})
    BOOST_TEST(
        mentions(build(first, second).error().message, "task \"b\" has two inputs named \"x\""));
}

BOOST_AUTO_TEST_CASE(foreign_names_are_escaped_in_messages) {
  FlowSpec flow = graph(2, {{0, 1}, {1, 0}});
  flow.nodes[0].name = "\x1b[31m\n";
  BOOST_TEST(mentions(problem(flow), "\\x1b[31m\\n → b"));
}

BOOST_AUTO_TEST_CASE(the_builder_interns_names_and_constants) {
  FlowBuilder builder("f");
  auto kind = builder.add_kind({});
  for (int i = 0; i < 10; ++i) {
    builder.add_node(std::to_string(i), kind);
    builder.add_constant("x", Payload::of(Value(i % 2)).value());
    builder.add_constant("y", Payload::nil());
  }
  FlowSpec flow = std::move(builder).finish().value();
  BOOST_TEST(flow.names.size() == 2u);
  BOOST_TEST(flow.constants.size() == 3u);
  BOOST_TEST(flow.inputs_of(NodeId{3}).size() == 2u);
  BOOST_TEST((flow.constants[flow.inputs_of(NodeId{3})[0].index].value().value() == Value(1)));
  BOOST_TEST(!flow.is_mapped(NodeId{3}));
  BOOST_TEST(rich_flow().is_mapped(NodeId{1}));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(flow_parameters)

namespace {

Payload payload(const Value& value) {
  return Payload::of(value).value();
}

FlowSpec with(std::vector<Parameter> parameters) {
  FlowSpec flow;
  flow.name = "align";
  flow.parameters = std::move(parameters);
  return flow;
}

Parameter parameter(std::string type) {
  return Parameter{"p", std::move(type), std::nullopt, "", {}, {}};
}

std::string refusal(const FlowSpec& flow, const Parameters& given) {
  auto bound = bind_parameters(flow, given);
  BOOST_REQUIRE(!bound);
  BOOST_TEST((bound.error().code == ErrorCode::invalid_argument));
  return bound.error().message;
}

}  // namespace

BOOST_AUTO_TEST_CASE(given_values_win_over_defaults) {
  FlowSpec flow = rich_flow();
  Parameters given = {{"samples", payload(List{"a"})}};
  Parameters bound = bind_parameters(flow, given).value();
  BOOST_TEST(bound.size() == 2u);
  BOOST_TEST((bound.at("quality") == payload(30)));
  given["quality"] = payload(35);
  BOOST_TEST((bind_parameters(flow, given).value().at("quality") == payload(35)));
}

BOOST_AUTO_TEST_CASE(misspelt_names_get_a_suggestion_even_when_another_is_missing) {
  std::string message = refusal(rich_flow(), {{"sampels", payload(List{})}});
  BOOST_TEST(mentions(message, "no parameter \"sampels\""));
  BOOST_TEST(mentions(message, "did you mean \"samples\"?"));
}

BOOST_AUTO_TEST_CASE(missing_wrong_and_unlisted_values_are_refused) {
  BOOST_TEST(mentions(refusal(rich_flow(), {}), "\"samples\""));
  BOOST_TEST(
      mentions(refusal(rich_flow(), {{"samples", payload(1)}}), "must be of type list, not 1"));
  BOOST_TEST(
      mentions(refusal(rich_flow(), {{"samples", payload(List{})}, {"quality", payload(31)}}),
               "must be one of 30, 35, not 31"));
}

BOOST_AUTO_TEST_CASE(types_are_checked) {
  Value file = FileValue{sha256("x"), 1, false}.to_value();
  struct Row {
    std::string type;
    std::vector<Value> good, bad;
  };
  for (const Row& row : {Row{"string", {"", "x"}, {1, Value(), List{}}},
                         Row{"int", {1, -1, std::uint64_t{1} << 63}, {1.0, "1", true}},
                         Row{"float", {1.5, 1}, {"1", true}}, Row{"bool", {true}, {1, "true"}},
                         Row{"list", {List{}}, {Map{}, "a,b"}}, Row{"file", {file, "path"}, {1}},
                         Row{"any", {1, "x", Value(), List{}}, {}}}) {
    FlowSpec flow = with({parameter(row.type)});
    for (const Value& good : row.good)
      BOOST_TEST(bind_parameters(flow, {{"p", payload(good)}}).has_value(),
                 row.type << " " << to_json(good));
    for (const Value& bad : row.bad)
      BOOST_TEST(mentions(refusal(flow, {{"p", payload(bad)}}), row.type));
  }
}

BOOST_AUTO_TEST_CASE(whole_numbers_become_floats_where_floats_are_wanted) {
  Parameters bound = bind_parameters(with({parameter("float")}), {{"p", payload(3)}}).value();
  BOOST_TEST((bound.at("p") == payload(3.0)));
}

BOOST_AUTO_TEST_CASE(command_line_text_is_parsed_by_type) {
  auto parsed = [](std::string type, std::string_view text) {
    return parse_parameter(parameter(std::move(type)), text).value().value().value();
  };
  BOOST_TEST((parsed("int", "3") == Value(3)));
  BOOST_TEST((parsed("int", "-3") == Value(-3)));
  BOOST_TEST((parsed("int", "18446744073709551615") == Value(UINT64_MAX)));
  BOOST_TEST((parsed("float", "3") == Value(3.0)));
  BOOST_TEST((parsed("float", "1e-3") == Value(0.001)));
  BOOST_TEST((parsed("bool", "true") == Value(true)));
  BOOST_TEST((parsed("string", "3") == Value("3")));
  BOOST_TEST((parsed("file", "a/b.txt") == Value("a/b.txt")));
  BOOST_TEST((parsed("list", "a,b") == Value(List{"a", "b"})));
  BOOST_TEST((parsed("list", "a,") == Value(List{"a", ""})));
  BOOST_TEST((parsed("list", "") == Value(List{})));
  BOOST_TEST((parsed("list", " [1, \"b,c\"]") == Value(List{1, "b,c"})));
  BOOST_TEST((parsed("any", "[1]") == Value(List{1})));
  BOOST_TEST((parsed("any", "some text") == Value("some text")));
  for (auto [type, text] :
       std::vector<std::pair<std::string, std::string>>{{"int", "3.0"},
                                                        {"int", ""},
                                                        {"int", "3x"},
                                                        {"int", "18446744073709551616"},
                                                        {"float", "x"},
                                                        {"float", "nan"},
                                                        {"bool", "yes"},
                                                        {"bool", "1"},
                                                        {"list", "[1"},
                                                        {"string", "\xff"},
                                                        {"any", "\xff"}}) {
    auto refused = parse_parameter(parameter(type), text);
    BOOST_REQUIRE_MESSAGE(!refused, type << " " << text);
    BOOST_TEST(mentions(refused.error().message, "parameter \"p\""));
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
