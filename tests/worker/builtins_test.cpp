#include <boost/test/unit_test.hpp>

#include <chrono>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/value.hpp"
#include "flow/chain_digest.hpp"
#include "flow/trace.hpp"
#include "worker/functions.hpp"

namespace reprise::worker {

BOOST_AUTO_TEST_SUITE(Builtins)
namespace {

using NamedValues = std::vector<std::pair<std::string, Value>>;

const FunctionTable& builtins() {
  static FunctionTable table;
  static const bool filled = (add_builtins(table), true);
  (void)filled;
  return table;
}

Value call(std::string_view id, const NamedValues& values, std::stop_token stop = {}) {
  std::vector<Argument> arguments;
  for (const auto& [name, value] : values) arguments.push_back({name, Payload::of(value).value()});
  const Attempt attempt;
  return builtins().find(id)->body({arguments, attempt, std::move(stop)}).value.value().value();
}

/// The message with which the body fails.
std::string failure(std::string_view id, const NamedValues& values) {
  try {
    (void)call(id, values);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no failure";
}

}  // namespace

BOOST_AUTO_TEST_CASE(adding_them_twice_is_harmless) {
  FunctionTable table;
  add_builtins(table);
  const auto first = table.find("trace.hash@1");
  add_builtins(table);
  BOOST_TEST((table.find("trace.hash@1") == first));
}

BOOST_AUTO_TEST_CASE(flows_of_traces_call_them_with_their_own_signatures) {
  Trace trace;
  trace.name = "t";
  trace.tasks.push_back({.id = "a", .parents = {}, .runtime_s = 1.0, .position = 0});
  for (const TraceMode mode : {TraceMode::hash, TraceMode::sleep, TraceMode::noop}) {
    const auto flow = to_flow(trace, {.mode = mode, .scale = 1, .touch = {}}, "");
    BOOST_REQUIRE(flow.has_value());
    const TaskKind& kind = flow->kinds.at(0);
    const auto function = builtins().find(std::get<reprise::FunctionBody>(kind.body).function);
    BOOST_REQUIRE(function != nullptr);
    BOOST_TEST((function->signature == kind.signature));
  }
}

BOOST_AUTO_TEST_CASE(trace_hash_chains_the_line_and_the_parents) {
  BOOST_TEST(
      (call("trace.hash@1", {{"line", "a"}, {"parents", List{}}}) == Value(sha256("a\n").hex())));
  const std::vector<std::string_view> parents{"00", "ff"};
  BOOST_TEST((call("trace.hash@1", {{"line", "b x"}, {"parents", List{"00", "ff"}}}) ==
              Value(chain_step("b x", parents).hex())));
  BOOST_TEST((sha256("b x\n00\nff\n") == chain_step("b x", parents)));
  BOOST_TEST(failure("trace.hash@1", {{"line", "a"}, {"parents", List{1}}}) ==
             "a parent's result must be a text, not a whole number");
  BOOST_TEST(failure("trace.hash@1", {{"line", "a"}}) == "argument \"parents\" is missing");
}

BOOST_AUTO_TEST_CASE(trace_noop_gives_nil) {
  BOOST_TEST(call("trace.noop@1", {}).is_nil());
}

BOOST_AUTO_TEST_CASE(trace_sleep_never_ends_before_its_time) {
  for (const double seconds : {0.0, 1e-6, 0.0005, 0.003, 0.02}) {
    std::stop_source stop;  // with and without a token that could stop it
    for (const std::stop_token& token : {std::stop_token(), stop.get_token()}) {
      const auto started = std::chrono::steady_clock::now();
      BOOST_TEST(call("trace.sleep@1", {{"seconds", seconds}}, token).is_nil());
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      BOOST_TEST(took.count() >= seconds);
    }
  }
}

BOOST_AUTO_TEST_CASE(trace_timed_takes_its_time_and_gives_the_digest) {
  const auto began = std::chrono::steady_clock::now();
  BOOST_TEST((call("trace.timed@1", {{"line", "a"}, {"parents", List{}}, {"seconds", 0.02}}) ==
              Value(sha256("a\n").hex())));
  BOOST_TEST((std::chrono::steady_clock::now() - began >= std::chrono::milliseconds{20}));
}

BOOST_AUTO_TEST_CASE(trace_sleep_ends_when_asked_to_stop) {
  std::stop_source stop;
  const auto started = std::chrono::steady_clock::now();
  std::jthread stopper([&] { stop.request_stop(); });
  BOOST_CHECK_EXCEPTION((void)call("trace.sleep@1", {{"seconds", 3600.0}}, stop.get_token()),
                        std::runtime_error, [](const std::runtime_error& error) {
                          return error.what() == std::string("stopped while it slept");
                        });
  BOOST_TEST((std::chrono::steady_clock::now() - started < std::chrono::seconds(60)));
}

BOOST_AUTO_TEST_CASE(trace_sleep_refuses_what_is_no_time) {
  BOOST_TEST(failure("trace.sleep@1", {{"seconds", -1.0}}) ==
             "cannot sleep for -1 seconds; 0 to 10 years are possible");
  BOOST_TEST(failure("trace.sleep@1", {{"seconds", 1e300}}) ==
             "cannot sleep for 1e+300 seconds; 0 to 10 years are possible");
  BOOST_TEST(failure("trace.sleep@1", {{"seconds", std::numeric_limits<double>::quiet_NaN()}}) ==
             "cannot sleep for nan seconds; 0 to 10 years are possible");
  BOOST_TEST(failure("trace.sleep@1", {{"seconds", "1"}}) ==
             "argument \"seconds\" must be a number, not a text");
}

BOOST_AUTO_TEST_CASE(arguments_come_by_name_and_else_by_place) {
  BOOST_TEST(
      (call("text.join@1", {{"separator", "-"}, {"values", List{"a", "b"}}}) == Value("a-b")));
  BOOST_TEST((call("text.join@1", {{"0", List{"a", "b"}}, {"1", "-"}}) == Value("a-b")));
  BOOST_TEST(
      (call("text.join@1", {{"texts", List{"a", "b"}}, {"separator", "-"}}) == Value("a-b")));
  BOOST_TEST((call("list.sum@1", {{"fetch", List{1, 2}}}) == Value(3)));
  BOOST_TEST(failure("text.join@1", {{"separator", "-"}}) == "argument \"values\" is missing");
}

BOOST_AUTO_TEST_CASE(lists_are_added_joined_counted_and_made) {
  BOOST_TEST((call("list.sum@1", {{"values", List{}}}) == Value(0)));
  BOOST_TEST((call("list.sum@1", {{"values", List{1, 2.5, 3}}}) == Value(6.5)));
  BOOST_TEST(failure("list.sum@1", {{"values", List{1, "x"}}}) ==
             "only numbers can be added, not a text");
  BOOST_TEST(failure("list.sum@1", {{"values", List{INT64_MAX, 1}}}) ==
             "9223372036854775807 + 1 does not fit into 64 bits");
  BOOST_TEST((call("list.concat@1", {{"values", List{List{1}, List{}, List{2, 3}}}}) ==
              Value(List{1, 2, 3})));
  BOOST_TEST(failure("list.concat@1", {{"values", List{1}}}) ==
             "only lists can be joined, not a whole number");
  BOOST_TEST((call("list.length@1", {{"values", List{"a", "b"}}}) == Value(2)));
  BOOST_TEST((call("list.range@1", {{"first", 2}, {"last", 4}}) == Value(List{2, 3, 4})));
  BOOST_TEST((call("list.range@1", {{"first", 2}, {"last", 1}}) == Value(List{})));
  BOOST_TEST(failure("list.range@1", {{"first", 0}, {"last", 1'000'000}}) ==
             "a range of more than 1000000 numbers: 0 to 1000000");
  BOOST_TEST(failure("list.range@1", {{"first", INT64_MIN}, {"last", INT64_MAX}})
                 .starts_with("a range of more than"));
}

BOOST_AUTO_TEST_CASE(texts_are_split_and_change_case_and_numbers_are_computed) {
  BOOST_TEST(
      (call("text.split@1", {{"text", "a,,b"}, {"separator", ","}}) == Value(List{"a", "", "b"})));
  BOOST_TEST(failure("text.split@1", {{"text", "a"}, {"separator", ""}}) ==
             "argument \"separator\" is empty");
  BOOST_TEST((call("text.upper@1", {{"text",
                                     "stra\xc3\x9f"
                                     "e z"}}) == Value("STRA\xc3\x9f"
                                                       "E Z")));
  BOOST_TEST((call("text.lower@1", {{"text", "ABC"}}) == Value("abc")));
  BOOST_TEST((call("text.join@1", {{"values", List{1, "x", true}}, {"separator", " "}}) ==
              Value("1 x true")));
  BOOST_TEST((call("math.add@1", {{"a", 1}, {"b", 2}}) == Value(3)));
  BOOST_TEST((call("math.multiply@1", {{"a", 3}, {"b", 0.5}}) == Value(1.5)));
  BOOST_TEST(failure("math.multiply@1", {{"a", INT64_MAX}, {"b", 2}}) ==
             "9223372036854775807 * 2 does not fit into 64 bits");
  BOOST_TEST((call("json.parse@1", {{"text", "[1, {\"a\": null}]"}}) ==
              Value(List{1, Map{{"a", Value()}}})));
  BOOST_TEST(failure("json.parse@1", {{"text", "[1"}}) != "no failure");
  BOOST_TEST((call("json.text@1", {{"value", List{1, "a"}}}) == Value("[1,\"a\"]")));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::worker
