#include "reprise/flow.hpp"

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "api/flow_state.hpp"
#include "flow/flow_spec.hpp"
#include "tests/api/sample_types.hpp"
#include "tests/api/tasks.hpp"

BOOST_AUTO_TEST_SUITE(flow_suite)

using namespace reprise;
using namespace reprise::samples;
using namespace std::chrono_literals;

namespace {

FlowSpec built(const flow& f) {
  auto spec = f.state()->build();
  BOOST_REQUIRE_MESSAGE(spec, (spec ? "" : spec.error().message));
  return std::move(*spec);
}

/// One line per node: `name = function(input=source …)`; * is mapped, ** flattened, > waits only.
std::vector<std::string> lines(const FlowSpec& spec) {
  std::vector<std::string> all;
  for (std::uint32_t n = 0; n < spec.nodes.size(); ++n) {
    const NodeId id{n};
    const auto* function = std::get_if<FunctionBody>(&spec.kind_of(id).body);
    std::string line =
        fmt::format("{} = {}(", spec.nodes[n].name, function ? function->function : "pass");
    bool first = true;
    for (const Input& input : spec.inputs_of(id)) {
      if (!first) line += " ";
      first = false;
      if (input.source == Input::Source::state_only) {
        line += ">" + spec.nodes[input.index].name;
        continue;
      }
      line +=
          spec.names[input.name] + "=" + (input.mapped ? "*" : "") + (input.flattened ? "*" : "");
      switch (input.source) {
        case Input::Source::constant:
          line += to_json(*spec.constants[input.index].value());
          break;
        case Input::Source::upstream:
          line += spec.nodes[input.index].name;
          break;
        case Input::Source::parameter:
          line += "$" + spec.parameters[input.index].name;
          break;
        default:
          line += "?";
      }
    }
    all.push_back(line + ")");
  }
  return all;
}

using strings = std::vector<std::string>;

template <class Action>
usage_error refused(const Action& action) {
  try {
    action();
  } catch (const usage_error& e) {
    return e;
  }
  BOOST_FAIL("nothing was thrown");
  throw std::logic_error("unreachable");
}

}  // namespace

BOOST_AUTO_TEST_CASE(call_map_and_reduce_become_nodes) {
  flow f("wordcount");
  auto texts = f.constant(strings{"a b a", "b c"});
  auto sums = f.reduce(merge, f.map(count, texts), words{});
  auto best = f.call(top, sums, 2);
  static_assert(std::is_same_v<decltype(best), node<strings>>);
  const FlowSpec spec = built(f);
  BOOST_TEST(spec.name == "wordcount");
  BOOST_TEST(lines(spec) == (strings{"wc.count = wc.count@2(a0=*[\"a b a\",\"b c\"])",
                                     "wc.merge/reduce = wc.merge/reduce@1(a0=wc.count a1={})",
                                     "wc.top = wc.top@1(a0=wc.merge/reduce a1=2)"}),
             boost::test_tools::per_element());
  const TaskKind& kind = spec.kind_of(NodeId{0});
  BOOST_TEST(kind.cache_name == "wc.count");
  BOOST_TEST(kind.version == "2");
  BOOST_TEST(kind.retry.max == 2u);
  BOOST_TEST(kind.cache.enabled);
  BOOST_TEST((kind.signature == Signature{{{"a0", "str"}}, {{"result", "map<str,i64>"}}}));
  BOOST_TEST((spec.kind_of(NodeId{1}).signature ==
              Signature{{{"a0", "list<map<str,i64>>"}, {"a1", "map<str,i64>"}},
                        {{"result", "map<str,i64>"}}}));
}

BOOST_AUTO_TEST_CASE(equal_calls_share_one_kind) {
  flow f("shared");
  for (int i = 0; i < 100; ++i) f.call(add, i, 1);
  f.call(add.with({.timeout = 5s}), 1, 1);
  f.call(add.with({.timeout = 5s}), 2, 2);
  f.call(twice, 1);
  const FlowSpec spec = built(f);
  BOOST_TEST(spec.kinds.size() == 3u);
  BOOST_TEST(spec.nodes.size() == 103u);
  BOOST_TEST((spec.kinds[1].timeout == 5s));
  BOOST_TEST(f.state()->functions().size() == 2u);
}

BOOST_AUTO_TEST_CASE(names_are_unique_and_can_be_given) {
  flow f("names");
  f.call(twice, 1);
  auto named = f.call(twice, 2).named("twice#2");
  f.call(twice, 3);
  f.call(twice, 4).named("__proto__");
  named.named("other");
  const FlowSpec spec = built(f);
  strings all;
  for (const Node& node : spec.nodes) all.push_back(node.name);
  BOOST_TEST(all == (strings{"twice", "other", "twice#2", "__proto__"}),
             boost::test_tools::per_element());
  f.call(twice, 5).named("other");
  const auto twins = f.state()->build();
  BOOST_REQUIRE(!twins);
  BOOST_TEST(twins.error().message.find("\"other\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(map_takes_lists_apart_and_passes_the_rest_whole) {
  flow f("maps");
  auto list = f.call(numbers, 3);
  auto more = f.parameter<std::vector<int>>("more", {1, 2});
  auto doubled = f.map(twice, list);
  f.map(add, doubled, 10);
  f.map(add, list, more);
  f.map(add, unmapped(f.call(twice, 4)), std::vector<int>{7, 8});
  auto lists = f.map(numbers, list);
  auto flat = f.map(twice, flatten(lists));
  static_assert(std::is_same_v<decltype(flat), node<std::vector<int>>>);
  auto noted = f.map(note, f.constant(strings{"x"}), doubled);
  static_assert(std::is_same_v<decltype(noted), node<void>>);
  BOOST_TEST(lines(built(f)) ==
                 (strings{"numbers = numbers@1(a0=3)", "twice = twice@1(a0=*numbers)",
                          "add = add@1(a0=*twice a1=10)", "add#2 = add@1(a0=*numbers a1=*$more)",
                          "twice#2 = twice@1(a0=4)", "add#3 = add@1(a0=twice#2 a1=*[7,8])",
                          "numbers#2 = numbers@1(a0=*numbers)", "twice#3 = twice@1(a0=**numbers#2)",
                          "note = note@1(a0=*[\"x\"] a1=*twice)"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tasks_can_wait_without_taking_values) {
  flow f("order");
  auto a = f.call(twice, 1).named("a");
  auto b = f.call(note, "x", 1).named("b");
  auto c = f.call(twice, 3).named("c").after(a, b);
  f.after(b, a);
  BOOST_TEST(lines(built(f)) == (strings{"a = twice@1(a0=1)", "b = note@1(a0=\"x\" a1=1 >a)",
                                         "c = twice@1(a0=3 >a >b)"}),
             boost::test_tools::per_element());
  a.after(c);
  const auto cycle = f.state()->build();
  BOOST_REQUIRE(!cycle);
  BOOST_TEST(cycle.error().message.find("→") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(parameters_have_types_defaults_and_are_normalized) {
  flow f("params");
  auto seed = f.parameter<int>("seed");
  auto scale = f.parameter<double>("scale", 1);
  auto tags = f.parameter<std::set<std::string>>("tags", {"x"});
  f.call(twice, seed);
  const FlowSpec spec = built(f);
  BOOST_TEST(spec.parameters.size() == 3u);
  BOOST_TEST(spec.parameters[0].type == "int");
  BOOST_TEST(!spec.parameters[0].default_value);
  BOOST_TEST(spec.parameters[1].type == "float");
  BOOST_TEST(to_json(*spec.parameters[1].default_value->value()) == "1.0");
  BOOST_TEST(spec.parameters[2].type == "any");

  const auto bound =
      f.state()->bind({{"seed", 7}, {"scale", 2}, {"tags", value::list{"b", "a", "b"}}});
  BOOST_REQUIRE(bound);
  BOOST_TEST((bound->at("scale") == Payload::of(codec::encode(2.0).bytes)));
  BOOST_TEST(
      (bound->at("tags") == Payload::of(codec::encode(std::set<std::string>{"a", "b"}).bytes)));
  const auto wrong = f.state()->bind({{"seed", "seven"}});
  BOOST_REQUIRE(!wrong);
  BOOST_TEST(wrong.error().message == "parameter \"seed\": \"seven\" is no i64");
  const auto unknown = f.state()->bind({{"sead", 7}});
  BOOST_REQUIRE(unknown);  // told with the others when the run starts
  const auto all = bind_parameters(spec, *unknown);
  BOOST_REQUIRE(!all);
  BOOST_TEST(all.error().message.find("seed") != std::string::npos);

  BOOST_TEST((refused([&] { (void)f.parameter<int>("seed"); }).code() == error_code::conflict));
  BOOST_TEST((refused([&] { (void)f.parameter<int>(""); }).code() == error_code::invalid_argument));
}

BOOST_AUTO_TEST_CASE(outputs_are_nodes_or_constants) {
  flow f("outputs");
  f.output("doubled", f.call(twice, 1));
  f.output("fixed", f.constant(42));
  const FlowSpec spec = built(f);
  BOOST_TEST(lines(spec) == (strings{"twice = twice@1(a0=1)", "output fixed = pass(value=42)"}),
             boost::test_tools::per_element());
  BOOST_TEST(spec.outputs.size() == 2u);
  BOOST_TEST(spec.outputs[1].node.value == 1u);
  BOOST_TEST(
      (refused([&] { f.output("fixed", f.call(twice, 1)); }).code() == error_code::conflict));
}

BOOST_AUTO_TEST_CASE(options_become_policies) {
  flow f("options");
  constexpr auto everything = reprise::task<"everything", 3>(
      [](int, int, int) { return 0; },
      {.retries = 3,
       .retry_delay = 10ms,
       .retry_exponential = true,
       .timeout = 2s,
       .cache = reprise::cached{.expires_after = 24h,
                                .salt = "pepper",
                                .ignore = {"second"},
                                .validator = reprise::validator::partial_inputs,
                                .validate_on = {"first"},
                                .environment = {"TZ", "LANG"},
                                .name = "shared.name",
                                .version = "v9",
                                .shared_key = "key"},
       .trigger = reprise::trigger::some_failed(0.5, 3),
       .skip_on_upstream_skip = false,
       .isolated = true,
       .resources = {.cpus = 0.5, .memory_bytes = 1 << 20},
       .max_parallel = 4,
       .names = {"first", "second", "third"}});
  f.call(everything, 1, 2, 3);
  const FlowSpec spec = built(f);
  TaskKind expected;
  expected.cache_name = "shared.name";
  expected.version = "v9";
  expected.body = FunctionBody{"everything@3"};
  expected.signature = {{{"first", "i64"}, {"second", "i64"}, {"third", "i64"}},
                        {{"result", "i64"}}};
  expected.trigger = {Trigger::Kind::some_failed, 0.5, 3, ""};
  expected.skip_on_upstream_skip = false;
  expected.retry.max = 3;
  expected.retry.delay = 10ms;
  expected.retry.exponential = true;
  expected.timeout = 2s;
  expected.cache.enabled = true;
  expected.cache.expires_after = 24h;
  expected.cache.validator = Validator::partial_inputs;
  expected.cache.validate_on = strings{"first"};
  expected.cache.shared_key = "key";
  expected.cache.ignored = {"second"};
  expected.cache.salt = "pepper";
  expected.cache.environment = {"TZ", "LANG"};
  expected.resources.cpu_milli = 500;
  expected.resources.memory_bytes = 1 << 20;
  expected.isolated = true;
  expected.max_parallel = 4;
  BOOST_TEST((spec.kinds[0] == expected));

  const auto wrong = [&](const task_options& options) {
    return std::string(refused([&] { f.call(add.with(options), 1, 2); }).what());
  };
  BOOST_TEST(wrong({.retries = 10'001}) == "task \"add\": at most 10000 retries");
  BOOST_TEST(wrong({.cache = cached{.ignore = {"a7"}}}) ==
             "task \"add\" has no input \"a7\" to ignore");
  BOOST_TEST(wrong({.names = {"one"}}) == "task \"add\" names 1 parameters and takes 2");
  BOOST_TEST(wrong({.timeout = -1s}) == "task \"add\": times must not be negative");
}

BOOST_AUTO_TEST_CASE(the_life_of_results_becomes_a_policy) {
  flow f("life");
  f.call(add.with({.cache = cached{.expires_after = 24h,
                                   .sliding = true,
                                   .stale_while_revalidate = 10min,
                                   .stale_if_error = 48h,
                                   .jitter_percent = 15,
                                   .max_age = 1h,
                                   .failures =
                                       cached_failures{
                                           .lasts = 1min, .validation = true, .exits = {65, 66}}}}),
         1, 2);
  const CacheLife expected{true, 10min, 48h,
                           15,   1h,    FailureCaching{1min, {FailureClass::validation}, {65, 66}}};
  BOOST_TEST((built(f).kinds[0].cache.life == expected));
  const auto wrong = [&](const cached& cache) {
    return std::string(refused([&] { f.call(add.with({.cache = cache}), 1, 2); }).what());
  };
  BOOST_TEST(wrong({.sliding = true}) ==
             "task \"add\": sliding, stale and jitter go with expires_after only");
  BOOST_TEST(wrong({.expires_after = 1h, .jitter_percent = 101}) ==
             "task \"add\": jitter is at most 100 percent");
  BOOST_TEST(wrong({.max_age = -1s}) == "task \"add\": times must not be negative");
}

BOOST_AUTO_TEST_CASE(keys_are_put_together_from_parts) {
  static_assert((policy::inputs + policy::run_id) == (policy::run_id + policy::inputs));
  BOOST_TEST(((policy::run_id - "a0") == policy::run_id));  // there is nothing to leave out
  flow f("parts");
  const auto policy_for = [&](const cache_option& cache) {
    f.call(add.with({.cache = cache}), 1, 2);
    return built(f).kinds.back().cache;
  };
  const CachePolicy inputs = policy_for(policy::inputs);
  BOOST_TEST(inputs.enabled);
  BOOST_TEST((inputs.validator == Validator::all_inputs));
  const CachePolicy some = policy_for(policy::inputs + policy::parameters - "a1");
  BOOST_TEST(some.ignored == strings{"a1"}, boost::test_tools::per_element());
  BOOST_TEST(some.per_parameters);
  const CachePolicy run = policy_for(policy::run_id);
  BOOST_TEST((run.validator == Validator::duration_only));
  BOOST_TEST(run.per_run);
  BOOST_TEST(!inputs.same_run.has_value());
  BOOST_TEST((policy_for(policy::parameters).same_run == true));
  BOOST_TEST((policy_for(cached{.same_run = false}).same_run == false));
  BOOST_TEST(!run.code.has_value());
  const CachePolicy source = policy_for(policy::inputs + policy::task_source);
  BOOST_REQUIRE(source.code.has_value());
  BOOST_TEST((policy_for(cached{.code = true}).code == source.code));
  flow g("both");
  BOOST_TEST(std::string(
                 refused([&] {
                   g.call(add.with({.cache = cached{.per_run = true, .by = policy::inputs}}), 1, 2);
                 }).what())
                 .starts_with("task \"add\": `by` says what the key is made of"));
}

BOOST_AUTO_TEST_CASE(presets_are_cached_and_may_be_changed) {
  flow f("preset");
  constexpr auto how = [] {
    task_options changed = cached_small;
    changed.retries = 2;
    return changed;
  }();
  f.call(add.with(how), 1, 2);
  const TaskKind kind = built(f).kinds[0];
  BOOST_TEST(kind.cache.enabled);
  BOOST_TEST(kind.resources.cpu_milli == 1000u);
  BOOST_TEST(kind.resources.memory_bytes == std::uint64_t{2} << 30);
  BOOST_TEST(kind.retry.max == 2u);
}

BOOST_AUTO_TEST_CASE(a_constant_that_must_not_be_cached_turns_caching_off_for_its_task_only) {
  flow f("text");
  f.call(count, "fine");
  f.call(count, std::string("\xff"));
  const FlowSpec spec = built(f);
  BOOST_TEST(spec.kind_of(NodeId{0}).cache.enabled);
  BOOST_TEST(!spec.kind_of(NodeId{1}).cache.enabled);
}

BOOST_AUTO_TEST_CASE(handles_of_other_flows_and_numbers_out_of_range_are_refused) {
  flow f("one"), g("two");
  auto foreign = g.call(twice, 1);
  auto parameter = g.parameter<int>("p");
  BOOST_TEST((refused([&] { f.call(twice, foreign); }).code() == error_code::invalid_argument));
  BOOST_TEST((refused([&] { f.call(twice, parameter); }).code() == error_code::invalid_argument));
  BOOST_TEST(
      (refused([&] { f.call(twice, 1).after(foreign); }).code() == error_code::invalid_argument));
  BOOST_TEST((refused([&] { f.output("x", foreign); }).code() == error_code::invalid_argument));
  BOOST_TEST(
      (refused([&] { f.call(twice, 5'000'000'000); }).code() == error_code::invalid_argument));
  BOOST_TEST((refused([&] { (void)flow(""); }).code() == error_code::invalid_argument));
  auto fixed = f.constant(1);
  BOOST_TEST((refused([&] { fixed.named("x"); }).code() == error_code::invalid_argument));
  BOOST_TEST(
      (refused([&] { f.call(twice, 1).after(fixed); }).code() == error_code::invalid_argument));
}

BOOST_AUTO_TEST_CASE(two_bodies_of_one_name_and_version_are_refused) {
  flow f("twins");
  f.call(reprise::task<"twin">([](int n) { return n; }), 1);
  const auto e = refused([&] { f.call(reprise::task<"twin">([](int n) { return n + 1; }), 1); });
  BOOST_TEST((e.code() == error_code::conflict));
  BOOST_TEST(std::string(e.what()) ==
             "two tasks are named \"twin@1\"; give one another name or version");
}

BOOST_AUTO_TEST_CASE(dynamic_tasks_take_anything_and_mix_with_typed_ones) {
  flow f("dynamic");
  int captured = 5;
  const dynamic_task sum("sum", 1, [captured](std::span<const value> all, context&) -> value {
    std::int64_t total = captured;
    for (const value& each : all) total += each.as<std::int64_t>().value_or(0);
    return total;
  });
  auto typed = f.call(twice, 4);
  auto total = f.call(sum, typed, 3, "text", option{});
  f.call(twice, total);
  f.map(sum, f.call(numbers, 2), unmapped(total));
  const dynamic_task twin("sum", 1, [](std::span<const value>, context&) { return value(); });
  f.call(twin, 1);
  const FlowSpec spec = built(f);
  BOOST_TEST((spec.kind_of(NodeId{1}).signature ==
              Signature{{{"a0", "any"}, {"a1", "any"}, {"a2", "any"}, {"a3", "any"}},
                        {{"result", "any"}}}));
  BOOST_TEST(f.state()->functions().size() == 4u);  // twice, sum, numbers, and the other sum
  BOOST_TEST((refused([] {
                dynamic_task("", 1, [](std::span<const value>, context&) { return value(); });
              }).code() == error_code::invalid_argument));
}

static_assert(callable_with<decltype(top), node<words>, int>);
static_assert(callable_with<decltype(top), words, param<int>>);
static_assert(callable_with<decltype(note), const char*, node<int>>, "optional<T> takes a T");
static_assert(!callable_with<decltype(top), int, int>);
static_assert(!callable_with<decltype(top), words>);
static_assert(!callable_with<decltype(twice), double>, "would drop the fraction");
static_assert(!callable_with<decltype(twice), node<double>>);
static_assert(!callable_with<decltype(twice), node<long>>);
static_assert(!callable_with<decltype(twice), node<void>>);
static_assert(callable_with<decltype(twice), node<value>>);
static_assert(!callable_with<dynamic_task, node<void>>);
static_assert(mappable_with<decltype(twice), node<std::vector<int>>>);
static_assert(!mappable_with<decltype(twice), node<int>>);
static_assert(!mappable_with<decltype(twice), int>);
static_assert(!mappable_with<decltype(add), int, int>, "nothing to map over");
static_assert(!mappable_with<decltype(count), node<std::string>>, "text is no list");
static_assert(reducible_with<decltype(merge), node<std::vector<words>>, words>);
static_assert(!reducible_with<decltype(merge), node<words>, words>);
static_assert(!reducible_with<decltype(merge), node<std::vector<words>>, int>);
static_assert(!reducible_with<decltype(top), node<std::vector<words>>, words>);

BOOST_AUTO_TEST_SUITE_END()
