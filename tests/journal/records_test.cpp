#include "journal/records.hpp"

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "tests/journal/journal_support.hpp"

namespace reprise::journal {

BOOST_AUTO_TEST_SUITE(Records)
namespace {

using namespace testing;

BOOST_AUTO_TEST_CASE(every_batch_comes_back_as_it_was) {
  BOOST_TEST(rc::check([] {
    const Batch original = testing::random::batch();
    auto back = decode(original.run, encode(original));
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == original);
    RC_ASSERT(same_bytes(*back, original));
  }));
}

BOOST_AUTO_TEST_CASE(a_success_without_value_takes_less_than_12_bytes) {
  Batch many;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    TaskChange one = ended(i, TaskState::success, 0, 250);
    one.at += std::chrono::microseconds{i * 700};
    one.result = Payload::nil();
    many.tasks.push_back(one);
  }
  BOOST_TEST(encode(many).size() < many.tasks.size() * 12);
}

BOOST_AUTO_TEST_CASE(large_results_are_kept_by_digest_only) {
  Batch original;
  original.tasks = {ended(0, TaskState::success, 0, 1), ended(1, TaskState::success, 0, 1)};
  original.tasks[0].result = Payload::of(std::string(inline_result_bytes, 'x'));
  original.tasks[1].result = Payload::of(std::string(inline_result_bytes + 1, 'x'));
  auto back = decode(original.run, encode(original));
  BOOST_REQUIRE(back);
  BOOST_TEST((*back == original));
  BOOST_TEST((back->tasks[0].result.bytes != nullptr));
  BOOST_TEST((back->tasks[1].result.bytes == nullptr));
}

BOOST_AUTO_TEST_CASE(cut_off_anywhere_a_batch_does_not_decode) {
  BOOST_TEST(rc::check([] {
    const Batch original = testing::random::batch();
    const std::string bytes = encode(original);
    const auto length = *rc::gen::inRange<std::size_t>(0, bytes.size());
    RC_ASSERT(!decode(original.run, std::string_view(bytes).substr(0, length)).has_value());
  }));
}

BOOST_AUTO_TEST_CASE(changed_bytes_decode_to_something_or_are_refused) {
  BOOST_TEST(rc::check([] {
    std::string bytes = encode(testing::random::batch());
    const int changes = *rc::gen::inRange(1, 6);
    for (int i = 0; i < changes; ++i)
      bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
    auto result = decode(RunId{}, bytes);
    RC_ASSERT(result.has_value() || result.error().code == ErrorCode::corrupt);
    if (!result) return;
    // What was accepted is a batch like any other.
    auto again = decode(RunId{}, encode(*result));
    RC_ASSERT(again.has_value());
    RC_ASSERT(*again == *result);
  }));
}

BOOST_AUTO_TEST_CASE(what_a_newer_program_appended_is_skipped) {
  Batch original;
  original.tasks = {change(3, TaskState::failed)};
  original.tasks[0].detail.emplace();
  original.tasks[0].detail->message = "no";
  std::string bytes = encode(original);
  // The details are the end: tag 1, length 2, "no". Add tag 99 with 3 bytes to them, and more
  // behind the batch.
  BOOST_REQUIRE(bytes.ends_with(std::string("\x04\x01\x02no")));
  bytes.resize(bytes.size() - 5);
  bytes += std::string("\x09\x01\x02no\x63\x03xyz") + "appended";
  auto back = decode(original.run, bytes);
  BOOST_REQUIRE(back);
  BOOST_TEST((*back == original));
}

BOOST_AUTO_TEST_CASE(the_way_to_a_state_is_kept_where_it_does_not_follow) {
  using States = std::vector<TaskState>;
  Batch original;
  original.tasks = {change(3, TaskState::retrying)};
  original.tasks[0].detail.emplace().failure = FailureClass::task;
  BOOST_TEST(
      (states_on_the_way(original.tasks[0]) == States{TaskState::failed, TaskState::retrying}));
  original.tasks[0].detail->passed = {TaskState::success, TaskState::trigger_failed};
  const auto back = decode(original.run, encode(original));
  BOOST_REQUIRE(back);
  BOOST_TEST((*back == original));
  BOOST_TEST((states_on_the_way(back->tasks[0]) ==
              States{TaskState::success, TaskState::trigger_failed, TaskState::retrying}));
}

BOOST_AUTO_TEST_CASE(another_version_is_refused) {
  std::string bytes = encode(Batch{});
  BOOST_TEST(decode(RunId{}, bytes).has_value());
  bytes[0] = 2;
  auto refused = decode(RunId{}, bytes);
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == ErrorCode::corrupt));
  BOOST_TEST(refused.error().message.find("unknown version") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_huge_count_is_refused_before_memory_is_asked_for) {
  const std::string claims_2_to_60("\x01\xfe\xff\xff\xff\xff\xff\xff\xff\x1f\x00", 11);
  BOOST_TEST(!decode(RunId{}, claims_2_to_60).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::journal
