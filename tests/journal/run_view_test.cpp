#include "journal/run_view.hpp"

#include <boost/test/unit_test.hpp>

#include "journal/history.hpp"
#include "journal/memory_journal.hpp"
#include "tests/journal/journal_support.hpp"
#include "tests/support/flow_text.hpp"

namespace reprise::journal {

BOOST_AUTO_TEST_SUITE(run_view_tests)
namespace {

using namespace testing;

RunView view_of(std::string_view flow, const std::vector<TaskChange>& changes) {
  RunView view(test::flow(flow));
  auto done = view.apply(batch(RunId{}, changes));
  if (!done) BOOST_FAIL(done.error().message);
  return view;
}

TaskChange hit(std::uint32_t task) {
  TaskChange result = change(task, TaskState::cached);
  result.cache = CacheOutcome::hit;
  return result;
}

TaskChange failed(std::uint32_t task, std::string message) {
  TaskChange result = ended(task, TaskState::failed, 10, 4);
  result.detail.emplace();
  result.detail->message = std::move(message);
  return result;
}

BOOST_AUTO_TEST_SUITE(RunView_)

BOOST_AUTO_TEST_CASE(before_anything_happened_every_node_is_pending) {
  const RunView view = view_of("a -> b; a -> c", {});
  BOOST_TEST(view.size() == 3u);
  BOOST_TEST((view.state() == RunState::queued));
  BOOST_TEST((view.summary() == Summary{.tasks = 3}));
  BOOST_TEST(view.counts()[static_cast<std::size_t>(TaskState::pending)] == 3u);
  BOOST_TEST((view.started(TaskId{0}) == std::nullopt));
  BOOST_TEST((view.first_change() == std::nullopt));
  BOOST_TEST(view.result(TaskId{0}).is_none());
}

BOOST_AUTO_TEST_CASE(a_task_is_what_its_last_change_says) {
  TaskChange success = ended(0, TaskState::success, 50, 20);
  success.run_count = 2;
  success.result = Payload::of(std::string("\x05"));
  success.cache = CacheOutcome::stored;
  RunView view =
      view_of("a -> b", {change(0, TaskState::running, 10), failed(0, "exit 2"), success});
  const TaskId a{0};
  BOOST_TEST((view.state(a) == TaskState::success));
  BOOST_TEST((view.cache(a) == CacheOutcome::stored));
  BOOST_TEST(view.run_count(a) == 2u);
  BOOST_TEST(view.executed(a));
  BOOST_TEST((view.started(a) == later(30)));
  BOOST_TEST((view.changed(a) == later(50)));
  BOOST_TEST((view.duration(a) == std::chrono::milliseconds{20}));
  BOOST_TEST((view.result(a) == success.result));
  BOOST_TEST(view.message(a).empty());  // that of the failed attempt is over
  BOOST_TEST((view.summary() == Summary{.tasks = 2, .executed = 2}));  // two bodies ran
  BOOST_TEST((view.first_change() == later(10)));
}

BOOST_AUTO_TEST_CASE(the_summary_counts_by_outcome) {
  RunView view = view_of("a; b; c; d; e; f",
                         {hit(0), failed(1, "no"), change(2, TaskState::skipped),
                          change(3, TaskState::cancelled), change(4, TaskState::trigger_failed)});
  const Summary expected{
      .tasks = 6, .executed = 1, .cached = 1, .failed = 2, .skipped = 1, .cancelled = 1};
  BOOST_TEST((view.summary() == expected));
}

BOOST_AUTO_TEST_CASE(a_result_stored_in_the_first_run_is_no_hit) {
  TaskChange stored = ended(0, TaskState::cached, 5, 5);
  stored.cache = CacheOutcome::stored;
  BOOST_TEST((view_of("a", {stored}).summary() == Summary{.tasks = 1, .executed = 1}));
}

BOOST_AUTO_TEST_CASE(elements_of_mapped_nodes_get_the_ids_after_the_nodes_in_order_of_expansion) {
  RunView view =
      view_of("m*3; n*3; e*3", {mapped(1, 2, {"s1", "s[2]"}), mapped(0, 3), mapped(2, 0)});
  BOOST_TEST(view.size() == 8u);
  BOOST_TEST(view.task_name(TaskId{0}) == "m");
  BOOST_TEST(view.task_name(TaskId{3}) == "n[s1]");
  BOOST_TEST(view.task_name(TaskId{4}) == "n[s[2]]");
  BOOST_TEST(view.task_name(TaskId{5}) == "m[0]");
  BOOST_TEST(view.task_name(TaskId{7}) == "m[2]");
  BOOST_TEST(view.map_index(TaskId{0}) == -1);
  BOOST_TEST(view.map_index(TaskId{4}) == 1);
  BOOST_TEST(view.map_index(TaskId{7}) == 2);
  BOOST_TEST((view.node_of(TaskId{7}) == NodeId{0}));
  BOOST_TEST((view.elements_of(NodeId{1})->first == TaskId{3}));
  BOOST_TEST((view.summary() == Summary{.tasks = 5}));  // parents do not count
  BOOST_TEST(!view.counts_as_task(TaskId{2}));
  for (std::uint32_t i = 0; i < view.size(); ++i)
    BOOST_TEST((view.find_task(view.task_name(TaskId{i})) == TaskId{i}));
}

BOOST_AUTO_TEST_CASE(an_expansion_told_again_gives_no_new_elements) {
  RunView view = view_of("m*3", {mapped(0, 3), ended(1, TaskState::success, 5, 5), mapped(0, 3)});
  BOOST_TEST(view.size() == 4u);
  BOOST_TEST((view.state(TaskId{1}) == TaskState::success));
  BOOST_TEST(view.apply(batch(RunId{}, {change(0, TaskState::mapped)}))
                 .has_value());  // with its result, without width
  BOOST_TEST(view.size() == 4u);
}

BOOST_AUTO_TEST_CASE(an_expansion_to_another_width_replaces_the_elements) {
  RunView view = view_of("m*3", {mapped(0, 3), mapped(0, 2)});
  BOOST_TEST(view.size() == 6u);
  BOOST_TEST((view.summary() == Summary{.tasks = 2}));
  BOOST_TEST((view.find_task("m[1]") == TaskId{5}));
  BOOST_TEST(view.map_index(TaskId{1}) == -1);
}

BOOST_AUTO_TEST_CASE(names_are_data) {
  RunView view = view_of("a[0]; a*3; __proto__; ../x", {mapped(1, 2)});
  BOOST_TEST((view.find_task("a[0]") == TaskId{0}));  // the node of that name, not the element
  BOOST_TEST((view.find_task("a[1]") == TaskId{5}));
  BOOST_TEST((view.find_task("__proto__") == TaskId{2}));
  BOOST_TEST((view.find_task("../x") == TaskId{3}));
  for (const char* name : {"a[2]", "a[-1]", "a[1", "a[]", "b[0]", "", "[0]"})
    BOOST_TEST((view.find_task(name) == std::nullopt), name);
  BOOST_TEST(view.did_you_mean_task("__prot__") == "; did you mean \"__proto__\"?");
  BOOST_TEST(view.did_you_mean_task("something else").empty());
}

BOOST_AUTO_TEST_CASE(groups_sum_up_the_tasks_of_each_node) {
  RunView view = view_of("m*3; r", {mapped(0, 4), hit(2), ended(3, TaskState::success, 10, 30),
                                    ended(4, TaskState::success, 20, 10), failed(5, "exit 2"),
                                    change(1, TaskState::running)});
  const std::vector<Group> groups = view.groups();
  BOOST_REQUIRE(groups.size() == 2u);
  BOOST_TEST(groups[0].total == 4u);
  BOOST_TEST(groups[0].cached == 1u);
  BOOST_TEST(groups[0].states[static_cast<std::size_t>(TaskState::success)] == 2u);
  BOOST_TEST(groups[0].states[static_cast<std::size_t>(TaskState::failed)] == 1u);
  BOOST_TEST((groups[0].median == std::chrono::milliseconds{30}));  // of the two that succeeded
  BOOST_TEST((groups[0].trouble == TaskId{5}));
  BOOST_TEST(groups[1].total == 1u);
  BOOST_TEST((groups[1].median == std::nullopt));
  BOOST_TEST((groups[1].trouble == std::nullopt));
}

BOOST_AUTO_TEST_CASE(changes_that_cannot_be_are_refused) {
  RunView view(test::flow("a; m*3"));
  BOOST_TEST((view.apply(batch(RunId{}, {change(2, TaskState::ready)})).error().code ==
              ErrorCode::corrupt));
  BOOST_TEST(
      (view.apply(batch(RunId{}, {mapped(1, UINT32_MAX)})).error().code == ErrorCode::corrupt));
  BOOST_TEST((view.apply(batch(RunId{}, {mapped(1, 3, {"only one label"})})).error().code ==
              ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(a_run_is_loaded_from_the_journal) {
  MemoryJournal journal;
  const auto flow = test::flow("a -> b");
  RunRow run = row(0);
  run.flow = sha256(flow->encode());
  BOOST_TEST(journal.open_run(run, flow->encode()).has_value());
  BOOST_TEST(journal
                 .append(std::vector{batch(run.id, {ended(0, TaskState::success, 5, 5)},
                                           run_is(RunState::running, 1)),
                                     batch(run.id, {}, run_is(RunState::failed, 9, "no luck"))})
                 .has_value());
  Offset last = 0;
  auto view = load_run(journal, run, &last);
  BOOST_REQUIRE(view);
  BOOST_TEST(last == 3u);
  BOOST_TEST((view->state() == RunState::failed));
  BOOST_TEST(view->message() == "no luck");
  BOOST_TEST(view->flow().folder == run.folder);
  BOOST_TEST((view->state(TaskId{0}) == TaskState::success));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(History)

BOOST_AUTO_TEST_CASE(usual_durations_are_medians_over_the_last_finished_runs) {
  MemoryJournal journal;
  const auto flow = test::flow("a; m*3; never");
  const auto add_run = [&](std::string name, RunState end, std::int64_t a, std::int64_t m) {
    RunRow run = row(0, std::move(name));
    run.flow = sha256(flow->encode());
    BOOST_TEST(journal.open_run(run, flow->encode()).has_value());
    BOOST_TEST(journal
                   .append(std::vector{batch(run.id,
                                             {ended(0, TaskState::success, 0, a), mapped(1, 2),
                                              ended(3, TaskState::success, 0, m),
                                              ended(4, TaskState::failed, 0, 1'000'000), hit(2)},
                                             run_is(end))})
                   .has_value());
    BOOST_TEST(journal.set_summary(run.id, {.tasks = 4, .executed = 3}).has_value());
  };
  add_run("align", RunState::success, 1000, 1000);  // the oldest is one too many
  for (int i = 0; i < 2; ++i) add_run("align", RunState::success, 10, 20);
  add_run("align", RunState::failed, 12, 22);
  add_run("other", RunState::success, 500, 500);
  add_run("align", RunState::running, 700, 700);
  using std::chrono::milliseconds;
  const std::map<std::string, Duration> expected{{"a", milliseconds{10}}, {"m", milliseconds{20}}};
  BOOST_TEST((usual_durations(journal, "align", 3) == expected));
  BOOST_TEST(usual_durations(journal, "unknown").empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::journal
