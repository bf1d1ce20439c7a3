// Results past their time, remembered failures and computations by others, as a run sees them.
#include <boost/test/unit_test.hpp>

#include <chrono>

#include "tests/support/flow_text.hpp"
#include "tests/support/scheduler_bench.hpp"

BOOST_AUTO_TEST_SUITE(RunLife)

using namespace reprise;
using namespace reprise::test;
using namespace std::chrono_literals;

namespace {

/// A flow whose task "a" is cached, with these failures remembered.
std::shared_ptr<const FlowSpec> cached_flow(const std::string& text, std::uint32_t retries = 0) {
  TaskKind kind;
  kind.cache.enabled = true;
  kind.cache.expires_after = 10s;
  kind.cache.life.stale_while_revalidate = 60s;
  kind.cache.life.failures.emplace().kinds = {FailureClass::task};
  kind.retry.max = retries;
  kind.retry.delay = 1s;
  return flow(text, {{"a", kind}});
}

Payload payload(std::string text) {
  return *Payload::of(Value(std::move(text)));
}

/// The answer to the first look-up that waits; `change` says what it is.
void answer(SchedulerBench& bench, const std::function<void(scheduler::Answer&)>& change) {
  const Attempt attempt = bench.look_ups.front();
  bench.look_ups.erase(bench.look_ups.begin());
  scheduler::Answer made;
  made.attempt = {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
  made.key = Key{digest_in("test", "key")};
  made.origin = RunId{};
  change(made);
  scheduler::LookedUp event;
  event.answers.push_back(std::move(made));
  bench.handle(std::move(event));
}

void stale_hit(SchedulerBench& bench) {
  answer(bench, [&](scheduler::Answer& made) {
    made.value = payload("old");
    made.expired = bench.now - 5s;
    made.refresh = true;
  });
}

void miss_with_fallback(SchedulerBench& bench, Duration lasts) {
  answer(bench, [&](scheduler::Answer& made) {
    made.origin.reset();
    made.fallback = scheduler::Fallback{payload("old"), RunId{}, bench.now - 5s, bench.now + lasts};
  });
}

const journal::TaskChange& last_change(const SchedulerBench& bench, std::uint32_t task) {
  const journal::TaskChange* found = nullptr;
  for (const journal::Batch& batch : bench.journal)
    for (const journal::TaskChange& change : batch.tasks)
      if (change.task.value == task) found = &change;
  BOOST_REQUIRE(found != nullptr);
  return *found;
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_depends_on_a_stale_result_does_not_wait_for_a_new_one) {
  SchedulerBench bench(1);
  bench.submit(cached_flow("a -> b"));
  stale_hit(bench);
  BOOST_TEST((bench.state("a") == TaskState::cached));
  BOOST_TEST(bench.sent_names() == "b");  // first what somebody waits for
  BOOST_TEST((bench.sent[0].arguments[0].value == payload("old")));
  bench.succeed("b");
  BOOST_TEST(bench.sent_names() == "a");
  BOOST_TEST(bench.sent[0].key.has_value());
  BOOST_TEST(bench.ended.empty());  // the run stays until it is made, else nobody would make it
  Outcome made = success("new");
  made.stored = true;
  bench.report(0, made);
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::success));
  const journal::TaskChange& told = last_change(bench, 0);
  BOOST_TEST(told.detail->message == "stale: computed anew for later runs");
  BOOST_TEST(told.detail->expired.has_value());
  BOOST_TEST(told.executed);
  BOOST_TEST((told.result == payload("old")));  // what this run got
  BOOST_TEST(bench.run().totals().here.cached == 1u);
  BOOST_TEST(bench.run().totals().here.executed == 2u);
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_well_when_the_new_computation_fails) {
  SchedulerBench bench;
  bench.submit(cached_flow("a -> b"));
  stale_hit(bench);
  bench.fail("a");
  BOOST_TEST((bench.state("a") == TaskState::cached));
  BOOST_TEST(
      last_change(bench, 0).detail->message.starts_with("stale: computing it anew failed: "));
  // The failure is not remembered: it would hide the result that is served still.
  BOOST_REQUIRE(bench.keeps.size() == 1u);
  BOOST_TEST(bench.keeps[0].value.is_none());
  bench.succeed("b");
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::success));
}

BOOST_AUTO_TEST_CASE(cancelling_ends_what_is_computed_anew) {
  SchedulerBench bench;
  bench.submit(cached_flow("a -> b"));
  stale_hit(bench);
  BOOST_TEST(bench.sent_names() == "a b");
  bench.cancel();
  BOOST_TEST(bench.stops.size() == 2u);
  Outcome cancelled;
  cancelled.state = TaskState::cancelled;
  bench.report(0, cancelled);
  BOOST_TEST(bench.ended.empty());
  bench.report(0, cancelled);
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::cancelled));
}

BOOST_AUTO_TEST_CASE(cancelling_forgets_what_was_to_be_computed_anew) {
  SchedulerBench bench(1);
  bench.submit(cached_flow("a -> b"));
  stale_hit(bench);
  BOOST_TEST(bench.sent_names() == "b");
  bench.cancel();
  Outcome cancelled;
  cancelled.state = TaskState::cancelled;
  bench.report(0, cancelled);
  BOOST_TEST(bench.sent.empty());
  BOOST_TEST(bench.ended.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_run_that_is_continued_counts_a_stale_hit_once) {
  SchedulerBench first;
  first.submit(cached_flow("a -> b"));
  stale_hit(first);
  Outcome made = success("new");
  made.stored = true;
  first.report(first.sent[0].node.value == 0 ? 0 : 1, made);
  SchedulerBench second;
  second.submit(cached_flow("a -> b"), first.journal);
  BOOST_TEST(second.sent_names() == "b");
  second.succeed("b");
  BOOST_TEST(second.run().totals().whole.cached == 1u);
  BOOST_TEST(second.run().totals().whole.executed == 2u);
}

BOOST_AUTO_TEST_CASE(an_old_result_stands_in_for_one_that_cannot_be_made) {
  SchedulerBench bench;
  bench.submit(cached_flow("a -> b", 1));
  miss_with_fallback(bench, 60s);
  bench.fail("a");
  BOOST_TEST((bench.state("a") == TaskState::retrying));  // first everything else
  bench.advance();
  bench.fail("a");
  BOOST_TEST((bench.state("a") == TaskState::cached));
  BOOST_TEST((bench.sent[0].arguments[0].value == payload("old")));
  const journal::TaskChange& told = last_change(bench, 0);
  BOOST_TEST(told.detail->message.starts_with("stale: computing it anew failed ("));
  BOOST_TEST(told.detail->expired.has_value());
  using States = std::vector<TaskState>;
  BOOST_TEST((journal::states_on_the_way(told) == States{TaskState::failed, TaskState::cached}));
  bench.succeed("b");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(an_old_result_does_not_stand_in_when_it_is_too_old_or_the_task_was_cancelled) {
  {
    SchedulerBench bench;
    bench.submit(cached_flow("a"));
    miss_with_fallback(bench, 60s);
    bench.now += 60s;
    bench.fail("a");
    BOOST_TEST((bench.state("a") == TaskState::failed));
  }
  {
    SchedulerBench bench;
    bench.submit(cached_flow("a"));
    miss_with_fallback(bench, 60s);
    bench.cancel();
    Outcome cancelled;
    cancelled.state = TaskState::cancelled;
    bench.report(0, cancelled);
    BOOST_TEST((bench.state("a") == TaskState::cancelled));
  }
  {
    SchedulerBench bench;
    bench.submit(cached_flow("a"));
    miss_with_fallback(bench, 60s);
    bench.succeed("a", "new");
    BOOST_TEST((bench.state("a") == TaskState::success));
  }
}

BOOST_AUTO_TEST_CASE(a_failure_is_remembered_once_no_retry_follows) {
  SchedulerBench bench;
  bench.submit(cached_flow("a", 1));
  bench.miss("a");
  bench.fail("a");
  BOOST_TEST(bench.keeps.empty());
  bench.advance();
  bench.fail("a");
  BOOST_REQUIRE(bench.keeps.size() == 1u);
  BOOST_TEST(bench.keeps[0].is_failure);
  BOOST_TEST((KeptFailure::decode(bench.keeps[0].value)->failure == FailureClass::task));
  BOOST_TEST((bench.state("a") == TaskState::failed));
  BOOST_TEST((last_change(bench, 0).cache == journal::CacheOutcome::stored));
}

BOOST_AUTO_TEST_CASE(other_failures_are_not_remembered) {
  SchedulerBench bench;
  bench.submit(cached_flow("a"));
  bench.miss("a");
  bench.fail("a", FailureClass::timeout);
  BOOST_TEST(bench.keeps.empty());
  BOOST_TEST((last_change(bench, 0).cache == journal::CacheOutcome::miss));
}

BOOST_AUTO_TEST_CASE(a_remembered_failure_fails_the_task_without_running_or_retrying_it) {
  SchedulerBench bench;
  bench.submit(cached_flow("a -> b", 3));
  answer(bench, [&](scheduler::Answer& made) {
    KeptFailure known;
    known.message = "no such sample";
    known.exit_code = 65;
    known.result = payload("what is left");
    made.failure = scheduler::RememberedFailure{known, bench.now + 90s};
  });
  BOOST_TEST(bench.sent.empty());
  BOOST_TEST((bench.state("a") == TaskState::failed));
  BOOST_TEST((bench.state("b") == TaskState::trigger_failed));
  const journal::TaskChange& told = last_change(bench, 0);
  BOOST_TEST(told.detail->message ==
             "no such sample (remembered from run " + RunId{}.text() + " for another 1m 30s)");
  BOOST_TEST(told.detail->exit_code == 65);
  BOOST_TEST(!told.executed);
  BOOST_TEST((told.cache == journal::CacheOutcome::hit));
  BOOST_TEST((bench.ended.at(0).state == RunState::failed));
}

BOOST_AUTO_TEST_CASE(who_is_waited_for_is_told) {
  SchedulerBench bench;
  bench.submit(cached_flow("a"));
  const Attempt attempt = bench.look_ups.front();
  scheduler::LookedUp event;
  RunId other;
  other.bytes[3] = 9;
  event.waits.push_back(
      {{scheduler::RunIndex{attempt.run}, attempt.task, attempt.number}, other, bench.now});
  bench.handle(event);
  const journal::TaskChange told = last_change(bench, 0);
  BOOST_TEST((told.state == TaskState::queued));
  BOOST_TEST((told.detail->origin == other));
  BOOST_TEST(told.detail->message.starts_with("waits for run " + other.text()));
  bench.hit("a", "theirs");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
  // News about a look-up that was answered meanwhile change nothing.
  const std::size_t before = bench.journal.size();
  bench.handle(event);
  BOOST_TEST(bench.journal.size() == before);
}

BOOST_AUTO_TEST_SUITE_END()
