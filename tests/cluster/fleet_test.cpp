#include <boost/test/unit_test.hpp>

#include <map>
#include <set>

#include <rapidcheck.h>

#include "cluster/fleet.hpp"
#include "tests/support/flow_text.hpp"

BOOST_AUTO_TEST_SUITE(fleet_tests)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;
using scheduler::AttemptRef;
using scheduler::RunIndex;

namespace {

Attempt attempt(std::uint32_t number, std::uint32_t slots = 1) {
  static std::map<std::uint32_t, std::shared_ptr<const RunContext>> contexts;
  auto& shared = contexts[slots];
  if (!shared) {
    TaskKind kind;
    kind.resources.cpu_milli = 1000 * slots;
    auto context = std::make_shared<RunContext>();
    context->flow = test::flow("a", {{"a", kind}});
    shared = std::move(context);
  }
  Attempt made;
  made.context = shared;
  made.task = TaskId{0};
  made.node = NodeId{0};
  made.number = number;
  return made;
}

Attempt meant_for(WorkerId worker, std::uint32_t number) {
  Attempt made = attempt(number);
  made.worker = worker;
  return made;
}

AttemptRef ref(std::uint32_t number) {
  return {RunIndex{0}, TaskId{0}, number};
}

scheduler::Report success_of(std::uint32_t number) {
  scheduler::Report report{ref(number), {}};
  report.outcome.state = TaskState::success;
  return report;
}

/// A fleet with its clock, and what it wanted since the last step.
struct Bench {
  Fleet fleet{FleetOptions{1s, 3s, 10s}};
  Time now{std::chrono::hours{24}};
  FleetEffects wants;
  std::map<WorkerId, scheduler::WorkerOffer> known;  // to the scheduler
  std::vector<scheduler::WorkerOffer> offers;        // the same, in order

  void step() {
    fleet.check_invariants();
    wants = fleet.take_effects();
    if (!wants.workers) return;
    for (const scheduler::WorkerOffer& each : wants.workers->workers) known[each.id] = each;
    for (const WorkerId gone : wants.workers->gone) known.erase(gone);
    offers.clear();
    for (const auto& [id, offer] : known) offers.push_back(offer);
  }
  void join(WorkerId id, std::uint32_t slots) {
    fleet.joined(id, {"w" + std::to_string(id), slots}, now);
    step();
  }
  void dispatch(std::vector<Attempt> attempts) {
    fleet.dispatch(std::move(attempts));
    step();
  }
  void wait(Duration time) {
    now += time;
    fleet.tick(now);
    step();
  }
  std::vector<EndedAttempt> report(WorkerId id, std::uint32_t number) {
    auto counted = fleet.reported(id, {success_of(number)}, now);
    step();
    return counted;
  }
  /// Slots of those that take work, as the scheduler was told last.
  [[nodiscard]] std::uint32_t slots() const {
    std::uint32_t all = 0;
    for (const scheduler::WorkerOffer& each : offers) all += each.takes_work ? each.slots : 0;
    return all;
  }
  /// Worker and number of what is sent: "1:1 1:2 2:3".
  [[nodiscard]] std::string sent() const {
    std::string text;
    for (const auto& [id, attempts] : wants.dispatches)
      for (const Attempt& each : attempts)
        text += (text.empty() ? "" : " ") + std::to_string(id) + ":" + std::to_string(each.number);
    return text;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fleet, Bench)

BOOST_AUTO_TEST_CASE(attempts_wait_for_the_first_worker) {
  dispatch({attempt(1)});
  BOOST_TEST(sent().empty());
  join(1, 2);
  BOOST_TEST(sent() == "1:1");
  BOOST_TEST(slots() == 2u);
}

BOOST_AUTO_TEST_CASE(whoever_has_most_room_gets_the_next) {
  join(1, 1);
  join(2, 3);
  BOOST_TEST(slots() == 4u);
  dispatch({attempt(1), attempt(2), attempt(3), attempt(4)});
  BOOST_TEST(sent() == "1:2 2:1 2:3 2:4");
}

BOOST_AUTO_TEST_CASE(a_worker_whose_connection_broke_keeps_what_it_has_and_gets_nothing_new) {
  join(1, 2);
  dispatch({attempt(1)});
  fleet.connected(1, false);
  step();
  BOOST_TEST(slots() == 0u);
  dispatch({attempt(2)});
  BOOST_TEST(sent().empty());
  fleet.connected(1, true);
  step();
  BOOST_TEST(sent() == "1:2");
  BOOST_TEST(slots() == 2u);
}

BOOST_AUTO_TEST_CASE(a_wide_attempt_counts_for_the_slots_it_takes) {
  join(1, 4);
  join(2, 4);
  dispatch({attempt(1, 4), attempt(2), attempt(3)});
  BOOST_TEST(sent() == "1:1 2:2 2:3");
}

BOOST_AUTO_TEST_CASE(a_silent_worker_gets_nothing_new_and_is_given_up_after_a_while) {
  join(1, 1);
  join(2, 1);
  dispatch({attempt(1), attempt(2)});
  now += 2s;
  fleet.heard(2, now);
  wait(1s);
  BOOST_TEST(wants.pings.size() == 2u);
  BOOST_TEST((fleet.workers()[0].health == WorkerView::Health::suspect));
  BOOST_TEST(slots() == 1u);  // it is not counted on
  dispatch({attempt(3)});
  BOOST_TEST(sent() == "2:3");
  now += 6s;
  fleet.heard(2, now);
  wait(1s);
  BOOST_REQUIRE(wants.lost.size() == 1u);
  BOOST_REQUIRE(wants.ended.size() == 1u);
  BOOST_TEST((wants.ended[0].attempt.number == 1u));
  BOOST_TEST((wants.ended[0].outcome.failure == FailureClass::worker_lost));
  BOOST_TEST(slots() == 1u);
  BOOST_TEST(report(1, 1).empty());  // too late
}

BOOST_AUTO_TEST_CASE(a_suspect_that_speaks_again_keeps_its_work) {
  join(1, 1);
  dispatch({attempt(1)});
  wait(5s);
  BOOST_TEST((fleet.workers()[0].health == WorkerView::Health::suspect));
  fleet.heard(1, now);
  step();
  BOOST_TEST((fleet.workers()[0].health == WorkerView::Health::alive));
  wait(1s);
  BOOST_TEST(report(1, 1).size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_a_worker_refuses_goes_to_somebody_else) {
  join(1, 1);
  dispatch({attempt(1)});
  fleet.drain(1, true);
  step();
  join(2, 1);
  fleet.refused(1, {ref(1)});
  step();
  BOOST_TEST(sent() == "2:1");
  BOOST_REQUIRE(wants.drained.size() == 1u);
  BOOST_TEST(wants.drained[0] == 1u);
  BOOST_TEST(report(1, 1).empty());
  BOOST_TEST(report(2, 1).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_draining_worker_ends_what_it_has_and_gets_nothing_new) {
  join(1, 2);
  dispatch({attempt(1)});
  fleet.drain(1, true);
  step();
  BOOST_TEST(slots() == 0u);
  dispatch({attempt(2)});
  BOOST_TEST(sent().empty());
  BOOST_TEST(report(1, 1).size() == 1u);
  BOOST_TEST(wants.drained.size() == 1u);
  fleet.drain(1, false);
  step();
  BOOST_TEST(sent() == "1:2");
}

BOOST_AUTO_TEST_CASE(what_was_meant_for_one_goes_there_or_back) {
  join(1, 1);
  join(2, 4);
  dispatch({meant_for(1, 1), meant_for(1, 2)});
  BOOST_TEST(sent() == "1:1 1:2");  // the scheduler knows how much it can have
  BOOST_TEST(wants.returned.attempts.empty());
  fleet.connected(1, false);
  step();
  dispatch({meant_for(1, 3), meant_for(7, 4), meant_for(2, 5)});
  BOOST_TEST(sent() == "2:5");
  BOOST_REQUIRE(wants.returned.attempts.size() == 2u);
  BOOST_TEST((wants.returned.attempts[0].attempt == ref(3)));
  BOOST_TEST(!wants.returned.attempts[0].rejected);
  BOOST_TEST(fleet.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_rejection_goes_back_with_its_reason) {
  join(1, 1);
  dispatch({meant_for(1, 1), meant_for(1, 2)});
  fleet.refused(1, {ref(1)}, "its disk is full");
  step();
  BOOST_REQUIRE(wants.returned.attempts.size() == 1u);
  BOOST_TEST(wants.returned.attempts[0].rejected);
  BOOST_TEST(wants.returned.attempts[0].reason == "its disk is full");
  BOOST_TEST(report(1, 1).empty());
  // Asked for and given back is no rejection.
  fleet.retract({ref(1), ref(2)});
  step();
  BOOST_REQUIRE(wants.retracts.size() == 1u);
  BOOST_TEST((wants.retracts[0].second == std::vector<AttemptRef>{ref(2)}));
  fleet.refused(1, {ref(2)});
  step();
  BOOST_TEST(!wants.returned.attempts.at(0).rejected);
}

BOOST_AUTO_TEST_CASE(a_person_sets_a_worker_aside_by_name_and_it_stays) {
  join(1, 2);
  dispatch({meant_for(1, 1)});
  BOOST_TEST(fleet.set_aside("w1", true).value() == 1u);
  BOOST_TEST(!fleet.set_aside("w9", true));
  step();
  BOOST_TEST(slots() == 0u);
  BOOST_TEST((fleet.workers()[0].health == WorkerView::Health::draining));
  BOOST_TEST(report(1, 1).size() == 1u);
  BOOST_TEST(wants.drained.empty());
  BOOST_TEST(fleet.set_aside("w1", false).value() == 1u);
  step();
  BOOST_TEST(slots() == 2u);
}

BOOST_AUTO_TEST_CASE(the_scheduler_is_told_what_a_worker_has_and_what_changes_much) {
  WorkerCard card{"big", 2};
  card.capacity = {4000, 1 << 30, {{"gpus", 2}}};
  card.labels = {{"zone", "a"}};
  card.functions = {"b@1", "a@1"};
  fleet.joined(1, card, now);
  step();
  BOOST_REQUIRE(offers.size() == 1u);
  BOOST_TEST((offers[0].capacity == card.capacity));
  BOOST_TEST((offers[0].labels == card.labels));
  BOOST_TEST((offers[0].functions == std::vector<std::string>{"a@1", "b@1"}));
  fleet.measured(1, 1ms);
  step();
  BOOST_TEST((offers[0].round_trip == 1ms));
  fleet.measured(1, 1500us);
  step();
  BOOST_TEST(!wants.workers);
  fleet.measured(1, 5ms);
  step();
  BOOST_TEST((offers[0].round_trip == 5ms));
}

BOOST_AUTO_TEST_CASE(stopping_reaches_whoever_holds_it_or_ends_it_on_the_spot) {
  dispatch({attempt(1)});
  fleet.stop({ref(1)}, now);
  step();
  BOOST_REQUIRE(wants.ended.size() == 1u);
  BOOST_TEST((wants.ended[0].outcome.state == TaskState::cancelled));
  join(1, 1);
  BOOST_TEST(sent().empty());
  dispatch({attempt(2)});
  fleet.stop({ref(2), ref(7)}, now);
  step();
  BOOST_REQUIRE(wants.stops.size() == 1u);
  BOOST_TEST(wants.stops[0].second.size() == 1u);
}

BOOST_AUTO_TEST_CASE(whatever_happens_each_attempt_ends_once) {
  const bool holds = rc::check("each dispatched attempt has one end", [] {
    Bench bench;
    std::uint32_t last = 0;
    WorkerId last_worker = 0;
    std::set<std::uint32_t> open;
    const auto end = [&](const std::vector<EndedAttempt>& reports) {
      for (const auto& each : reports) RC_ASSERT(open.erase(each.attempt.number) == 1u);
    };
    const auto any_worker = [&] {
      return last_worker == 0 ? WorkerId{1} : *rc::gen::inRange<WorkerId>(1, last_worker + 1);
    };
    const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8));
    for (const int kind : steps) {
      switch (kind) {
        case 0:
          bench.join(++last_worker, *rc::gen::inRange(0u, 4u));
          break;
        case 1:
        case 2:
          open.insert(++last);
          bench.dispatch({attempt(last, *rc::gen::inRange(1u, 4u))});
          break;
        case 3: {
          const WorkerId id = any_worker();
          end(bench.report(id, *rc::gen::inRange(0u, last + 1)));
          break;
        }
        case 4:
          bench.fleet.left(any_worker(), "gone", bench.now);
          bench.step();
          break;
        case 5:
          bench.fleet.heard(any_worker(), bench.now);
          bench.wait(1s);
          break;
        case 6:
          bench.fleet.refused(any_worker(), {ref(*rc::gen::inRange(0u, last + 1))});
          bench.step();
          break;
        case 7:
          bench.fleet.drain(any_worker(), *rc::gen::arbitrary<bool>());
          bench.step();
          break;
      }
      end(bench.wants.ended);
    }
    // A good worker comes and stays: everything ends.
    const WorkerId last_one = ++last_worker;
    bench.join(last_one, 1);
    end(bench.wants.ended);
    for (int i = 0; i < 12; ++i) {
      bench.fleet.heard(last_one, bench.now);
      bench.wait(1s);
      end(bench.wants.ended);
    }
    for (WorkerId id = 1; id <= last_one; ++id)
      for (std::uint32_t number = 1; number <= last; ++number) end(bench.report(id, number));
    RC_ASSERT(open.empty());
  });
  BOOST_TEST(holds);
}

BOOST_AUTO_TEST_SUITE_END()

// ---- what a server before left at workers

namespace {

/// A server of epoch 2, with a run that goes on.
struct Restarted : Bench {
  std::shared_ptr<const RunContext> run = [] {
    auto made = std::make_shared<RunContext>();
    made->run = RunId::generate(Time{std::chrono::hours{1}});
    made->flow = test::flow("a; b");
    made->continued = true;
    return made;
  }();

  Restarted() {
    fleet = Fleet{FleetOptions{1s, 3s, 10s, 2s, 2}};
    fleet.expect_inventories(now);
  }
  [[nodiscard]] Attempt again(std::uint32_t number, std::uint32_t begun_before = 0) const {
    Attempt made;
    made.run = 7;  // numbered anew
    made.context = run;
    made.task = TaskId{1};
    made.node = NodeId{1};
    made.number = number;
    made.begun_before = begun_before;
    return made;
  }
  [[nodiscard]] static AttemptRef ours(std::uint32_t number) {
    return {RunIndex{7}, TaskId{1}, number};
  }
  [[nodiscard]] static AttemptRef theirs(std::uint32_t number, std::uint64_t epoch = 1) {
    return {RunIndex{0}, TaskId{1}, number, epoch};
  }
  [[nodiscard]] InventoryItem item(std::uint32_t number, std::uint64_t epoch = 1) const {
    return {theirs(number, epoch), run->run, NodeId{1}, -1, work_of(again(number))};
  }
  void come(WorkerId id, std::vector<InventoryItem> inventory) {
    fleet.joined(id, {"w" + std::to_string(id), 1}, now, std::move(inventory));
    step();
  }
  std::vector<EndedAttempt> report_theirs(WorkerId id, std::uint32_t number) {
    scheduler::Report report{theirs(number), {}};
    report.outcome.state = TaskState::success;
    auto counted = fleet.reported(id, {report}, now);
    step();
    return counted;
  }
  [[nodiscard]] std::vector<AttemptRef> stopped() const {
    return wants.stops.empty() ? std::vector<AttemptRef>{} : wants.stops[0].second;
  }
  [[nodiscard]] std::vector<AttemptRef> known() const {
    return wants.acknowledged.empty() ? std::vector<AttemptRef>{} : wants.acknowledged[0].second;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(adoption, Restarted)

BOOST_AUTO_TEST_CASE(what_a_worker_still_runs_is_not_run_again) {
  come(1, {item(1)});
  BOOST_TEST(stopped().empty());
  dispatch({again(1)});
  BOOST_TEST(sent().empty());
  BOOST_TEST(wants.adopted.attempts.empty());  // the number is the same
  BOOST_TEST(fleet.workers()[0].in_hand == 1u);
  const auto ended = report_theirs(1, 1);
  BOOST_REQUIRE(ended.size() == 1u);
  BOOST_TEST((ended[0].attempt.run == 7u));
  BOOST_TEST((ended[0].outcome.state == TaskState::success));
  BOOST_TEST(known().empty());
  fleet.recorded({ours(1)});
  step();
  BOOST_TEST((known() == std::vector{theirs(1)}));
}

BOOST_AUTO_TEST_CASE(an_attempt_that_is_known_to_have_begun_keeps_its_number) {
  come(1, {item(1)});
  fleet.began(1, {{{theirs(1), now}}});
  dispatch({again(2, 1)});
  BOOST_TEST(sent().empty());
  BOOST_REQUIRE(wants.adopted.attempts.size() == 1u);
  BOOST_TEST((wants.adopted.attempts[0].attempt == ours(2)));
  BOOST_TEST(wants.adopted.attempts[0].number == 1u);
  BOOST_REQUIRE(wants.began.starts.size() == 1u);
  BOOST_TEST((wants.began.starts[0].attempt == ours(1)));
  fleet.stop({ours(1)}, now);
  step();
  BOOST_TEST((stopped() == std::vector{theirs(1)}));
}

BOOST_AUTO_TEST_CASE(attempts_of_runs_that_go_on_wait_for_workers_to_come_back) {
  join(1, 1);
  dispatch({again(1), attempt(5)});
  BOOST_TEST(sent() == "1:5");  // a new run waits for nobody
  come(2, {item(1)});
  BOOST_TEST(sent().empty());
  BOOST_TEST(fleet.workers()[1].in_hand == 1u);
  wait(3s);
  BOOST_TEST(sent().empty());
}

BOOST_AUTO_TEST_CASE(they_do_not_wait_for_ever) {
  join(1, 1);
  dispatch({again(1)});
  wait(1s);
  BOOST_TEST(sent().empty());
  wait(1s);
  BOOST_TEST(sent() == "1:1");
  // Who comes too late ends what somebody else has now.
  come(2, {item(1)});
  BOOST_TEST((stopped() == std::vector{theirs(1)}));
}

BOOST_AUTO_TEST_CASE(nobody_waits_longer_than_until_all_workers_are_back) {
  fleet = Fleet{FleetOptions{1s, 3s, 10s, 2s, 2}};
  fleet.expect_inventories(now, std::set<std::string>{"w1", "w2"});
  join(1, 1);
  dispatch({again(1)});
  BOOST_TEST(sent().empty());
  join(3, 1);
  BOOST_TEST(sent().empty());
  BOOST_TEST((fleet.members() == std::set<std::string>{"w1", "w2", "w3"}));
  join(2, 2);
  BOOST_TEST(sent() == "2:1");
  fleet = Fleet{FleetOptions{1s, 3s, 10s, 2s, 2}};
  fleet.expect_inventories(now, std::set<std::string>{});
  join(1, 1);
  dispatch({again(1)});
  BOOST_TEST(sent() == "1:1");
}

BOOST_AUTO_TEST_CASE(what_nobody_asks_for_is_stopped_when_its_run_is_over) {
  come(1, {item(1)});
  BOOST_TEST(stopped().empty());
  fleet.run_over(run->run);
  step();
  BOOST_TEST((stopped() == std::vector{theirs(1)}));
}

BOOST_AUTO_TEST_CASE(what_ended_without_a_server_counts_when_it_is_asked_for) {
  come(1, {item(1)});
  BOOST_TEST(report_theirs(1, 1).empty());
  dispatch({again(1)});
  BOOST_TEST(sent().empty());
  BOOST_REQUIRE(wants.ended.size() == 1u);
  BOOST_TEST((wants.ended[0].outcome.state == TaskState::success));
  fleet.recorded({ours(1)});
  step();
  BOOST_TEST((known() == std::vector{theirs(1)}));
}

BOOST_AUTO_TEST_CASE(attempts_at_something_else_or_before_are_stopped) {
  InventoryItem other = item(2);
  other.work = sha256("other arguments");
  come(1, {other, item(1)});
  dispatch({again(2)});
  BOOST_TEST(stopped().size() == 2u);
  BOOST_TEST(sent().empty());  // it is held back for others
  wait(2s);
  BOOST_TEST(sent() == "1:2");
  BOOST_TEST(report_theirs(1, 1).empty());
  BOOST_TEST((known() == std::vector{theirs(1)}));
}

BOOST_AUTO_TEST_CASE(a_later_attempt_waits_for_the_earlier_one_to_be_told) {
  come(1, {item(1), item(2)});
  BOOST_TEST(report_theirs(1, 1).empty());
  dispatch({again(1)});
  BOOST_TEST(wants.ended.size() == 1u);
  dispatch({again(2)});
  BOOST_TEST(sent().empty());
  BOOST_TEST(fleet.workers()[0].in_hand == 1u);
}

BOOST_AUTO_TEST_CASE(what_was_given_up_in_this_epoch_is_not_listened_to) {
  come(1, {item(1, 2)});
  BOOST_TEST((stopped() == std::vector{theirs(1, 2)}));
  dispatch({again(1)});
  BOOST_TEST(report_theirs(1, 1).empty());
}

BOOST_AUTO_TEST_CASE(work_for_runs_that_do_not_go_on_is_stopped) {
  come(1, {item(1)});
  fleet.runs_go_on({});
  step();
  BOOST_TEST((stopped() == std::vector{theirs(1)}));
  come(2, {item(1)});
  BOOST_TEST((stopped() == std::vector{theirs(1)}));
}

BOOST_AUTO_TEST_CASE(a_worker_lost_again_loses_what_was_adopted) {
  come(1, {item(1)});
  dispatch({again(1)});
  fleet.left(1, "gone", now);
  step();
  BOOST_REQUIRE(wants.ended.size() == 1u);
  BOOST_TEST((wants.ended[0].outcome.failure == FailureClass::worker_lost));
  BOOST_TEST(report_theirs(1, 1).empty());
}

BOOST_AUTO_TEST_CASE(a_worker_with_old_work_is_not_free) {
  come(1, {item(1)});
  join(2, 1);
  dispatch({attempt(5)});
  BOOST_TEST(sent() == "2:5");
}

BOOST_AUTO_TEST_CASE(who_only_hands_over_what_it_has_gets_it_asked_for_and_goes) {
  come(1, {item(1)});
  BOOST_TEST(report_theirs(1, 1).empty());
  fleet.drain(1, true);
  step();
  BOOST_TEST(wants.drained.empty());
  BOOST_TEST(offers.at(0).kept == 1u);
  dispatch({again(1)});
  BOOST_TEST(wants.ended.size() == 1u);
  fleet.recorded({ours(1)});
  step();
  BOOST_TEST((known() == std::vector{theirs(1)}));
  BOOST_TEST(wants.drained.size() == 1u);
  BOOST_TEST(offers.at(0).kept == 0u);
}

BOOST_AUTO_TEST_CASE(what_comes_back_unbegun_is_handed_out_anew) {
  come(1, {item(1)});
  dispatch({again(1)});
  fleet.refused(1, {theirs(1)});
  step();
  BOOST_TEST(sent() == "1:1");
  BOOST_TEST(report_theirs(1, 1).empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
