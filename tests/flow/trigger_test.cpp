#include "flow/trigger.hpp"

#include <boost/test/unit_test.hpp>

#include "flow/state.hpp"

BOOST_AUTO_TEST_SUITE(trigger_tests)

using namespace reprise;
using Kind = Trigger::Kind;

namespace {

const char* shown(Verdict verdict) {
  constexpr const char* names[] = {"run", "trigger_failed", "skip", "pause"};
  return names[static_cast<int>(verdict)];
}

Trigger trigger(Kind kind, double at_least = -1, double at_most = -1) {
  return Trigger{kind, at_least, at_most, {}};
}

/// `skipped` ones are among the successful.
UpstreamCounts upstreams(std::uint32_t successful, std::uint32_t failed, std::uint32_t skipped = 0,
                         std::uint32_t cancelled = 0) {
  return UpstreamCounts{successful + failed + cancelled, successful, failed, skipped, false};
}

void expect(const Trigger& trigger, const UpstreamCounts& counts, Verdict verdict) {
  BOOST_TEST((judge(trigger, counts, false) == verdict),
             "kind " << static_cast<int>(trigger.kind) << " with " << counts.successful
                     << " successful, " << counts.failed << " failed of " << counts.total
                     << " gives " << shown(judge(trigger, counts, false)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(triggers)

BOOST_AUTO_TEST_CASE(stock_triggers_look_at_the_outcome_of_all_upstreams) {
  auto run = Verdict::run, fails = Verdict::trigger_failed;
  struct Row {
    Kind kind;
    Verdict all_good, mixed, all_bad, all_skipped, one_cancelled;
  };
  for (const Row& row : {
           Row{Kind::all_successful, run, fails, fails, run, fails},
           Row{Kind::all_failed, fails, fails, run, fails, fails},
           Row{Kind::any_successful, run, run, fails, run, run},
           Row{Kind::any_failed, fails, run, run, fails, fails},
           Row{Kind::all_finished, run, run, run, run, run},
           Row{Kind::not_all_skipped, run, fails, fails, Verdict::skip, fails},
           Row{Kind::manual_only, Verdict::pause, Verdict::pause, Verdict::pause, Verdict::pause,
               Verdict::pause},
           Row{Kind::resource_cleanup, run, run, run, run, run},
       }) {
    expect(trigger(row.kind), upstreams(3, 0), row.all_good);
    expect(trigger(row.kind), upstreams(1, 2), row.mixed);
    expect(trigger(row.kind), upstreams(0, 3), row.all_bad);
    expect(trigger(row.kind), upstreams(3, 0, 3), row.all_skipped);
    expect(trigger(row.kind), upstreams(2, 0, 0, 1), row.one_cancelled);
  }
}

BOOST_AUTO_TEST_CASE(without_upstreams_most_triggers_pass) {
  for (Kind kind : {Kind::all_successful, Kind::all_failed, Kind::any_successful, Kind::any_failed,
                    Kind::all_finished, Kind::resource_cleanup})
    expect(trigger(kind), {}, Verdict::run);
  expect(trigger(Kind::some_failed, 2, 3), {}, Verdict::run);
  expect(trigger(Kind::some_successful, 2), {}, Verdict::run);
  expect(trigger(Kind::not_all_skipped), {}, Verdict::skip);
  expect(trigger(Kind::manual_only), {}, Verdict::pause);
}

BOOST_AUTO_TEST_CASE(some_skipped_upstreams_do_not_count_as_all) {
  expect(trigger(Kind::not_all_skipped), upstreams(3, 0, 2), Verdict::run);
  expect(trigger(Kind::not_all_skipped), upstreams(2, 1, 2), Verdict::trigger_failed);
}

BOOST_AUTO_TEST_CASE(bounds_from_one_on_are_counts_and_inclusive) {
  for (std::uint32_t failed = 0; failed <= 4; ++failed) {
    expect(trigger(Kind::some_failed, 1, 2), upstreams(4 - failed, failed),
           failed >= 1 && failed <= 2 ? Verdict::run : Verdict::trigger_failed);
    expect(trigger(Kind::some_successful, 1, 2), upstreams(failed, 4 - failed),
           failed >= 1 && failed <= 2 ? Verdict::run : Verdict::trigger_failed);
  }
  expect(trigger(Kind::some_failed, 1.0), upstreams(3, 1), Verdict::run);  // one, not all
}

BOOST_AUTO_TEST_CASE(bounds_below_one_are_fractions_without_rounding) {
  expect(trigger(Kind::some_failed, 0.5), upstreams(2, 1), Verdict::trigger_failed);  // 1 < 1.5
  expect(trigger(Kind::some_failed, 0.5), upstreams(1, 2), Verdict::run);
  expect(trigger(Kind::some_failed, -1, 0.5), upstreams(2, 1), Verdict::run);
  expect(trigger(Kind::some_failed, -1, 0.5), upstreams(1, 2), Verdict::trigger_failed);
  expect(trigger(Kind::some_failed, 0.5, 0.5), upstreams(1, 1), Verdict::run);
}

BOOST_AUTO_TEST_CASE(missing_bounds_do_not_bind_and_zero_does) {
  expect(trigger(Kind::some_failed), upstreams(0, 3), Verdict::run);
  expect(trigger(Kind::some_failed), upstreams(3, 0), Verdict::run);
  expect(trigger(Kind::some_failed, 0, 0), upstreams(3, 0), Verdict::run);
  expect(trigger(Kind::some_failed, 0, 0), upstreams(2, 1), Verdict::trigger_failed);
}

BOOST_AUTO_TEST_CASE(resuming_matters_to_manual_only_alone) {
  BOOST_TEST((judge(trigger(Kind::manual_only), upstreams(0, 3), true) == Verdict::run));
  BOOST_TEST(
      (judge(trigger(Kind::all_successful), upstreams(0, 3), true) == Verdict::trigger_failed));
}

BOOST_AUTO_TEST_CASE(cleanup_is_skipped_when_the_setup_never_was) {
  UpstreamCounts counts = upstreams(1, 2);
  counts.setup_missing = true;
  expect(trigger(Kind::resource_cleanup), counts, Verdict::skip);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(states)

BOOST_AUTO_TEST_CASE(names_are_read_back) {
  for (int i = 0; i < task_state_count; ++i) {
    auto state = static_cast<TaskState>(i);
    BOOST_TEST((task_state_from(name(state)) == state));
    BOOST_TEST((task_state_from(class_name(state)) == state));
  }
  BOOST_TEST(name(TaskState::trigger_failed) == "trigger_failed");
  BOOST_TEST(class_name(TaskState::timed_out) == "TimedOut");
  BOOST_TEST(name(TaskState::lost) == "lost");
  for (int i = 0; i <= static_cast<int>(RunState::interrupted); ++i) {
    auto state = static_cast<RunState>(i);
    BOOST_TEST((run_state_from(name(state)) == state));
  }
  BOOST_TEST(!task_state_from("nonsense"));
  BOOST_TEST(!run_state_from(""));
}

BOOST_AUTO_TEST_CASE(every_state_is_of_one_sort) {
  for (int i = 0; i < task_state_count; ++i) {
    auto state = static_cast<TaskState>(i);
    bool between =
        state == TaskState::queued || state == TaskState::submitted || state == TaskState::looped;
    int sorts = is_pending(state) + is_running(state) + is_finished(state);
    BOOST_TEST((sorts == 1 || between), name(state));
    BOOST_TEST((!is_success(state) || is_finished(state)));
    BOOST_TEST((!is_failed(state) || is_finished(state)));
    BOOST_TEST(!(is_success(state) && is_failed(state)));
  }
  BOOST_TEST((is_finished(TaskState::cancelled) && !is_failed(TaskState::cancelled)));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
