#include "worker/function_message.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(function_message)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(a_call_arrives_as_it_was_made_and_brings_its_run_once) {
  OneTask task(reprise::FunctionBody{"f@1"}, "the task");
  task.with_constant("x", Value("text")).with_parameter("p", Value(3));
  Attempt attempt = task.attempt();
  attempt.map_index = 4;
  attempt.run_count = 2;
  attempt.resumed = true;
  attempt.loop_result = *Payload::of(Value(9));
  const Call call{attempt.arguments, attempt, {}};
  std::shared_ptr<const RunContext> run;
  for (const bool with_run : {true, false}) {
    ReceivedCall got;
    BOOST_REQUIRE(decode_call(encode_call(7, "f@1", call, 5, with_run), run, got));
    BOOST_TEST(got.number == 7u);
    BOOST_TEST(got.function == "f@1");
    BOOST_TEST(got.memory_bytes == 5u);
    BOOST_TEST(got.attempt.map_index == 4);
    BOOST_TEST(got.attempt.run_count == 2u);
    BOOST_TEST(got.attempt.resumed);
    BOOST_TEST((got.attempt.loop_result == attempt.loop_result));
    BOOST_REQUIRE(got.attempt.arguments.size() == 1u);
    BOOST_TEST(got.attempt.arguments[0].name == "x");
    BOOST_TEST((got.attempt.arguments[0].value == attempt.arguments[0].value));
    const RunContext& context = *got.attempt.context;
    BOOST_TEST((context.run == attempt.context->run));
    BOOST_TEST((context.parameters == attempt.context->parameters));
    BOOST_TEST(context.flow->nodes[got.attempt.node.value].name == "the task");
  }
  ReceivedCall got;
  std::shared_ptr<const RunContext> none;
  BOOST_TEST(!decode_call(encode_call(7, "f@1", call, 5, false), none, got));
}

BOOST_AUTO_TEST_CASE(answers_come_back_with_times_of_this_clock) {
  const Time here{1000h};
  const Time there{5h};
  const auto again = [&](const FunctionAnswer& answer) {
    return decode_answer(encode_answer(answer, there), here).value();
  };
  const auto returned = std::get<Returned>(again(Returned{*Payload::of(Value("v")), "why"}));
  BOOST_TEST((returned.value == *Payload::of(Value("v"))));
  BOOST_TEST(returned.uncacheable.value() == "why");
  const auto ending =
      std::get<Ending>(again(Ending{TaskState::paused, "wait", Payload{}, there + 3h}));
  BOOST_TEST((ending.state == TaskState::paused));
  BOOST_TEST(ending.message == "wait");
  BOOST_TEST(ending.value.is_none());
  BOOST_TEST((ending.start_time == here + 3h));
  const auto thrown = std::get<Thrown>(again(Thrown{"std::bad_alloc", "what"}));
  BOOST_TEST(thrown.type == "std::bad_alloc");
  BOOST_TEST(thrown.what == "what");
}

BOOST_AUTO_TEST_CASE(bytes_that_were_cut_or_changed_are_corrupt_and_nothing_worse) {
  const std::string answer = encode_answer(Returned{*Payload::of(Value("value")), {}}, Time{});
  const std::string known = encode_known({{"f", "1", {{{"x", "i64"}}, {{"result", "str"}}}}});
  for (std::size_t size = 0; size < answer.size(); ++size)
    BOOST_TEST(!decode_answer(answer.substr(0, size), Time{}));
  for (std::size_t size = 0; size < known.size(); ++size)
    BOOST_TEST(!decode_known(known.substr(0, size)));
  BOOST_TEST(!decode_answer(answer + "x", Time{}));
  for (std::size_t at = 0; at < answer.size(); ++at) {
    std::string changed = answer;
    changed[at] = static_cast<char>(changed[at] ^ 0x80);
    (void)decode_answer(changed, Time{});
  }
  const auto back = decode_known(known).value();
  BOOST_REQUIRE(back.size() == 1u);
  BOOST_TEST(back[0].id() == "f@1");
  BOOST_TEST((back[0].signature.inputs[0] == std::pair<std::string, std::string>("x", "i64")));
}

BOOST_AUTO_TEST_SUITE_END()
