#include "journal/waiting.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/journal/journal_support.hpp"
#include "tests/support/flow_text.hpp"

namespace reprise::journal {

BOOST_AUTO_TEST_SUITE(Waiting_)
namespace {

using namespace testing;

RunView view_of(std::string_view flow, const std::vector<TaskChange>& changes) {
  RunView view(test::flow(flow));
  auto done = view.apply(batch(RunId{}, changes));
  if (!done) BOOST_FAIL(done.error().message);
  return view;
}

TaskChange told(std::uint32_t task, TaskState state, std::string message) {
  TaskChange result = change(task, state);
  result.detail.emplace().message = std::move(message);
  return result;
}

/// "upstream: it needs a".
std::string why(const RunView& view, std::uint32_t task) {
  const auto waiting = why_waiting(view, TaskId{task});
  return waiting ? waiting_message(waiting->reason, waiting->text) : "";
}

BOOST_AUTO_TEST_CASE(who_needs_others_waits_for_those_that_are_not_finished) {
  const RunView view = view_of("a; b; a -> c; b -> c", {ended(0, TaskState::success, 10, 1)});
  BOOST_TEST(why(view, 2) == "upstream: it needs b");
  BOOST_TEST(why(view, 0).empty());
  BOOST_TEST(why(view, 1) == "slots: it is ready; all slots that it could have are taken");
}

BOOST_AUTO_TEST_CASE(what_was_recorded_counts_for_all_that_need_the_same) {
  const RunView view = view_of(
      "a; b", {told(0, TaskState::queued, "resources: it needs gpus: 1; w1 has 0 of 1 free")});
  BOOST_TEST(why(view, 0) == "resources: it needs gpus: 1; w1 has 0 of 1 free");
  BOOST_TEST(why(view, 1) == "resources: it needs gpus: 1; w1 has 0 of 1 free");
  const RunView cache = view_of("a; b", {told(0, TaskState::queued, "waits for run X")});
  BOOST_TEST(why(cache, 0) == "cache: waits for run X");
  BOOST_TEST(why(cache, 1).starts_with("slots: "));
}

BOOST_AUTO_TEST_CASE(times_people_and_conditions_are_reasons) {
  TaskChange later = told(0, TaskState::retrying, "exit 2");
  later.detail->start_time = Time(std::chrono::seconds{60});
  BOOST_TEST(why(view_of("a", {later}), 0) ==
             "retry_backoff: it goes on at 1970-01-01T00:01:00.000000Z; exit 2");
  BOOST_TEST(why(view_of("a", {told(0, TaskState::paused, "")}), 0) ==
             "paused: until a person resumes it");
  BOOST_TEST(why(view_of("a", {told(0, TaskState::skipped, "when: params.x is false")}), 0) ==
             "when_false: params.x is false");
  BOOST_TEST(why(view_of("a", {change(0, TaskState::running)}), 0).empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::journal
