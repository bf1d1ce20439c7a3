// Tasks that run flows: which runs are begun for them, and what becomes of those.
#include <boost/test/unit_test.hpp>

#include <map>

#include "tests/support/flow_text.hpp"
#include "tests/support/scheduler_bench.hpp"

BOOST_AUTO_TEST_SUITE(nested)

using namespace reprise;
using namespace reprise::test;
using namespace reprise::scheduler;
using namespace std::chrono_literals;

namespace {

TaskKind nesting(std::uint32_t retries = 0) {
  TaskKind kind;
  kind.body = NestedBody{std::nullopt, "flow", ""};
  kind.retry.max = retries;
  return kind;
}

AttemptRef ref_of(const Nest& nest) {
  return {RunIndex{nest.attempt.run}, nest.attempt.task, nest.attempt.number};
}

struct Nesting : SchedulerBench {
  explicit Nesting(std::uint32_t slots = 1) : SchedulerBench(slots) {}

  Nest take() {
    BOOST_REQUIRE(!nests.empty());
    Nest nest = std::move(nests.front());
    nests.erase(nests.begin());
    return nest;
  }
  /// Begins the run that is wanted, as number `index` of this process.
  void begin(const Nest& nest, std::uint32_t index, std::shared_ptr<const FlowSpec> inner) {
    auto context = std::make_shared<RunContext>();
    context->run = nest.run;
    context->flow = std::move(inner);
    context->depth = nest.attempt.context->depth + 1;
    Submit submit;
    submit.run = RunIndex{index};
    submit.context = std::move(context);
    submit.nested_in = ref_of(nest);
    handle(std::move(submit));
  }
  void report_end(const Nest& nest, Outcome outcome) {
    outcome.started = now;
    Reported event;
    event.reports.push_back({ref_of(nest), std::move(outcome)});
    handle(std::move(event));
  }
};

Outcome paused() {
  Outcome outcome;
  outcome.state = TaskState::paused;
  outcome.executed = true;
  return outcome;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_task_that_runs_a_flow_begins_a_run_and_holds_no_slot) {
  Nesting bench;
  bench.submit(flow("a -> c; b -> c", {{"a", nesting()}}));
  BOOST_TEST(bench.sent_names() == "b");
  const Nest nest = bench.take();
  BOOST_TEST(nest.attempt.number == 1u);
  BOOST_TEST(!nest.goes_on);
  BOOST_TEST((bench.state("a") == TaskState::running));
  // Which run it is stands in the journal before that run exists.
  const journal::TaskChange& told = bench.journal.back().tasks.back();
  BOOST_TEST((told.state == TaskState::running));
  BOOST_TEST((told.detail->origin == nest.run));
  bench.succeed("b");
  bench.report_end(nest, success(7));
  BOOST_TEST((bench.state("a") == TaskState::success));
  BOOST_TEST(bench.sent_names() == "c");
  bench.succeed("c");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(ids_of_nested_runs_differ_in_what_people_type) {
  Nesting bench;
  bench.submit(flow("a; b; c", {{"a", nesting()}, {"b", nesting()}, {"c", nesting()}}));
  BOOST_REQUIRE(bench.nests.size() == 3u);
  BOOST_TEST(bench.nests[0].run.short_text() != bench.nests[1].run.short_text());
  BOOST_TEST(bench.nests[1].run.short_text() != bench.nests[2].run.short_text());
  BOOST_TEST((bench.nests[0].run > bench.run().context().run));
}

BOOST_AUTO_TEST_CASE(who_goes_on_after_a_crash_finds_the_same_nested_run) {
  const auto spec = flow("a -> b", {{"a", nesting(1)}});
  Nesting first;
  first.submit(spec);
  const Nest before = first.take();
  for (int crashes = 0; crashes < 2; ++crashes) {
    Nesting second;
    second.now = first.now + 1h;
    second.submit(spec, first.journal);
    const Nest nest = second.take();
    BOOST_TEST((nest.run == before.run));
    BOOST_TEST(nest.goes_on);
    BOOST_TEST(!nest.resume);
    BOOST_TEST(nest.attempt.number == 1u);
    // It is no lost attempt, nor another try: the retry is still there.
    first.journal.insert(first.journal.end(), second.journal.begin(), second.journal.end());
    if (crashes == 0) continue;
    second.report_end(nest, failure());
    BOOST_TEST((second.state("a") == TaskState::retrying));
    second.advance();
    const Nest another = second.take();
    BOOST_TEST((another.run != before.run));
    BOOST_TEST(another.attempt.number == 2u);
    second.report_end(another, failure());
    BOOST_TEST((second.state("a") == TaskState::failed));
  }
}

BOOST_AUTO_TEST_CASE(a_nested_run_that_waits_for_a_person_goes_on_with_its_task) {
  const auto spec = flow("a", {{"a", nesting()}});
  Nesting first;
  first.submit(spec);
  const Nest before = first.take();
  first.report_end(before, paused());
  BOOST_TEST((first.state("a") == TaskState::paused));
  BOOST_TEST((first.ended.at(0).state == RunState::paused));
  Nesting second;
  second.submit(spec, first.journal, CacheMode::normal, true);
  const Nest nest = second.take();
  BOOST_TEST((nest.run == before.run));
  BOOST_TEST(nest.goes_on);
  BOOST_TEST(nest.resume);
  second.report_end(nest, success());
  BOOST_TEST((second.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(cancelling_reaches_every_run_within) {
  Nesting bench;
  bench.submit(flow("a; later", {{"a", nesting()}}));
  const Nest outer = bench.take();
  bench.begin(outer, 1, flow("x; inner", {{"inner", nesting()}}));
  const Nest inner = bench.take();
  bench.begin(inner, 2, flow("y"));
  BOOST_TEST(bench.sent_names() == "later");
  bench.cancel();
  BOOST_TEST(bench.stops.size() == 1u);  // of "later"; nothing else is at a worker
  const auto& deepest = *bench.scheduler().find(RunIndex{2});
  BOOST_REQUIRE(deepest.ended());
  BOOST_TEST((deepest.ended()->state == RunState::cancelled));
  BOOST_TEST(deepest.ended()->message == "a person asked");
  Outcome cancelled;
  cancelled.state = TaskState::cancelled;
  bench.report_end(inner, cancelled);
  BOOST_TEST((bench.scheduler().find(RunIndex{1})->ended()->state == RunState::cancelled));
  bench.report_end(outer, cancelled);
  bench.report(0, cancelled);
  BOOST_TEST((bench.run().ended()->state == RunState::cancelled));
}

BOOST_AUTO_TEST_CASE(a_run_that_had_not_begun_when_it_was_cancelled_ends_as_it_begins) {
  Nesting bench;
  bench.submit(flow("a", {{"a", nesting()}}));
  const Nest nest = bench.take();
  bench.cancel();
  bench.begin(nest, 1, flow("x"));
  BOOST_TEST((bench.scheduler().find(RunIndex{1})->ended()->state == RunState::cancelled));
}

BOOST_AUTO_TEST_CASE(a_paused_nested_run_is_cancelled_with_the_outer_one) {
  Nesting bench;
  bench.submit(flow("a; b", {{"a", nesting()}}));
  const Nest nest = bench.take();
  TaskKind manual;
  manual.trigger.kind = Trigger::Kind::manual_only;
  bench.begin(nest, 1, flow("x", {{"x", manual}}));
  BOOST_TEST((bench.scheduler().find(RunIndex{1})->ended()->state == RunState::paused));
  bench.report_end(nest, paused());
  bench.cancel();
  BOOST_TEST((bench.scheduler().find(RunIndex{1})->ended()->state == RunState::cancelled));
}

BOOST_AUTO_TEST_CASE(pausing_lets_nothing_more_begin_within) {
  Nesting bench(2);
  bench.submit(flow("a", {{"a", nesting()}}));
  const Nest nest = bench.take();
  bench.begin(nest, 1, flow("x -> y"));
  BOOST_TEST(bench.sent_names() == "x");
  bench.pause();
  bench.succeed("x");
  BOOST_TEST(bench.sent_names() == "");
  BOOST_TEST((bench.scheduler().find(RunIndex{1})->ended()->state == RunState::paused));
  bench.report_end(nest, paused());
  BOOST_TEST((bench.run().ended()->state == RunState::paused));
}

BOOST_AUTO_TEST_CASE(a_flow_that_runs_itself_comes_to_an_end) {
  Nesting bench;
  auto context = std::make_shared<RunContext>();
  context->flow = flow("again", {{"again", nesting()}});
  context->depth = nesting_limit;
  Submit submit;
  submit.run = RunIndex{0};
  submit.context = std::move(context);
  bench.handle(std::move(submit));
  BOOST_TEST(bench.nests.empty());
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::failed));
  const journal::TaskChange& told = bench.journal.back().tasks.back();
  BOOST_TEST(told.detail->message ==
             "runs are nested more than 16 deep; does flow \"test\" run itself without end?");
}

BOOST_AUTO_TEST_CASE(so_many_begin_at_once_and_inner_ones_are_not_held_up) {
  Policy policy;
  policy.nested_max = 1;
  WorkerOffer local;
  local.slots = 1;
  local.capacity.cpu_milli = 1000;
  local.is_local = true;
  struct Narrow : SchedulerBench {
    using SchedulerBench::SchedulerBench;
  } bench({local}, policy);
  bench.submit(flow("a; b", {{"a", nesting()}, {"b", nesting()}}));
  BOOST_REQUIRE(bench.nests.size() == 1u);
  const Nest outer = bench.nests[0];
  auto context = std::make_shared<RunContext>();
  context->run = outer.run;
  context->flow = flow("inner", {{"inner", nesting()}});
  context->depth = 1;
  Submit submit;
  submit.run = RunIndex{1};
  submit.context = std::move(context);
  submit.nested_in = ref_of(outer);
  bench.handle(std::move(submit));
  BOOST_TEST(bench.nests.size() == 2u);
  Reported over;
  over.reports.push_back({ref_of(outer), success()});
  over.reports[0].outcome.started = bench.now;
  bench.handle(std::move(over));
  BOOST_TEST(bench.nests.size() == 3u);  // b
}

BOOST_AUTO_TEST_CASE(the_first_failure_of_a_run_is_told_by_name) {
  SchedulerBench bench(3);
  bench.submit(flow("a; b*2"));
  BOOST_TEST(bench.run().first_failure() == "");
  bench.fail("b[1]");
  bench.fail("a");
  BOOST_TEST(bench.run().first_failure() == "b[1]: it broke");
}

BOOST_AUTO_TEST_SUITE_END()
