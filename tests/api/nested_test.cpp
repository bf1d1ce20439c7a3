// Flows that tasks make, and ranges of numbers, on the real engine.
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "api/flow_state.hpp"
#include "flow/flow_spec.hpp"
#include "reprise/reprise.hpp"

BOOST_AUTO_TEST_SUITE(nested_flows)

using namespace reprise;

namespace {

const run_options in_memory{.slots = 2, .in_memory = true};

constexpr auto square = task<"nested.square">([](int x) { return x * x; });
constexpr auto wide = task<"nested.wide">([](std::int64_t x) { return x * x; });
constexpr auto add = task<"nested.add">([](int a, int b) { return a + b; });
constexpr auto fails =
    task<"nested.fails">([](int) -> int { throw std::runtime_error("no luck"); });

constexpr auto plan = task<"nested.plan">([](int n) -> made_flow {
  flow f("squares");
  const auto all = f.map(square, range(n));
  f.output("all", all);
  f.output("sum", f.reduce(add, all, 0));
  return f;
});

constexpr auto plan_failure = task<"nested.plan_failure">([](int n) -> made_flow {
  flow f("failing");
  f.output("all", f.call(fails, n));
  return f;
});

constexpr auto plan_hooks = task<"nested.plan_hooks">([]() -> made_flow {
  flow f("hooked");
  f.on_end("told", [](const run_change&, context&) { return std::optional<run_change>(); });
  return f;
});

std::size_t size_of(const flow& f) {
  return f.state()->build().value().encode().size();
}

template <class T>
std::string failure_of(const result<T>& from) {
  try {
    (void)from.get();
  } catch (const task_error& e) {
    return e.what();
  }
  return "none";
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_flow_that_a_task_made_gives_a_typed_output) {
  flow f("outer");
  const auto made = f.call(plan, 5);
  const auto all = f.nest<std::vector<int>>(made, "all", square, add);
  const auto sum = f.nest<int>(made, "sum", square, add);
  const auto next = f.call(add, sum, 1);
  const run r = f.run(in_memory);
  const std::vector<int> squares{0, 1, 4, 9, 16};
  BOOST_TEST(r[all].get() == squares, boost::test_tools::per_element());
  BOOST_TEST(r[next].get() == 31);
}

BOOST_AUTO_TEST_CASE(what_fails_within_is_told) {
  flow f("outer");
  const auto failed = f.nest<int>(f.call(plan_failure, 1), "all", fails);
  const auto missing = f.nest<int>(f.call(plan, 1), "other", square, add);
  const auto hooked = f.nest<int>(f.call(plan_hooks), "x");
  const run r = f.run(in_memory);
  BOOST_TEST(failure_of(r[failed]).find("no luck") != std::string::npos, failure_of(r[failed]));
  BOOST_TEST(failure_of(r[missing]).find("it has no output \"other\"") != std::string::npos);
  BOOST_TEST(failure_of(r[hooked]) != "none");
}

BOOST_AUTO_TEST_CASE(user_code_besides_tasks_cannot_be_in_a_made_flow) {
  flow f("hooked");
  f.on_end("told", [](const run_change&, context&) { return std::optional<run_change>(); });
  BOOST_CHECK_THROW((made_flow(f)), usage_error);
}

BOOST_AUTO_TEST_CASE(a_range_is_as_large_for_a_million_as_for_ten) {
  const auto with = [](std::int64_t n) {
    flow f("many");
    f.output("all", f.map(square, range(n)));
    return size_of(f);
  };
  BOOST_TEST(with(1'000'000) - with(10) <= 8u);
}

BOOST_AUTO_TEST_CASE(a_range_is_mapped_over_like_a_list) {
  flow f("ranges");
  const auto some = f.map(add, range(3, 6), unmapped(10));
  const auto none = f.map(square, range(0));
  const auto backwards = f.map(square, range(5, 2));
  const auto steps = f.map(add, range(3), f.map(square, range(1, 4)));
  const run r = f.run(in_memory);
  BOOST_TEST((r[some].get() == std::vector<int>{13, 14, 15}));
  BOOST_TEST(r[none].get().empty());
  BOOST_TEST(r[backwards].get().empty());
  BOOST_TEST((r[steps].get() == std::vector<int>{1, 5, 11}));
  BOOST_CHECK_THROW((void)f.map(square, range(std::int64_t{1} << 40)), usage_error);
}

BOOST_AUTO_TEST_CASE(a_million_elements_run) {
  flow f("million");
  const auto all = f.map(wide, range(1'000'000));
  const run r = f.run(in_memory);
  const std::vector<std::int64_t> squares = r[all].get();
  BOOST_REQUIRE(squares.size() == 1'000'000u);
  BOOST_TEST(squares[999'999] == 999'998'000'001);
}

BOOST_AUTO_TEST_SUITE_END()
