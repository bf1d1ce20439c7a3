// Several runs, several workers: who goes when and where.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>

#include <rapidcheck.h>

#include "tests/support/flow_text.hpp"
#include "tests/support/scheduler_bench.hpp"

BOOST_AUTO_TEST_SUITE(Scheduler)

using namespace reprise;
using namespace reprise::test;
using namespace reprise::scheduler;
using namespace std::chrono_literals;

namespace {

WorkerOffer worker(WorkerId id, std::uint32_t slots,
                   std::map<std::string, std::uint64_t> custom = {}) {
  WorkerOffer offer;
  offer.id = id;
  offer.name = "w" + std::to_string(id);
  offer.slots = slots;
  offer.capacity = {slots * 1000, std::uint64_t{16} << 30, std::move(custom)};
  return offer;
}

TaskKind with(auto change) {
  TaskKind kind;
  change(kind);
  return kind;
}

TaskKind limited(std::string limit) {
  return with([&](TaskKind& kind) { kind.limits = {std::move(limit)}; });
}

Policy limits(LimitSizes sizes) {
  Policy policy;
  policy.limits = std::move(sizes);
  return policy;
}

AttemptRef ref_of(const Attempt& attempt) {
  return {RunIndex{attempt.run}, attempt.task, attempt.number};
}

/// Messages of the changes of one state.
std::vector<std::string> told(const SchedulerBench& bench, TaskState state) {
  std::vector<std::string> all;
  for (const journal::Batch& batch : bench.journal)
    for (const journal::TaskChange& change : batch.tasks)
      if (change.state == state) all.push_back(change.detail ? change.detail->message : "");
  return all;
}

Submit submit_of(std::uint32_t index, std::shared_ptr<const FlowSpec> flow, std::string ns = "",
                 std::int32_t priority = 0) {
  auto context = std::make_shared<RunContext>();
  context->flow = std::move(flow);
  Submit submit;
  submit.run = RunIndex{index};
  submit.context = std::move(context);
  submit.ns = std::move(ns);
  submit.priority = priority;
  return submit;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_limit_holds_across_runs_and_others_go_on) {
  SchedulerBench bench({worker(1, 8)}, limits({{"db", 2}}));
  const auto kinds = std::map<std::string, TaskKind>{{"a", limited("db")}, {"b", limited("db")}};
  bench.handle(submit_of(0, flow("a; b; c", kinds)));
  bench.handle(submit_of(1, flow("a; b; c", kinds)));
  BOOST_TEST(bench.sent_names() == "a b c c");
  BOOST_TEST(bench.scheduler().limits().taken_of("db") == 2u);
  bench.succeed("a");
  BOOST_TEST(bench.sent_names() == "a b c c");
}

BOOST_AUTO_TEST_CASE(why_a_task_waits_is_recorded_after_a_while_and_once) {
  SchedulerBench bench({worker(1, 8)}, limits({{"db", 1}}));
  bench.submit(flow("a; b", {{"a", limited("db")}, {"b", limited("db")}}));
  BOOST_TEST(told(bench, TaskState::queued).empty());
  bench.advance();
  BOOST_TEST(told(bench, TaskState::queued) ==
                 std::vector<std::string>{"concurrency_limit: the limit \"db\" allows 1 at once"},
             boost::test_tools::per_element());
  bench.handle(Tick{});
  BOOST_TEST(told(bench, TaskState::queued).size() == 1u);
  bench.succeed("a");
  bench.succeed("b");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_gpu_does_not_hold_up_who_needs_none) {
  SchedulerBench bench({worker(1, 4, {{"gpus", 1}})}, {});
  const auto gpu = with([](TaskKind& kind) { kind.resources.custom["gpus"] = 1; });
  bench.submit(flow("a; b; x; y", {{"a", gpu}, {"b", gpu}}));
  BOOST_TEST(bench.sent_names() == "a x y");
  bench.advance();
  BOOST_TEST(told(bench, TaskState::queued) ==
                 std::vector<std::string>{"resources: it needs gpus: 1; w1 has 0 of 1 free"},
             boost::test_tools::per_element());
  bench.succeed("a");
  BOOST_TEST(bench.sent_names() == "b x y");
}

BOOST_AUTO_TEST_CASE(a_task_that_can_never_run_in_this_process_fails_and_says_why) {
  WorkerOffer local = worker(0, 2);
  local.is_local = true;
  SchedulerBench bench({local}, {});
  bench.submit(
      flow("a -> b", {{"a", with([](TaskKind& kind) { kind.resources.custom["license"] = 1; })}}));
  BOOST_REQUIRE(bench.ended.size() == 1u);
  BOOST_TEST((bench.ended[0].state == RunState::failed));
  BOOST_TEST(told(bench, TaskState::failed).at(0).starts_with("it needs license: 1"));
}

BOOST_AUTO_TEST_CASE(a_task_whose_function_nobody_has_waits_until_somebody_comes) {
  SchedulerBench bench({worker(1, 2)}, {});
  bench.submit(
      flow("a", {{"a", with([](TaskKind& kind) { kind.body = FunctionBody{"bam.merge@3"}; })}}));
  BOOST_TEST(bench.sent.empty());
  bench.advance();
  BOOST_TEST(told(bench, TaskState::queued).at(0) ==
             "no_worker_for_task: it needs bam.merge@3; live workers offer no version of it");
  WorkerOffer able = worker(2, 1);
  able.functions = {"bam.merge@3"};
  bench.handle(WorkersChanged{{worker(1, 2), able}, {}});
  BOOST_REQUIRE(bench.sent.size() == 1u);
  BOOST_TEST(bench.sent[0].worker == 2u);
}

BOOST_AUTO_TEST_CASE(what_a_worker_rejects_goes_to_another_and_is_no_try) {
  SchedulerBench bench({worker(1, 2), worker(2, 1)}, {});
  bench.submit(flow("a"));
  BOOST_TEST(bench.sent.at(0).worker == 1u);
  const AttemptRef first = ref_of(bench.sent[0]);
  bench.sent.clear();
  bench.handle(Returned{{{first, "its disk is full", true}}});
  BOOST_TEST(bench.sent.at(0).worker == 2u);
  BOOST_TEST(bench.sent[0].number == 1u);
  bench.succeed("a");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(a_task_that_all_reject_pauses_between_and_fails_in_the_end) {
  SchedulerBench bench({worker(1, 1)}, {});
  bench.submit(flow("a"));
  int asked = 0;
  const Time begun = bench.now;
  while (bench.ended.empty()) {
    while (bench.sent.empty()) bench.advance();
    const AttemptRef attempt = ref_of(bench.sent[0]);
    bench.sent.clear();
    ++asked;
    bench.handle(Returned{{{attempt, "its disk is full", true}}});
  }
  BOOST_TEST(asked == 16);
  BOOST_TEST((bench.now - begun > 1min));
  BOOST_TEST(told(bench, TaskState::failed).at(0) ==
             "workers rejected it 16 times; the last reason: its disk is full");
}

BOOST_AUTO_TEST_CASE(an_attempt_that_comes_back_after_a_cancel_is_cancelled) {
  SchedulerBench bench({worker(1, 1)}, {});
  bench.submit(flow("a"));
  const AttemptRef attempt = ref_of(bench.sent.at(0));
  bench.cancel();
  bench.handle(Returned{{{attempt, "", false}}});
  BOOST_TEST((bench.ended.at(0).state == RunState::cancelled));
}

BOOST_AUTO_TEST_CASE(what_did_not_begin_is_asked_back_for_an_idle_worker) {
  SchedulerBench bench({worker(1, 1)}, {});
  // Tasks of no time, so that several are queued at the worker.
  for (std::uint32_t i = 1; i <= 100; ++i) {
    bench.handle(submit_of(i, flow("quick")));
    bench.succeed("quick");
  }
  bench.submit(flow("a -> b0; a -> b1; a -> b2; a -> b3; a -> b4; a -> b5"));
  bench.succeed("a");
  BOOST_TEST(bench.sent.size() == 6u);
  BOOST_TEST(bench.retracts.empty());
  bench.handle(WorkersChanged{{worker(1, 1), worker(2, 1)}, {}});
  BOOST_TEST(bench.retracts.size() == 3u);
  Returned back;
  for (const AttemptRef& each : bench.retracts) {
    back.attempts.push_back({each, "", false});
    std::erase_if(bench.sent, [&](const Attempt& a) { return ref_of(a) == each; });
  }
  bench.handle(std::move(back));
  BOOST_TEST(bench.sent.size() == 6u);
  BOOST_TEST(std::ranges::count(bench.sent, 2u, &Attempt::worker) > 0);
}

BOOST_AUTO_TEST_CASE(what_was_adopted_counts_where_it_runs) {
  SchedulerBench bench({worker(1, 1), worker(2, 1)}, {});
  bench.submit(flow("a; b"));
  const AttemptRef a = ref_of(bench.sent.at(0));
  const WorkerId chosen = bench.sent[0].worker, other = 3 - chosen;
  bench.handle(Returned{{{ref_of(bench.sent.at(1)), "", false}}});
  bench.sent.erase(bench.sent.begin() + 1, bench.sent.end() - 1);
  // The other one has both now, more than it has slots for.
  bench.handle(Adopted{{{a, a.number, other}}});
  for (const Placement::Load& load : bench.scheduler().placement().loads())
    BOOST_TEST(load.in_hand == (load.id == other ? 2u : 0u));
  bench.succeed("a");
  bench.succeed("b");
  BOOST_TEST((bench.ended.at(0).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(namespaces_share_and_priorities_count_within_one) {
  SchedulerBench bench({worker(1, 2)}, {});
  bench.handle(submit_of(0, flow("a0; a1; a2; a3"), "a", 10));
  bench.handle(submit_of(1, flow("b0; b1; b2; b3"), "b"));
  bench.handle(submit_of(2, flow("c0; c1"), "b", 1));
  std::string order;
  while (!bench.sent.empty()) {
    order += bench.name_of(bench.sent[0]) + " ";
    bench.report(0, success());
  }
  BOOST_TEST(order == "a0 a1 c0 a2 c1 a3 b0 b1 b2 b3 ");
}

BOOST_AUTO_TEST_CASE(usual_durations_order_what_the_flow_does_not_say) {
  SchedulerBench bench(1);
  Submit submit = submit_of(0, flow("a; b; c"));
  submit.usual_seconds = {1, 5, 0};  // of the third nothing is known: the others' mean, 3
  bench.handle(std::move(submit));
  std::string order;
  while (!bench.sent.empty()) {
    order += bench.name_of(bench.sent[0]);
    bench.report(0, success());
  }
  BOOST_TEST(order == "bca");
}

BOOST_AUTO_TEST_CASE(a_task_is_given_up_after_as_many_lost_workers_as_the_operator_says) {
  Policy policy;
  policy.lost_limit = 2;
  SchedulerBench bench({worker(1, 1)}, policy);
  bench.submit(flow("a"));
  bench.fail("a", FailureClass::worker_lost);
  BOOST_TEST(bench.ended.empty());
  bench.fail("a", FailureClass::worker_lost);
  BOOST_TEST((bench.ended.at(0).state == RunState::failed));
}

// Runs come, tasks end, are lost, come back; workers come and go: what is out is within limits and
// capacities after every event, and everything ends.
BOOST_AUTO_TEST_CASE(random_events_keep_every_promise_and_everything_ends) {
  BOOST_TEST(rc::check([] {
    SchedulerBench bench({worker(1, 2, {{"gpus", 1}}), worker(2, 3)},
                         limits({{"db", 2}, {"net", 1}}));
    std::map<std::string, TaskKind> kinds;
    for (const char* name : {"a", "b", "c", "d", "e"})
      kinds[name] = with([](TaskKind& kind) {
        if (*rc::gen::inRange(0, 2) == 0) kind.limits = {*rc::gen::element("db", "net")};
        if (*rc::gen::inRange(0, 3) == 0) kind.resources.custom["gpus"] = 1;
        kind.resources.cpu_milli = 1000 * *rc::gen::inRange(1u, 3u);
        kind.priority = *rc::gen::inRange(-2, 3);
      });
    const auto spec = flow("a -> d; b -> d; c -> e", kinds);
    std::uint32_t runs = 0;
    bool is_second_here = true;
    const int steps = *rc::gen::inRange(1, 80);
    for (int step = 0; step < steps; ++step) {
      const int what = *rc::gen::inRange(0, 10);
      if (what < 2 || bench.sent.empty()) {
        bench.handle(submit_of(runs++, spec, *rc::gen::element("", "x", "y")));
        continue;
      }
      const auto at = *rc::gen::inRange<std::size_t>(0, bench.sent.size());
      if (what < 6) {
        bench.report(at, success());
      } else if (what == 6) {
        bench.report(at, failure(FailureClass::worker_lost));
      } else if (what < 9) {
        Returned back{{{ref_of(bench.sent[at]), "no", what == 8}}};
        bench.sent.erase(bench.sent.begin() + static_cast<std::ptrdiff_t>(at));
        bench.handle(std::move(back));
      } else {
        is_second_here = !is_second_here;
        if (is_second_here)
          bench.handle(WorkersChanged{{worker(2, 3)}, {}});
        else
          bench.handle(WorkersChanged{{}, {2}});
      }
      RC_ASSERT(bench.scheduler().limits().taken_of("db") <= 2u);
      RC_ASSERT(bench.scheduler().limits().taken_of("net") <= 1u);
    }
    for (int left = 0; bench.ended.size() < runs; ++left) {
      RC_ASSERT(left < 100'000);
      if (bench.sent.empty())
        bench.advance();
      else
        bench.report(0, success());
    }
    RC_ASSERT(bench.scheduler().limits().taken_of("db") == 0u);
  }));
}

BOOST_AUTO_TEST_SUITE_END()
