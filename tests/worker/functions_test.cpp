#include "worker/functions.hpp"

#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "core/failure.hpp"
#include "tests/worker/support.hpp"
#include "worker/local_runner.hpp"

BOOST_AUTO_TEST_SUITE(functions_tests)

using namespace reprise;
using namespace reprise::worker;
using test::OneTask;

namespace {

Function function(std::string name, std::string version, worker::FunctionBody body) {
  return {std::move(name), std::move(version), {}, std::move(body)};
}

Outcome run_once(worker::FunctionBody body) {
  auto table = std::make_shared<FunctionTable>();
  BOOST_REQUIRE(table->add(function("f", "1", std::move(body))));
  LocalRunner runner({.functions = table});
  OneTask task(reprise::FunctionBody{"f@1"});
  return runner.run(task.attempt(), {});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(function_table)

BOOST_AUTO_TEST_CASE(the_same_function_twice_is_kept_once_and_another_signature_is_a_conflict) {
  FunctionTable table;
  int calls = 0;
  BOOST_TEST(
      table.add(function("f", "1", [&](const Call&) { return ++calls, Returned{}; })).has_value());
  BOOST_TEST(table.add(function("f", "1", [](const Call&) { return Returned{}; })).has_value());
  Function other = function("f", "1", nullptr);
  other.signature.inputs = {{"x", "i64"}};
  const Status refused = table.add(other);
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == ErrorCode::conflict));
  BOOST_TEST(refused.error().message.find("\"f@1\"") != std::string::npos);
  BOOST_TEST(table.ids().size() == 1U);
  OneTask task(reprise::FunctionBody{"f@1"});
  const Attempt attempt = task.attempt();
  static_cast<void>(table.find("f@1")->body(Call{{}, attempt, {}}));
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(find_needs_the_whole_id) {
  FunctionTable table;
  BOOST_REQUIRE(table.add(function("bam.merge", "3", nullptr)));
  BOOST_TEST((table.find("bam.merge@3") != nullptr));
  BOOST_TEST((table.find("bam.merge") == nullptr));
  BOOST_TEST((table.find("bam.merge@2") == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(local_runner)

BOOST_AUTO_TEST_CASE(a_function_gives_its_value_and_says_when_it_began) {
  const Time before = now();
  const Outcome outcome = run_once([](const Call&) {
    return Returned{*Payload::of(Value(42)), "because"};
  });
  BOOST_TEST((outcome.state == TaskState::success));
  BOOST_TEST((outcome.value == *Payload::of(Value(42))));
  BOOST_TEST(*outcome.uncacheable == "because");
  BOOST_TEST(outcome.executed);
  BOOST_TEST((outcome.failure == FailureClass::none));
  BOOST_TEST((outcome.started >= before && outcome.started + outcome.duration <= now()));
}

BOOST_AUTO_TEST_CASE(an_exception_is_a_failed_task_with_its_type_and_first_line) {
  const Outcome outcome = run_once([](const Call&) -> Returned {
    throw std::out_of_range("no \x1b[31msuch thing\nsecond line");
  });
  BOOST_TEST((outcome.state == TaskState::failed));
  BOOST_TEST((outcome.failure == FailureClass::task));
  BOOST_TEST(outcome.message == "std::out_of_range: no \\x1b[31msuch thing");
  BOOST_TEST(outcome.executed);
  // What tasks below find in the place of a result.
  BOOST_TEST(is_failure(outcome.value.view()));
  BOOST_TEST(to_json(*outcome.value.value()) ==
             R"({"message":"no \\x1b[31msuch thing","exception":"std::out_of_range"})");
}

BOOST_AUTO_TEST_CASE(whatever_is_thrown_is_caught) {
  const Outcome outcome = run_once([](const Call&) -> Returned { throw 17; });
  BOOST_TEST((outcome.state == TaskState::failed));
  BOOST_TEST(outcome.message == "the body threw something that is no std::exception");
}

BOOST_AUTO_TEST_CASE(a_body_may_choose_how_it_ends) {
  const Time later = now() + std::chrono::seconds{5};
  const Outcome skipped = run_once([](const Call&) -> Returned {
    throw Ending{TaskState::skipped, "not today", {}, {}};
  });
  BOOST_TEST((skipped.state == TaskState::skipped));
  BOOST_TEST((skipped.failure == FailureClass::none));
  BOOST_TEST(skipped.message == "not today");
  const Outcome retrying = run_once([&](const Call&) -> Returned {
    throw Ending{TaskState::retrying, "", {}, later};
  });
  BOOST_TEST((retrying.state == TaskState::retrying));
  BOOST_TEST((retrying.start_time == later));
  const Outcome failed = run_once([&](const Call&) -> Returned {
    throw Ending{TaskState::failed, "no", {}, {}};
  });
  BOOST_TEST((failed.failure == FailureClass::task));
}

BOOST_AUTO_TEST_CASE(an_unknown_version_names_the_known_ones) {
  auto table = std::make_shared<FunctionTable>();
  BOOST_REQUIRE(table->add(function("bam.merge", "2", nullptr)));
  LocalRunner runner({.functions = table});
  OneTask task(reprise::FunctionBody{"bam.merge@3"});
  const Outcome outcome = runner.run(task.attempt(), {});
  BOOST_TEST((outcome.state == TaskState::failed));
  BOOST_TEST((outcome.failure == FailureClass::cannot_start));
  BOOST_TEST(outcome.message == "no function \"bam.merge@3\" here; there is \"bam.merge@2\"");
  BOOST_TEST(!outcome.executed);
}

BOOST_AUTO_TEST_CASE(another_runner_does_not_use_what_an_earlier_one_found) {
  const auto result_of = [](int value) {
    auto table = std::make_shared<FunctionTable>();
    BOOST_REQUIRE(table->add(function("f", "1", [value](const Call&) {
      return Returned{*Payload::of(Value(value)), {}};
    })));
    LocalRunner runner({.functions = table});
    OneTask task(reprise::FunctionBody{"f@1"});
    return runner.run(task.attempt(), {}).value;
  };
  BOOST_TEST((result_of(1) == *Payload::of(Value(1))));
  BOOST_TEST((result_of(2) == *Payload::of(Value(2))));
}

BOOST_AUTO_TEST_CASE(a_stop_before_the_start_means_not_executed) {
  std::stop_source stop;
  stop.request_stop();
  LocalRunner runner({.functions = nullptr});
  OneTask task(PassBody{});
  const Outcome outcome = runner.run(task.attempt(), stop.get_token());
  BOOST_TEST((outcome.state == TaskState::cancelled));
  BOOST_TEST(!outcome.executed);
}

BOOST_AUTO_TEST_CASE(pass_gives_nil_its_only_argument_or_a_map) {
  LocalRunner runner({.functions = nullptr});
  BOOST_TEST((OneTask(PassBody{}), true));
  OneTask none(PassBody{});
  BOOST_TEST(runner.run(none.attempt(), {}).value.is_nil());
  OneTask one(PassBody{});
  one.with_constant("a", Value(1));
  BOOST_TEST((runner.run(one.attempt(), {}).value == *Payload::of(Value(1))));
  OneTask two(PassBody{});
  two.with_constant("b", Value(2)).with_constant("a", Value("x"));
  const Outcome outcome = runner.run(two.attempt(), {});
  BOOST_TEST((outcome.state == TaskState::success));
  BOOST_TEST((outcome.value ==
              *Payload::of(Value(Map{{Value("a"), Value("x")}, {Value("b"), Value(2)}}))));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
