#include <boost/test/unit_test.hpp>

#include <map>
#include <random>

#include <fmt/format.h>

#include "tests/support/flow_text.hpp"
#include "tests/support/scheduler_bench.hpp"

BOOST_AUTO_TEST_SUITE(Run)

using namespace reprise;
using namespace reprise::test;

namespace {

TaskKind with(auto change) {
  TaskKind kind;
  change(kind);
  return kind;
}

std::string states_of(const std::vector<journal::Batch>& journal, const FlowSpec& flow) {
  std::string text;
  for (const journal::Batch& batch : journal) {
    for (const journal::TaskChange& change : batch.tasks) {
      if (!text.empty()) text += ' ';
      text += change.task.value < flow.nodes.size() ? flow.nodes[change.task.value].name
                                                    : "#" + std::to_string(change.task.value);
      text += ':';
      text += name(change.state);
    }
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_task_starts_when_its_last_upstream_is_done) {
  SchedulerBench bench;
  bench.submit(flow("a -> c; b -> c"));
  BOOST_TEST(bench.sent_names() == "a b");
  bench.succeed("a", 1);
  BOOST_TEST(bench.sent_names() == "b");
  bench.succeed("b", 2);
  BOOST_TEST(bench.sent_names() == "c");
  BOOST_REQUIRE(bench.sent.front().arguments.size() == 2u);
  BOOST_TEST(bench.sent.front().arguments[0].name == "a");
  BOOST_TEST((bench.sent.front().arguments[1].value == *Payload::of(Value{2})));
  bench.succeed("c");
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::success));
}

BOOST_AUTO_TEST_CASE(an_empty_flow_is_a_success) {
  SchedulerBench bench;
  bench.submit(flow(""));
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::success));
}

BOOST_AUTO_TEST_CASE(a_failure_stops_what_depends_on_it_and_nothing_else) {
  SchedulerBench bench;
  bench.submit(flow("a -> b; b -> c; x -> y"));
  bench.fail("a");
  BOOST_TEST((bench.state("b") == TaskState::trigger_failed));
  BOOST_TEST((bench.state("c") == TaskState::trigger_failed));
  bench.succeed("x");
  bench.succeed("y");
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::failed));
}

BOOST_AUTO_TEST_CASE(every_change_is_journalled_in_order) {
  SchedulerBench bench;
  const auto spec = flow("a -> b");
  bench.submit(spec);
  bench.succeed("a");
  bench.succeed("b");
  BOOST_TEST(states_of(bench.journal, *spec) == "a:running a:success b:running b:success");
  BOOST_TEST((bench.journal.back().change->state == RunState::success));
}

BOOST_AUTO_TEST_CASE(retries_wait_their_delay_and_end_after_the_last) {
  SchedulerBench bench;
  bench.submit(flow("a", {{"a", with([](TaskKind& kind) {
                             kind.retry.max = 2;
                             kind.retry.delay = std::chrono::seconds{5};
                           })}}));
  const Time start = bench.now;
  bench.fail("a");
  BOOST_TEST((bench.state("a") == TaskState::retrying));
  BOOST_TEST(bench.sent.empty());
  bench.advance();
  BOOST_TEST((bench.now - start == std::chrono::seconds{5}));
  BOOST_REQUIRE(bench.sent.size() == 1u);
  BOOST_TEST(bench.sent[0].number == 2u);
  bench.fail("a");
  bench.advance();
  bench.fail("a");
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.state("a") == TaskState::failed));
}

BOOST_AUTO_TEST_CASE(exponential_delays_stay_below_their_ceiling) {
  SchedulerBench bench;
  bench.submit(flow("a", {{"a", with([](TaskKind& kind) {
                             kind.retry.max = 40;
                             kind.retry.delay = std::chrono::seconds{1};
                             kind.retry.exponential = true;
                             kind.retry.max_delay = std::chrono::seconds{60};
                           })}}));
  for (int i = 0; i < 40; ++i) {
    const Time before = bench.now;
    bench.fail("a");
    bench.advance();
    const auto ceiling =
        std::min<Duration>(std::chrono::seconds{60}, std::chrono::seconds{1LL << std::min(i, 30)});
    BOOST_TEST((bench.now - before <= ceiling));
  }
}

BOOST_AUTO_TEST_CASE(a_failure_that_is_not_listed_is_not_retried) {
  SchedulerBench bench;
  bench.submit(flow("a", {{"a", with([](TaskKind& kind) {
                             kind.retry.max = 5;
                             kind.retry.on = {FailureClass::timeout};
                           })}}));
  bench.fail("a", FailureClass::task);
  BOOST_REQUIRE(bench.ended.size() == 1u);
}

BOOST_AUTO_TEST_CASE(late_news_of_an_earlier_attempt_changes_nothing) {
  SchedulerBench bench;
  bench.submit(flow("a", {{"a", with([](TaskKind& kind) { kind.retry.max = 1; })}}));
  const Attempt first = bench.sent.front();
  bench.fail("a");
  bench.advance();
  scheduler::Reported late;
  late.reports.push_back({{scheduler::RunIndex{0}, first.task, first.number}, success()});
  bench.handle(std::move(late));
  BOOST_TEST(bench.ended.empty());
  bench.succeed("a");
  BOOST_REQUIRE(bench.ended.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_mapped_node_runs_once_per_element_and_gives_a_list) {
  SchedulerBench bench{4};
  bench.submit(flow("m*3; m -> sum"));
  BOOST_TEST(bench.sent_names() == "m[0] m[1] m[2]");
  bench.succeed("m[2]", 12);
  bench.succeed("m[0]", 10);
  bench.succeed("m[1]", 11);
  BOOST_REQUIRE(bench.sent_names() == "sum");
  BOOST_TEST((*bench.sent[0].arguments[0].value.value() == Value{List{10, 11, 12}}));
}

BOOST_AUTO_TEST_CASE(mapping_over_a_mapped_node_has_no_barrier) {
  SchedulerBench bench{4};
  bench.submit(flow("m*3; m => n; n -> end"));
  bench.succeed("m[1]", 7);
  BOOST_TEST(bench.sent_names() == "m[0] m[2] n[1]");
  bench.succeed("n[1]");
  bench.succeed("m[0]");
  bench.succeed("m[2]");
  bench.succeed("n[0]");
  BOOST_TEST(bench.sent_names() == "n[2]");
  bench.succeed("n[2]");
  BOOST_TEST(bench.sent_names() == "end");
}

BOOST_AUTO_TEST_CASE(mapping_over_nothing_gives_an_empty_list) {
  SchedulerBench bench;
  bench.submit(flow("m*0; m => n; n -> end"));
  BOOST_REQUIRE(bench.sent_names() == "end");
  BOOST_TEST((*bench.sent[0].arguments[0].value.value() == Value{List{}}));
}

BOOST_AUTO_TEST_CASE(mapping_over_something_that_is_no_list_fails_the_node) {
  SchedulerBench bench;
  bench.submit(flow("a => n"));
  bench.succeed("a", 17);
  BOOST_TEST((bench.state("n") == TaskState::failed));
  BOOST_TEST((bench.ended.at(0).state == RunState::failed));
}

BOOST_AUTO_TEST_CASE(max_parallel_holds_elements_back) {
  SchedulerBench bench{8};
  bench.submit(flow("m*5", {{"m", with([](TaskKind& kind) { kind.max_parallel = 2; })}}));
  BOOST_TEST(bench.sent_names() == "m[0] m[1]");
  bench.succeed("m[1]");
  BOOST_TEST(bench.sent_names() == "m[0] m[2]");
}

BOOST_AUTO_TEST_CASE(look_ups_come_before_slots_and_a_hit_needs_none) {
  const TaskKind cached = with([](TaskKind& kind) { kind.cache.enabled = true; });
  SchedulerBench bench{1};
  bench.submit(flow("a -> b", {{"a", cached}, {"b", cached}}));
  BOOST_TEST(bench.sent.empty());
  bench.hit("a", 5);
  BOOST_TEST(bench.sent.empty());
  BOOST_REQUIRE(bench.look_ups.size() == 1u);
  BOOST_TEST((*bench.look_ups[0].arguments[0].value.value() == Value{5}));
  bench.miss("b");
  BOOST_REQUIRE(bench.sent_names() == "b");
  BOOST_TEST(bench.sent[0].key.has_value());
  bench.succeed("b");
  BOOST_TEST(bench.run().totals().here.cached == 1u);
  BOOST_TEST(bench.run().totals().here.executed == 1u);
}

BOOST_AUTO_TEST_CASE(cache_only_fails_on_a_miss) {
  const TaskKind cached = with([](TaskKind& kind) { kind.cache.enabled = true; });
  SchedulerBench bench;
  bench.submit(flow("a", {{"a", cached}}), {}, CacheMode::only);
  bench.miss("a");
  BOOST_TEST((bench.ended.at(0).state == RunState::failed));
}

BOOST_AUTO_TEST_CASE(cancel_stops_what_runs_and_never_starts_the_rest) {
  SchedulerBench bench{1};
  bench.submit(flow("a -> b; x"));
  bench.cancel();
  BOOST_REQUIRE(bench.stops.size() == 1u);
  BOOST_TEST((bench.state("b") == TaskState::cancelled));
  BOOST_TEST(bench.ended.empty());
  // The body was quicker than the request: its result still does not count.
  bench.report(0, success(1));
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::cancelled));
  BOOST_TEST((bench.state("a") == TaskState::cancelled));
}

namespace {

/// The worker ended the attempt as it was asked to.
void report_stopped(SchedulerBench& bench, const std::string& task) {
  Outcome stopped;
  stopped.state = TaskState::cancelled;
  const auto found = std::ranges::find(
      bench.sent, task, [&](const Attempt& attempt) { return bench.name_of(attempt); });
  BOOST_REQUIRE((found != bench.sent.end()));
  bench.report(static_cast<std::size_t>(found - bench.sent.begin()), stopped);
}

}  // namespace

BOOST_AUTO_TEST_CASE(cancelling_an_element_takes_what_depends_on_it_and_leaves_the_others) {
  SchedulerBench bench{8};
  bench.submit(flow("m*3; m => n; n -> end; m -> sum"));
  bench.cancel({"m[1]"});
  for (const char* task : {"n[1]", "end", "sum"})
    BOOST_TEST((bench.state(task) == TaskState::cancelled), task);
  report_stopped(bench, "m[1]");
  BOOST_TEST((bench.state("m[1]") == TaskState::cancelled));
  for (const char* task : {"m[0]", "m[2]", "n[0]", "n[2]"}) bench.succeed(task);
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(a_cancelled_element_takes_what_depends_on_it_and_is_expanded_later) {
  SchedulerBench bench{8};
  bench.submit(flow("m*3; a; m => n; a -> n; n => o; o -> end"));
  bench.cancel({"m[1]"});
  BOOST_TEST((bench.state("n") == TaskState::pending));
  report_stopped(bench, "m[1]");
  bench.succeed("a");
  for (const char* task : {"n[1]", "o[1]"})
    BOOST_TEST((bench.state(task) == TaskState::cancelled), task);
  for (const char* task : {"m[0]", "m[2]", "n[0]", "n[2]", "o[0]", "o[2]"}) bench.succeed(task);
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(what_waited_for_a_slot_and_is_taken_back_makes_room_for_the_next_element) {
  for (const bool cancels : {true, false}) {
    SchedulerBench bench{1};
    bench.submit(flow("x; m*3", {{"m", with([](TaskKind& kind) { kind.max_parallel = 1; })}}));
    BOOST_REQUIRE(bench.sent_names() == "x");
    if (cancels)
      bench.cancel({"m[0]"});
    else
      bench.pause({"m[0]"});
    bench.succeed("x");
    BOOST_REQUIRE(bench.sent_names() == "m[1]");
    bench.succeed("m[1]");
    bench.succeed("m[2]");
    BOOST_TEST((bench.ended.at(0).state == (cancels ? RunState::success : RunState::paused)));
  }
}

BOOST_AUTO_TEST_CASE(a_cancelled_part_of_a_reduction_takes_all_that_is_made_of_it) {
  SchedulerBench bench{8};
  bench.submit(
      flow("m*7; m -> r; r -> end", {{"r", with([](TaskKind& kind) { kind.reduce_fanin = 2; })}}));
  for (int i = 0; i < 7; ++i) bench.succeed("m[" + std::to_string(i) + "]", i);
  BOOST_REQUIRE(bench.sent_names() == "r[0] r[1] r[2] r[3]");
  bench.cancel({"r[0]"});
  for (const char* task : {"r[4]", "r[5]", "r[6]", "end"})
    BOOST_TEST((bench.state(task) == TaskState::cancelled), task);
  report_stopped(bench, "r[0]");
  for (const char* task : {"r[1]", "r[2]", "r[3]"}) bench.succeed(task);
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(cancelling_a_task_takes_its_downstreams_and_leaves_the_others) {
  SchedulerBench bench{2};
  bench.submit(flow("a -> b; x -> y"));
  bench.cancel({"a"});
  Outcome stopped;
  stopped.state = TaskState::cancelled;
  bench.report(0, stopped);
  BOOST_TEST((bench.state("b") == TaskState::cancelled));
  bench.succeed("x");
  bench.succeed("y");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(an_upstream_that_was_skipped_skips_its_downstreams) {
  SchedulerBench bench;
  bench.submit(flow("a -> b", {{"a", with([](TaskKind& kind) { kind.when = "1 > 2"; })}}));
  BOOST_TEST((bench.state("a") == TaskState::skipped));
  BOOST_TEST((bench.state("b") == TaskState::skipped));
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(manual_only_leaves_the_run_waiting_for_a_person) {
  SchedulerBench bench;
  bench.submit(
      flow("a -> b",
           {{"b", with([](TaskKind& kind) { kind.trigger.kind = Trigger::Kind::manual_only; })}}));
  bench.succeed("a");
  BOOST_TEST((bench.state("b") == TaskState::paused));
  BOOST_TEST((bench.ended.at(0).state == RunState::paused));
}

BOOST_AUTO_TEST_CASE(resuming_lets_paused_tasks_go_on_and_runs_nothing_twice) {
  const auto spec =
      flow("a -> b; b -> c",
           {{"b", with([](TaskKind& kind) { kind.trigger.kind = Trigger::Kind::manual_only; })}});
  SchedulerBench first;
  first.submit(spec);
  first.succeed("a", 4);
  BOOST_REQUIRE((first.ended.at(0).state == RunState::paused));

  SchedulerBench second;
  second.submit(spec, first.journal, CacheMode::normal, true);
  BOOST_REQUIRE(second.sent_names() == "b");
  BOOST_TEST((*second.sent[0].arguments[0].value.value() == Value{4}));
  // A crash right after: the third process still knows that the task was let go on.
  std::vector<journal::Batch> past = first.journal;
  past.insert(past.end(), second.journal.begin(), second.journal.end());
  SchedulerBench third;
  third.submit(spec, past);
  third.succeed("b");
  third.succeed("c");
  BOOST_TEST((third.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(
    a_cancellation_that_did_not_finish_holds_unless_a_person_starts_the_run_again) {
  const auto spec = flow("a -> b; x");
  SchedulerBench first{1};
  first.submit(spec);
  first.cancel();  // "a" still runs when the process dies
  SchedulerBench after_crash;
  after_crash.submit(spec, first.journal);
  BOOST_TEST((after_crash.ended.at(0).state == RunState::cancelled));
  SchedulerBench again;
  again.submit(spec, first.journal, CacheMode::normal, true);
  BOOST_TEST(again.sent_names() == "a x");
}

BOOST_AUTO_TEST_CASE(a_chain_of_skips_needs_no_stack) {
  std::string text;
  for (int i = 0; i < 50'000; ++i)
    text += "n" + std::to_string(i) + " -> n" + std::to_string(i + 1) + ";";
  SchedulerBench bench;
  bench.submit(flow(text, {{"n0", with([](TaskKind& kind) { kind.when = "false"; })}}));
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(tasks_on_the_critical_path_go_first) {
  SchedulerBench bench{1};
  bench.submit(flow("short; a -> b; b -> c"));
  BOOST_TEST(bench.sent_names() == "a");
  bench.succeed("a");
  BOOST_TEST(bench.sent_names() == "b");
}

BOOST_AUTO_TEST_CASE(short_tasks_are_prefetched_and_long_ones_are_not) {
  SchedulerBench bench{2};
  bench.submit(flow("m*1000"));
  BOOST_TEST(bench.sent.size() == 2u);
  Outcome quick = success();
  quick.duration = std::chrono::microseconds{2};
  for (int i = 0; i < 200; ++i) bench.report(0, quick);
  BOOST_TEST(bench.sent.size() > 50u);
  Outcome slow = success();
  slow.duration = std::chrono::seconds{1};
  while (bench.sent.size() > 2) bench.report(0, slow);
  BOOST_TEST(bench.sent.size() == 2u);
}

BOOST_AUTO_TEST_CASE(attempts_that_run_for_a_while_are_announced_once) {
  SchedulerBench bench;
  const auto spec = flow("a");
  bench.submit(spec);
  const Attempt attempt = bench.sent.front();
  scheduler::Began began;
  began.starts.push_back({{scheduler::RunIndex{0}, attempt.task, attempt.number}, bench.now});
  bench.handle(began);
  bench.handle(began);
  bench.succeed("a");
  BOOST_TEST(states_of(bench.journal, *spec) == "a:running a:success");
}

BOOST_AUTO_TEST_CASE(a_reduction_combines_level_by_level_with_at_most_fanin_members) {
  SchedulerBench bench{8};
  bench.submit(
      flow("m*7; m -> r; r -> end", {{"r", with([](TaskKind& kind) { kind.reduce_fanin = 3; })}}));
  for (int i = 0; i < 7; ++i) bench.succeed("m[" + std::to_string(i) + "]", i);
  BOOST_TEST(bench.sent_names() == "r[0] r[1] r[2]");
  BOOST_TEST((*bench.sent[2].arguments[0].value.value() == Value{List{6}}));
  bench.succeed("r[0]", 100);
  bench.succeed("r[2]", 102);
  bench.succeed("r[1]", 101);
  BOOST_REQUIRE(bench.sent_names() == "r[3]");
  BOOST_TEST((*bench.sent[0].arguments[0].value.value() == Value{List{100, 101, 102}}));
  bench.succeed("r[3]", 7);
  BOOST_REQUIRE(bench.sent_names() == "end");
  BOOST_TEST((*bench.sent[0].arguments[0].value.value() == Value{7}));
}

BOOST_AUTO_TEST_CASE(a_reduction_of_few_members_is_one_task) {
  SchedulerBench bench{8};
  bench.submit(flow("m*2; m -> r", {{"r", with([](TaskKind& kind) { kind.reduce_fanin = 3; })}}));
  bench.succeed("m[0]", 0);
  bench.succeed("m[1]", 1);
  BOOST_TEST(bench.sent_names() == "r");
}

BOOST_AUTO_TEST_CASE(a_loop_runs_again_with_its_last_result_until_it_ends) {
  SchedulerBench bench;
  bench.submit(flow("a -> b", {{"a", with([](TaskKind& kind) { kind.retry.max = 1; })}}));
  Outcome again = success(10);
  again.state = TaskState::looped;
  bench.report(0, again);
  BOOST_REQUIRE(bench.sent_names() == "a");
  BOOST_TEST(bench.sent[0].loop_count == 2u);
  BOOST_TEST((bench.sent[0].loop_result == *Payload::of(Value{10})));
  // A failure in the second iteration is retried in the second iteration.
  bench.fail("a");
  bench.advance();
  BOOST_TEST(bench.sent[0].loop_count == 2u);
  BOOST_TEST(bench.sent[0].run_count == 2u);
  bench.succeed("a", 20);
  BOOST_REQUIRE(bench.sent_names() == "b");
  BOOST_TEST((*bench.sent[0].arguments[0].value.value() == Value{20}));
}

BOOST_AUTO_TEST_CASE(an_endless_loop_fails_at_the_limit) {
  SchedulerBench bench;
  bench.submit(flow("a"));
  Outcome again = success(1);
  again.state = TaskState::looped;
  int iterations = 0;
  for (; bench.ended.empty(); ++iterations) bench.report(0, again);
  BOOST_TEST(iterations == 10'000);
  BOOST_TEST((bench.state("a") == TaskState::failed));
}

BOOST_AUTO_TEST_CASE(a_body_may_ask_to_run_again_without_any_retries_left) {
  SchedulerBench bench;
  bench.submit(flow("a"));
  Outcome later;
  later.state = TaskState::retrying;
  later.start_time = bench.now + std::chrono::seconds{7};
  const Time start = bench.now;
  bench.report(0, later);
  BOOST_TEST((bench.state("a") == TaskState::retrying));
  bench.advance();
  BOOST_TEST((bench.now - start == std::chrono::seconds{7}));
  bench.succeed("a");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(a_body_that_pauses_leaves_the_run_waiting) {
  SchedulerBench bench;
  bench.submit(flow("a; b"));
  Outcome pause;
  pause.state = TaskState::paused;
  bench.report(0, pause);
  BOOST_TEST(bench.ended.empty());
  bench.succeed("b");
  BOOST_TEST((bench.ended.at(0).state == RunState::paused));
}

// Random flows, random outcomes, random order; then the same run again from every kind of prefix of
// its journal, as after a crash. What was final stays, nothing final runs twice, and the end is the
// same.
BOOST_AUTO_TEST_CASE(a_run_continued_from_any_prefix_of_its_journal_ends_the_same) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    std::string text;
    std::map<std::string, TaskKind> kinds;
    const unsigned nodes = 2 + below(9);
    for (unsigned n = 0; n < nodes; ++n) {
      const std::string name = "n" + std::to_string(n);
      text += name + (below(4) == 0 ? "*" + std::to_string(below(4)) : "") + ";";
      for (unsigned u = 0; u < n; ++u)
        if (below(3) == 0)
          text += "n" + std::to_string(u) + (below(3) == 0 ? " => " : " -> ") + name + ";";
      TaskKind& kind = kinds[name];
      kind.retry.max = below(3);
      kind.cache.enabled = below(3) == 0;
      kind.max_parallel = below(3);
      kind.reduce_fanin = below(5) == 0 ? 2 : 0;
      kind.skip_on_upstream_skip = below(4) != 0;
      if (below(8) == 0) kind.when = "false";
      if (below(4) == 0) kind.trigger.kind = Trigger::Kind::all_finished;
      if (below(8) == 0) kind.trigger.kind = Trigger::Kind::any_failed;
      if (below(8) == 0) kind.trigger.kind = Trigger::Kind::custom;
      if (below(4) == 0) kind.hooks.push_back({{}, FunctionBody{"hook@1"}});
      if (kind.cache.enabled && below(3) == 0) kind.cache.key_function = "key@1";
    }
    const auto spec = flow(text, kinds);
    // A body's outcome depends on its task alone, so that every schedule agrees; retries do not
    // help.
    const auto body = [&](const std::string& name) {
      const std::size_t hash = std::hash<std::string>{}(name + std::to_string(seed));
      if (hash % 6 == 0) return failure();
      if (hash % 6 < 4) return success(Value{List{1, 2, 3, 4, 5}});
      return success(Value{static_cast<std::int64_t>(hash % 100)});
    };
    // So does what user code says about its states.
    const auto report = [&](SchedulerBench& bench, std::size_t position) {
      const Attempt& attempt = bench.sent[position];
      const std::string task = bench.name_of(attempt);
      if (!attempt.question) return bench.report(position, body(task));
      const std::size_t hash = std::hash<std::string>{}("hook " + task + std::to_string(seed));
      Outcome answer = SchedulerBench::no_objection(*attempt.question);
      if (attempt.question->kind == Question::Kind::trigger) answer = success(hash % 4 != 0);
      if (attempt.question->kind == Question::Kind::hooks && hash % 5 == 0 &&
          is_failed(answer.state)) {
        answer.state = TaskState::success;
        answer.value = *Payload::of(Value{List{7}});
      }
      if (attempt.question->kind == Question::Kind::hooks && hash % 5 == 1 &&
          answer.state == TaskState::success) {
        answer.state = TaskState::validation_failed;
        answer.value = {};
      }
      bench.report(position, std::move(answer));
    };
    const auto run_to_end = [&](SchedulerBench& bench) {
      while (bench.ended.empty()) {
        const std::size_t choices = bench.look_ups.size() + bench.sent.size();
        if (choices == 0) {
          bench.advance();
          continue;
        }
        const std::size_t pick = below(static_cast<unsigned>(choices));
        if (pick < bench.look_ups.size())
          bench.answer(pick, std::nullopt);
        else
          report(bench, pick - bench.look_ups.size());
      }
    };
    SchedulerBench whole{1 + below(4)};
    whole.submit(spec);
    run_to_end(whole);
    const auto final_states = [&](SchedulerBench& bench) {
      std::string states;
      for (std::uint32_t n = 0; n < spec->nodes.size(); ++n) {
        const std::string& node = spec->nodes[n].name;
        states += fmt::format("{}:{}", node, name(bench.state(node)));
        for (int i = 0; bench.run().find_task(fmt::format("{}[{}]", node, i)); ++i)
          states += fmt::format(",{}", name(bench.state(fmt::format("{}[{}]", node, i))));
        states += fmt::format("={} ", bench.run().value_of(NodeId{n}).digest.hex().substr(0, 8));
      }
      return states;
    };
    const std::string expected = final_states(whole);

    const std::size_t cut = below(static_cast<unsigned>(whole.journal.size() + 1));
    SchedulerBench again{1 + below(4)};
    std::vector<journal::Batch> past(whole.journal.begin(),
                                     whole.journal.begin() + static_cast<std::ptrdiff_t>(cut));
    again.submit(spec, past);
    run_to_end(again);
    BOOST_TEST(final_states(again) == expected, "seed " << seed << " cut " << cut << "\n"
                                                        << text << "\n"
                                                        << final_states(again) << "\n"
                                                        << expected);
    BOOST_TEST((again.ended[0].state == whole.ended[0].state), "seed " << seed);
  }
}

BOOST_AUTO_TEST_CASE(an_attempt_that_was_lost_with_its_process_is_no_try) {
  const auto spec = flow("a", {{"a", with([](TaskKind& kind) { kind.retry.max = 1; })}});
  journal::TaskChange began;
  began.task = TaskId{0};
  began.state = TaskState::running;
  began.run_count = 1;
  journal::Batch batch;
  batch.tasks.push_back(began);
  SchedulerBench bench;
  bench.submit(spec, {batch});
  BOOST_REQUIRE(bench.sent_names() == "a");
  BOOST_TEST(bench.sent[0].number == 2u);
  BOOST_TEST(bench.sent[0].run_count == 1u);
  bench.fail("a");
  BOOST_TEST((bench.state("a") == TaskState::retrying));
}

BOOST_AUTO_TEST_CASE(an_attempt_that_outlived_its_process_goes_on_under_its_number) {
  SchedulerBench bench;
  const auto spec = flow("a", {{"a", with([](TaskKind& kind) { kind.retry.max = 1; })}});
  SchedulerBench first;
  first.submit(spec);
  first.handle(scheduler::Began{{{{scheduler::RunIndex{0}, TaskId{0}, 1}, first.now}}});
  bench.submit(spec, first.journal);
  BOOST_REQUIRE(bench.sent.size() == 1u);
  BOOST_TEST(bench.sent[0].number == 2u);
  BOOST_TEST(bench.sent[0].begun_before == 1u);
  bench.handle(scheduler::Adopted{{{{scheduler::RunIndex{0}, TaskId{0}, 2}, 1}}});
  BOOST_TEST((bench.state("a") == TaskState::running));
  bench.sent[0].number = 1;
  bench.fail("a");
  bench.advance();
  // It was one attempt, so one more is due, and it is the second.
  BOOST_REQUIRE(bench.sent.size() == 1u);
  BOOST_TEST(bench.sent[0].number == 2u);
  BOOST_TEST(bench.sent[0].run_count == 2u);
  BOOST_TEST(bench.sent[0].begun_before == 0u);
  bench.fail("a");
  BOOST_TEST(bench.ended.size() == 1u);
}

BOOST_AUTO_TEST_CASE(an_attempt_that_was_lost_with_its_worker_is_made_again_at_once) {
  const auto spec = flow("a");
  SchedulerBench bench;
  bench.submit(spec);
  bench.fail("a", FailureClass::worker_lost);
  BOOST_REQUIRE(bench.sent_names() == "a");
  BOOST_TEST(bench.sent[0].number == 2u);
  BOOST_TEST(bench.sent[0].run_count == 1u);
  BOOST_TEST((bench.journal.back().tasks.back().state == TaskState::lost));
  SchedulerBench continued;
  continued.submit(spec, bench.journal);
  BOOST_REQUIRE(continued.sent_names() == "a");
  BOOST_TEST(continued.sent[0].run_count == 1u);
  bench.succeed("a");
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::success));
}

BOOST_AUTO_TEST_CASE(a_task_that_workers_die_of_fails_after_the_fifth) {
  SchedulerBench bench;
  bench.submit(flow("a"));
  for (int i = 0; i < 4; ++i) bench.fail("a", FailureClass::worker_lost);
  BOOST_TEST(bench.ended.empty());
  bench.fail("a", FailureClass::worker_lost);
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.state("a") == TaskState::failed));
}

BOOST_AUTO_TEST_CASE(lost_workers_count_as_tries_where_the_task_says_so) {
  SchedulerBench bench;
  bench.submit(flow("a", {{"a", with([](TaskKind& kind) {
                             kind.retry.max = 1;
                             kind.retry.on = {FailureClass::worker_lost};
                           })}}));
  bench.fail("a", FailureClass::worker_lost);
  BOOST_TEST((bench.state("a") == TaskState::retrying));
  bench.advance();
  bench.fail("a", FailureClass::worker_lost);
  BOOST_TEST((bench.state("a") == TaskState::failed));
}

BOOST_AUTO_TEST_CASE(what_is_retried_after_a_crash_is_kept_like_anything_else) {
  const auto spec = flow("a", {{"a", with([](TaskKind& kind) {
                                  kind.retry.max = 1;
                                  kind.cache.enabled = true;
                                })}});
  SchedulerBench first;
  first.submit(spec);
  first.miss("a");
  first.fail("a");
  SchedulerBench second;
  second.submit(spec, first.journal);
  if (second.look_ups.empty()) second.advance();
  second.miss("a");
  BOOST_REQUIRE(second.sent_names() == "a");
  BOOST_TEST(second.sent[0].key.has_value());
  BOOST_TEST(second.sent[0].run_count == 2u);
}

// It was forgotten, so that the next pass ran the retry at once.
BOOST_AUTO_TEST_CASE(a_pass_that_is_continued_still_tells_when_retries_are_due) {
  const auto spec = flow("a; b", {{"a", with([](TaskKind& kind) {
                                     kind.retry.max = 1;
                                     kind.retry.delay = std::chrono::minutes{10};
                                   })}});
  SchedulerBench first;
  first.shape.single_pass = true;
  first.submit(spec);
  first.fail("a");
  const Time due = first.now + std::chrono::minutes{10};
  SchedulerBench second;
  second.shape.single_pass = true;
  second.submit(spec, first.journal);
  second.succeed("b");
  BOOST_REQUIRE(second.ended.size() == 1u);
  const auto states = second.run().states();
  BOOST_TEST((states.at("a").state.state == TaskState::retrying));
  BOOST_TEST((states.at("a").state.start_time == due));
}

BOOST_AUTO_TEST_CASE(a_resource_is_set_up_again_for_what_is_left_of_a_run) {
  std::map<std::string, TaskKind> kinds;
  kinds["close"].trigger.kind = Trigger::Kind::resource_cleanup;
  kinds["close"].skip_on_upstream_skip = false;
  SchedulerBench first;
  first.submit(flow("open -> work; open -> close; work", kinds));
  first.succeed("open");
  SchedulerBench second;
  second.submit(flow("open -> work; open -> close; work", kinds), first.journal);
  BOOST_TEST(second.sent_names() == "open");
}

BOOST_AUTO_TEST_CASE(a_hook_that_replaces_a_state_is_followed) {
  std::map<std::string, TaskKind> kinds;
  kinds["a"].hooks.push_back({{}, FunctionBody{"hook@1"}});
  kinds["a"].cache.enabled = true;
  kinds["a"].retry.max = 1;
  SchedulerBench bench;
  bench.submit(flow("a -> b", kinds));
  bench.miss("a");
  const auto agree = [&] {
    bench.report(0, SchedulerBench::no_objection(*bench.sent[0].question));
  };
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::running));
  agree();
  BOOST_REQUIRE(!bench.sent.at(0).question);
  bench.report(0, success(1));
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::success));
  Outcome refused;
  refused.state = TaskState::validation_failed;
  bench.report(0, refused);  // it can be retried
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::retrying));
  agree();
  BOOST_TEST((bench.state("a") == TaskState::retrying));
  bench.advance();
  agree();
  bench.report(0, success(2));
  agree();
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::cached));
  agree();
  BOOST_TEST((bench.state("a") == TaskState::cached));
  BOOST_TEST(bench.sent_names() == "b");
}

// Its parent ran as one task, with the whole list.
BOOST_AUTO_TEST_CASE(a_mapped_node_that_was_put_off_becomes_its_elements) {
  SchedulerBench bench;
  bench.shape.initial["n"].state.state = TaskState::scheduled;
  bench.shape.initial["n"].state.start_time = bench.now + std::chrono::hours{1};
  bench.submit(flow("a => n"));
  bench.succeed("a", Value{List{1, 2}});
  BOOST_TEST(bench.sent.empty());
  bench.advance();
  BOOST_TEST(bench.sent_names() == "n[0] n[1]");
}

// It was told as pending, so that the next pass knew nothing of what it had been given.
BOOST_AUTO_TEST_CASE(what_waits_for_its_upstreams_stays_as_it_was_given) {
  TaskKind manual;
  manual.trigger.kind = Trigger::Kind::manual_only;
  SchedulerBench bench;
  bench.shape.single_pass = true;
  bench.shape.initial["r"].state.state = TaskState::resume;
  bench.shape.initial["c"].state.state = TaskState::cached;
  bench.shape.initial["c"].state.result = *Payload::of(Value{9});
  bench.submit(flow("a -> r; a -> c; c -> d", {{"a", manual}}));
  BOOST_TEST(bench.sent_names() == "d");
  BOOST_TEST((bench.sent.at(0).arguments.at(0).value == *Payload::of(Value{9})));
  bench.succeed("d");
  const auto states = bench.run().states();
  BOOST_TEST((states.at("a").state.state == TaskState::paused));
  BOOST_TEST((states.at("r").state.state == TaskState::resume));
  BOOST_TEST((states.at("c").state.state == TaskState::cached));
  BOOST_TEST((bench.ended.at(0).state == RunState::paused));
  bench.run().check_invariants();
}

BOOST_AUTO_TEST_CASE(an_attempt_that_ends_in_a_pause_is_no_try) {
  const auto spec = flow("a", {{"a", with([](TaskKind& kind) { kind.retry.max = 1; })}});
  Outcome pause;
  pause.state = TaskState::paused;
  pause.executed = true;
  SchedulerBench first;
  first.submit(spec);
  first.fail("a");
  first.advance();
  first.report(0, pause);
  BOOST_TEST(first.run().states().at("a").run_count == 1u);
  SchedulerBench second;
  second.submit(spec, first.journal, CacheMode::normal, true);
  BOOST_TEST(second.sent.at(0).number == 3u);
  BOOST_TEST(second.sent.at(0).run_count == 2u);
  pause.start_time = second.now + std::chrono::hours{1};
  second.report(0, pause);
  second.advance();
  BOOST_TEST(second.sent.at(0).run_count == 2u);
  second.fail("a");
  BOOST_TEST((second.state("a") == TaskState::failed));
}

BOOST_AUTO_TEST_CASE(hooks_are_shown_that_a_node_becomes_its_elements) {
  const auto spec = flow("m*3", {{"m", with([](TaskKind& kind) {
                                    kind.hooks.push_back({{}, FunctionBody{"hook@1"}});
                                  })}});
  SchedulerBench bench;
  bench.submit(spec);
  BOOST_TEST(bench.sent_names() == "m");
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::mapped));
  bench.report(0, SchedulerBench::no_objection(*bench.sent[0].question));
  BOOST_TEST((bench.state("m") == TaskState::mapped));
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::running));

  SchedulerBench refused;
  refused.submit(spec);
  Outcome no;
  no.state = TaskState::skipped;
  refused.report(0, no);
  BOOST_TEST((refused.state("m") == TaskState::skipped));
  BOOST_TEST((refused.ended.at(0).state == RunState::success));
}

// The hit is not what the task ends with, but it comes first.
BOOST_AUTO_TEST_CASE(hooks_are_shown_a_hit_that_the_trigger_does_not_let_stand) {
  const auto spec = flow("a -> b", {{"b", with([](TaskKind& kind) {
                                       kind.hooks.push_back({{}, FunctionBody{"hook@1"}});
                                       kind.cache.enabled = true;
                                     })}});
  SchedulerBench bench;
  bench.submit(spec);
  bench.fail("a");
  bench.hit("b", 1);
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::cached));
  bench.report(0, SchedulerBench::no_objection(*bench.sent[0].question));
  BOOST_TEST((bench.sent.at(0).question->after.state == TaskState::trigger_failed));
  bench.report(0, SchedulerBench::no_objection(*bench.sent[0].question));
  BOOST_TEST((bench.state("b") == TaskState::trigger_failed));

  SchedulerBench missed;
  missed.submit(spec);
  missed.fail("a");
  missed.miss("b");
  BOOST_TEST(missed.keeps.size() == 1u);  // nobody need wait for a result
  BOOST_TEST((missed.sent.at(0).question->after.state == TaskState::trigger_failed));
}

BOOST_AUTO_TEST_CASE(a_person_lets_a_task_go_on_for_one_try) {
  const auto spec = flow("a", {{"a", with([](TaskKind& kind) {
                                  kind.trigger.kind = Trigger::Kind::manual_only;
                                  kind.retry.max = 1;
                                })}});
  SchedulerBench bench;
  bench.shape.initial["a"].state.state = TaskState::resume;
  bench.submit(spec);
  bench.fail("a");
  BOOST_TEST((bench.state("a") == TaskState::retrying));
  bench.advance();
  BOOST_TEST((bench.state("a") == TaskState::paused));
  BOOST_TEST((bench.ended.at(0).state == RunState::paused));
}

BOOST_AUTO_TEST_CASE(a_text_is_mapped_over_by_its_characters) {
  SchedulerBench bench{4};
  bench.submit(flow("a => n"));
  bench.succeed("a", "x\u00e4y");
  BOOST_TEST(bench.sent_names() == "n[0] n[1] n[2]");
  BOOST_TEST((bench.sent.at(1).arguments.at(0).value == *Payload::of(Value{"\u00e4"})));
}

BOOST_AUTO_TEST_CASE(cancelling_reaches_tasks_that_user_code_is_asked_about) {
  std::map<std::string, TaskKind> kinds;
  kinds["a"].hooks.push_back({{}, FunctionBody{"hook@1"}});
  kinds["b"].trigger.kind = Trigger::Kind::custom;
  SchedulerBench bench{1};
  bench.submit(flow("a; b; c", kinds));
  bench.cancel();
  while (!bench.sent.empty()) bench.report(0, success(1));
  BOOST_REQUIRE(bench.ended.size() == 1);
  BOOST_TEST((bench.ended[0].state == RunState::cancelled));
  for (const char* task : {"a", "b", "c"}) BOOST_TEST((bench.state(task) == TaskState::cancelled));
}

BOOST_AUTO_TEST_CASE(what_is_paused_waits_until_another_process_resumes_it) {
  SchedulerBench bench{1};
  bench.submit(flow("a -> b; c"));
  bench.pause();
  BOOST_TEST(bench.sent_names() == "a");
  bench.succeed("a");
  BOOST_REQUIRE(bench.ended.size() == 1);
  BOOST_TEST((bench.ended[0].state == RunState::paused));
  BOOST_TEST((bench.state("b") == TaskState::paused));
  BOOST_TEST((bench.state("c") == TaskState::paused));
  SchedulerBench again{2};
  again.submit(flow("a -> b; c"), bench.journal, CacheMode::normal, true);
  BOOST_TEST(again.sent_names() == "b c");

  SchedulerBench part{2};
  part.submit(flow("a -> b; c"));
  part.pause({"b"});
  part.succeed("a");
  part.succeed("c");
  BOOST_TEST((part.ended.at(0).state == RunState::paused));
  BOOST_TEST((part.state("c") == TaskState::success));
}

BOOST_AUTO_TEST_CASE(of_what_is_paused_only_the_named_tasks_go_on) {
  SchedulerBench bench{1};
  bench.submit(flow("a -> b; c; d"));
  bench.pause();
  bench.succeed("a");
  SchedulerBench again{2};
  again.resume_tasks = {"c"};
  again.submit(flow("a -> b; c; d"), bench.journal, CacheMode::normal, true);
  BOOST_TEST(again.sent_names() == "c");
  again.succeed("c");
  BOOST_REQUIRE(again.ended.size() == 1);
  BOOST_TEST((again.ended[0].state == RunState::paused));
  BOOST_TEST((again.state("b") == TaskState::paused));
  BOOST_TEST((again.state("d") == TaskState::paused));
}

BOOST_AUTO_TEST_CASE(a_mapped_task_that_is_told_to_go_on_does_so_with_all_its_elements) {
  SchedulerBench bench{1};
  bench.submit(flow("m*3; c"));
  bench.pause();
  bench.succeed("m[0]");
  BOOST_REQUIRE(bench.ended.size() == 1);
  SchedulerBench again{4};
  again.resume_tasks = {"m"};
  again.submit(flow("m*3; c"), bench.journal, CacheMode::normal, true);
  BOOST_TEST(again.sent_names() == "m[1] m[2]");
}

BOOST_AUTO_TEST_SUITE_END()
