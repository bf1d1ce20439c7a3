#include "api/body.hpp"

#include <boost/test/unit_test.hpp>

#include "core/time.hpp"
#include "reprise/reprise.hpp"
#include "tests/api/sample_types.hpp"
#include "tests/api/tasks.hpp"

BOOST_AUTO_TEST_SUITE(body_tests)

using namespace reprise;
using namespace reprise::samples;
using namespace std::chrono_literals;

namespace {

/// An attempt of one task with these arguments, called as a worker calls it.
class caller {
 public:
  caller() {
    auto flow = std::make_shared<FlowSpec>();
    flow->name = "flow";
    flow->nodes.resize(1);
    flow->nodes[0].name = "node";
    context_->run = RunId::generate(now());
    context_->flow = flow;
    context_->parameters["seed"] = Payload::of(codec::encode(42).bytes);
    context_->started = Time(std::chrono::seconds(1'700'000'000));
    attempt.context = context_;
    attempt.node = NodeId{0};
  }

  template <class D, class... A>
  worker::Returned operator()(const D& task, const A&... arguments) {
    std::vector<Argument> given{Argument{"", Payload::of(codec::encode(arguments).bytes)}...};
    return detail::to_worker_body(task.record().body)({given, attempt, stop.get_token()});
  }
  worker::Returned without_value(const detail::task_record& task) {
    const std::vector<Argument> given(1);
    return detail::to_worker_body(task.body)({given, attempt, stop.get_token()});
  }

  Attempt attempt;
  std::stop_source stop;
  [[nodiscard]] std::string run() const { return context_->run.text(); }

 private:
  std::shared_ptr<RunContext> context_ = std::make_shared<RunContext>();
};

template <class T>
T read(const worker::Returned& returned) {
  return codec::decode<T>(returned.value.view()).value();
}

template <class Body>
worker::Ending ending_of(const Body& task) {
  caller call;
  try {
    call(task);
  } catch (const worker::Ending& ending) {
    return ending;
  }
  BOOST_FAIL("the body returned");
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(body_suite)

BOOST_AUTO_TEST_CASE(a_body_gets_its_arguments_and_gives_canonical_bytes) {
  caller call;
  BOOST_TEST((read<words>(call(count, std::string("a b a"))) == words{{"a", 2}, {"b", 1}}));
  BOOST_TEST(read<int>(call(add, 40, 2)) == 42);
  BOOST_TEST(call(note, std::string("x"), 1).value.is_nil());
  BOOST_TEST(!call(count, std::string("fine")).uncacheable);
  BOOST_TEST(call(count, std::string("\xff")).uncacheable.value() == "text is not UTF-8");
  BOOST_TEST(twice(21) == 42);
}

BOOST_AUTO_TEST_CASE(an_argument_that_does_not_decode_fails_the_attempt) {
  caller call;
  BOOST_CHECK_EXCEPTION(call(twice, std::string("x")), std::runtime_error,
                        [](const std::exception& e) {
                          return std::string(e.what()) == "argument a0: \"x\" is no i64";
                        });
  BOOST_CHECK_EXCEPTION((void)call.without_value(twice.record()), std::runtime_error,
                        [](const std::exception& e) {
                          return std::string(e.what()) == "argument a0: there is no value";
                        });
  constexpr auto maybe = task<"maybe">([](std::optional<int> n) { return n.value_or(-1); });
  BOOST_TEST(read<int>(call.without_value(maybe.record())) == -1);
}

BOOST_AUTO_TEST_CASE(a_reduction_folds_from_left_to_right) {
  constexpr auto join =
      task<"join">([](std::string a, std::string b) { return "(" + a + b + ")"; });
  caller call;
  const auto record = detail::reduction<decltype(join)>(&join);
  BOOST_TEST(record.name == "join/reduce");
  const std::vector<Argument> given{
      {"", Payload::of(codec::encode(std::vector<std::string>{"a", "b", "c"}).bytes)},
      {"", Payload::of(codec::encode(std::string("0")).bytes)}};
  const auto folded = detail::to_worker_body(record.body)({given, call.attempt, {}});
  BOOST_TEST(read<std::string>(folded) == "(((0a)b)c)");
}

BOOST_AUTO_TEST_CASE(a_context_tells_about_the_attempt) {
  caller call;
  call.attempt.map_index = 3;
  call.attempt.run_count = 2;
  call.attempt.loop_count = 5;
  call.attempt.loop_result = Payload::of(codec::encode(std::string("so far")).bytes);
  call.stop.request_stop();
  constexpr auto tell = task<"tell">([](const context& about, int n) {
    return std::vector<std::string>{about.run_id(),
                                    about.flow_name(),
                                    about.task_name(),
                                    std::to_string(about.map_index().value()),
                                    std::to_string(about.run_count()),
                                    std::to_string(about.loop_count()),
                                    about.loop_result<std::string>().value(),
                                    std::to_string(about.parameter<int>("seed").value()),
                                    about.parameter<int>("other") ? "other" : "none",
                                    std::to_string(about.run_started().time_since_epoch() / 1s),
                                    about.stop_requested() ? "stop" : "go",
                                    std::to_string(n)};
  });
  static_assert(std::tuple_size_v<decltype(tell)::arguments> == 1);
  BOOST_TEST(read<std::vector<std::string>>(call(tell, 1)) ==
                 (std::vector<std::string>{call.run(), "flow", "node[3]", "3", "2", "5", "so far",
                                           "42", "none", "1700000000", "stop", "1"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(signals_end_an_attempt_in_a_state_of_their_own) {
  const auto skipped = ending_of(task<"s">([]() -> int { throw signal::skip("not today"); }));
  BOOST_TEST((skipped.state == TaskState::skipped));
  BOOST_TEST(skipped.message == "not today");
  BOOST_TEST(skipped.value.is_none());
  const auto failed = ending_of(task<"f">([]() -> int { throw signal::fail("broken"); }));
  BOOST_TEST((failed.state == TaskState::failed));
  const auto succeeded = ending_of(task<"ok">([]() -> int { throw signal::success(7); }));
  BOOST_TEST((succeeded.state == TaskState::success));
  BOOST_TEST((succeeded.value == Payload::of(codec::encode(7).bytes)));
  const Time before = now();
  const auto retried = ending_of(task<"r">([]() -> int { throw signal::retry(1h); }));
  BOOST_TEST((retried.state == TaskState::retrying));
  BOOST_TEST((retried.start_time.value() >= before + 1h));
  const auto paused = ending_of(task<"p">([]() -> int { throw signal::pause("look at me"); }));
  BOOST_TEST((paused.state == TaskState::paused));
  BOOST_TEST(!paused.start_time);
  const auto looped = ending_of(task<"l">([]() -> int { throw signal::loop(std::vector{1, 2}); }));
  BOOST_TEST((looped.state == TaskState::looped));
  BOOST_TEST((looped.value == Payload::of(codec::encode(std::vector{1, 2}).bytes)));
}

BOOST_AUTO_TEST_CASE(other_exceptions_pass_to_the_worker) {
  caller call;
  BOOST_CHECK_THROW(call(samples::fail, 3), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(dynamic_bodies_see_values) {
  caller call;
  std::vector<std::string> seen;
  const dynamic_task show("show", "1", [&](std::span<const value> all, context& about) -> value {
    for (const value& each : all) seen.push_back(each.to_json());
    return value::map{{"task", about.task_name()}, {"n", all.size()}};
  });
  const auto returned = call(show, 1, 1.0, std::string("x"), option{.tags = {"t"}});
  BOOST_TEST((seen[0] == "1" && seen[1] == "1.0" && seen[2] == "\"x\""));
  const value result = value::from_bytes(returned.value.view()).value();
  BOOST_TEST(result.find("task")->as<std::string>().value() == "node");
  BOOST_TEST(result.find("n")->as<int>().value() == 4);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(value_suite)

BOOST_AUTO_TEST_CASE(values_hold_what_they_are_made_of) {
  BOOST_TEST(value().is_nil());
  BOOST_TEST(value(true).get_if<bool>() != nullptr);
  BOOST_TEST(*value(5).get_if<std::int64_t>() == 5);
  BOOST_TEST(*value(5u).get_if<std::int64_t>() == 5);
  BOOST_TEST(*value(UINT64_MAX).get_if<std::uint64_t>() == UINT64_MAX);
  BOOST_TEST(*value(-1L).get_if<std::int64_t>() == -1);
  BOOST_TEST(*value(1.0f).get_if<double>() == 1.0);
  BOOST_TEST(*value("text").get_if<std::string>() == "text");
  BOOST_TEST((value(1) == value(1u)));
  BOOST_TEST((value(1) != value(1.0)));
  BOOST_TEST((value(bytes{"x"}) != value("x")));
  BOOST_TEST((value(value::map{{"a", 1}, {"b", 2}}) == value(value::map{{"b", 2}, {"a", 1}})));
}

BOOST_AUTO_TEST_CASE(values_change_into_cpp_types_and_back) {
  const value set = value::of(std::set<int>{2, 1});
  BOOST_TEST(set.items().size() == 2u);
  BOOST_TEST((set.items()[0] == value(1)));
  BOOST_TEST((set.as<std::set<int>>().value() == std::set<int>{1, 2}));
  BOOST_TEST((value::of(std::tuple(1, "x")).as<std::tuple<int, std::string>>().value() ==
              std::tuple(1, "x")));
  BOOST_TEST((value::of(option{.days = 3}).as<option>().value() == option{.days = 3}));
  BOOST_TEST(!value("x").as<int>());
  BOOST_TEST(value("x").items().empty());
  BOOST_TEST(value(value::map{{"a", value::list{1, 2.5, nullptr}}}).to_json() ==
             "{\"a\":[1,2.5,null]}");
  BOOST_TEST((value::from_bytes("\x92").error().code == error_code::corrupt));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
