#include <boost/test/unit_test.hpp>

#include "cluster/node.hpp"
#include "tests/support/flow_text.hpp"

BOOST_AUTO_TEST_SUITE(NodeTest)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;
using scheduler::AttemptRef;
using scheduler::RunIndex;

namespace {

const Digest absent = sha256("what is not here");

AttemptRef ref(std::uint32_t number) {
  return {RunIndex{0}, TaskId{0}, number};
}

constexpr journal::Epoch first_epoch{1, 11, 11};
constexpr journal::Epoch second_epoch{2, 22, 11};

/// A node with its clock, and what it wanted since the last step.
struct Bench {
  cluster::Node node{NodeOptions{60s, 10s, 3, {}}};
  Bench() = default;
  explicit Bench(Resources capacity) : node(NodeOptions{60s, 10s, 3, std::move(capacity)}) {}
  Time now{std::chrono::hours{24}};
  NodeEffects wants;
  std::uint64_t epoch = 0;
  std::shared_ptr<const RunContext> context = [] {
    auto made = std::make_shared<RunContext>();
    made->run = RunId::generate(Time{std::chrono::hours{1}});
    TaskKind large;
    large.resources.memory_bytes = 3 << 20;
    large.resources.custom = {{"license", 1}};
    made->flow = test::flow("a; b", {{"b", large}});
    made->folder = "runs/1";
    return made;
  }();

  void step() {
    node.check_invariants();
    wants = node.take_effects();
  }
  /// With a server that knows epochs.
  Status link(const journal::Epoch& leader) {
    node.linked(true, now);
    const Status welcome = node.welcomed(leader, 10s, now);
    step();
    if (!welcome) return welcome;
    epoch = leader.number;
    node.run_began(0, context);
    return {};
  }
  /// With one that does not.
  void link_old() {
    node.linked(false, now);
    step();
    epoch = 0;
    node.run_began(0, context);
  }
  void unlink() {
    node.unlinked(now);
    step();
  }
  void wait(Duration time) {
    now += time;
    node.tick(now);
    step();
  }
  [[nodiscard]] Attempt attempt(std::uint32_t number) const {
    Attempt made;
    made.context = node.context_of(0);
    made.task = TaskId{0};
    made.node = NodeId{0};
    made.number = number;
    return made;
  }
  void dispatch(std::uint32_t number, std::set<Digest> missing = {}) {
    BOOST_TEST(node.dispatched(epoch, {attempt(number)}).has_value());
    for (Attempt& each : node.take_effects().gathers) node.gathered(std::move(each), missing);
    step();
    for (const Attempt& each : wants.starts)
      on_slots[each.number] = {RunIndex{each.run}, each.task, each.number};
  }
  void stop(const AttemptRef& attempt) {
    BOOST_TEST(node.stop(epoch, {attempt}, now).has_value());
    step();
  }
  void report(std::uint32_t number, TaskState state = TaskState::success, bool executed = true) {
    scheduler::Report report{on_slots.at(number), {}};
    report.outcome.state = state;
    report.outcome.executed = executed;
    node.reported({report});
    step();
  }
  void arrive(const Status& status = {}) {
    node.arrived(absent, status, now);
    auto effects = node.take_effects();
    for (Attempt& each : std::exchange(effects.gathers, {})) node.gathered(std::move(each), {});
    step();
    for (scheduler::Report& each : effects.reports) wants.reports.push_back(std::move(each));
  }
  [[nodiscard]] std::string started() const {
    std::string text;
    for (const Attempt& each : wants.starts)
      text += (text.empty() ? "" : " ") + std::to_string(each.number);
    return text;
  }
  /// Number, epoch where it is another one, and state of what is reported: "1:success".
  [[nodiscard]] std::string reported() const {
    std::string text;
    for (const scheduler::Report& each : wants.reports)
      text += (text.empty() ? "" : " ") + std::to_string(each.attempt.number) +
              (each.attempt.epoch > 0 ? "@" + std::to_string(each.attempt.epoch) : "") + ":" +
              std::string(name(each.outcome.state));
    return text;
  }
  /// Number and epoch of what is presented: "1@1".
  [[nodiscard]] std::string presented() const {
    std::string text = wants.hello ? "" : "nothing";
    if (wants.hello)
      for (const InventoryItem& each : wants.hello->inventory)
        text += (text.empty() ? "" : " ") + std::to_string(each.attempt.number) + "@" +
                std::to_string(each.attempt.epoch);
    return text;
  }
  std::map<std::uint32_t, AttemptRef> on_slots;  // by number
};

}  // namespace

BOOST_AUTO_TEST_CASE(an_attempt_goes_to_the_slots_and_its_end_to_the_scheduler) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  BOOST_TEST(bench.presented() == "");
  bench.dispatch(1);
  BOOST_TEST(bench.started() == "1");
  AttemptRef unknown = bench.on_slots.at(1);
  unknown.number = 2;
  bench.node.began({{{bench.on_slots.at(1), bench.now}, {unknown, bench.now}}});
  bench.step();
  BOOST_TEST(bench.wants.began.starts.size() == 1U);
  bench.report(1);
  BOOST_TEST(bench.reported() == "1:success");
  bench.report(1);
  BOOST_TEST(bench.reported().empty());
}

BOOST_AUTO_TEST_CASE(an_attempt_starts_when_all_that_it_needs_is_here) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1, {absent});
  BOOST_TEST(bench.started().empty());
  bench.arrive();
  BOOST_TEST(bench.started() == "1");
}

BOOST_AUTO_TEST_CASE(an_attempt_whose_inputs_cannot_be_had_fails) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1, {absent});
  bench.arrive(fail(ErrorCode::not_found, "gone"));
  BOOST_TEST(bench.started().empty());
  BOOST_TEST(bench.reported() == "1:failed");
  BOOST_TEST(bench.node.in_hand() == 0U);
}

BOOST_AUTO_TEST_CASE(what_waits_for_its_inputs_is_stopped_here_and_what_runs_on_its_slot) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1, {absent});
  bench.dispatch(2);
  bench.stop(ref(1));
  BOOST_TEST(bench.reported() == "1:cancelled");
  BOOST_TEST(bench.wants.stops.empty());
  bench.arrive();
  BOOST_TEST(bench.started().empty());
  bench.stop(ref(2));
  BOOST_TEST(bench.reported().empty());
  BOOST_TEST((bench.wants.stops == std::vector{bench.on_slots.at(2)}));
}

BOOST_AUTO_TEST_CASE(what_runs_outlives_its_server_and_is_presented_to_the_next) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1);
  bench.dispatch(2, {absent});
  bench.dispatch(3);
  bench.unlink();
  BOOST_TEST(bench.wants.stops.empty());
  bench.report(3);
  BOOST_TEST(bench.reported().empty());
  BOOST_REQUIRE(bench.link(second_epoch));
  BOOST_TEST(bench.presented() == "1@1 3@1");
  BOOST_TEST(bench.wants.hello->epoch == 2U);
  BOOST_TEST(bench.reported() == "3@1:success");
  bench.report(1);
  BOOST_TEST(bench.reported() == "1@1:success");
}

BOOST_AUTO_TEST_CASE(equal_numbers_of_two_servers_are_two_attempts) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1);
  const AttemptRef first = bench.on_slots.at(1);
  bench.unlink();
  BOOST_REQUIRE(bench.link(second_epoch));
  bench.dispatch(1);
  BOOST_TEST((bench.on_slots.at(1) != first));
  bench.report(1);
  BOOST_TEST(bench.reported() == "1:success");
  bench.stop({RunIndex{0}, TaskId{0}, 1, 1});
  BOOST_TEST((bench.wants.stops == std::vector{first}));
  bench.on_slots[1] = first;
  bench.report(1, TaskState::cancelled);
  BOOST_TEST(bench.reported() == "1@1:cancelled");
}

BOOST_AUTO_TEST_CASE(an_end_is_kept_until_it_is_acknowledged_and_not_too_many) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  for (std::uint32_t number = 1; number <= 5; ++number) {
    bench.dispatch(number);
    bench.report(number);
  }
  BOOST_TEST(bench.node.unacknowledged() == 3U);
  bench.node.acknowledged({ref(4)});
  bench.unlink();
  BOOST_REQUIRE(bench.link(second_epoch));
  BOOST_TEST(bench.presented() == "3@1 5@1");
  bench.node.acknowledged({{RunIndex{0}, TaskId{0}, 3, 1}, {RunIndex{0}, TaskId{0}, 5, 1}});
  BOOST_TEST(bench.node.unacknowledged() == 0U);
}

BOOST_AUTO_TEST_CASE(a_superseded_server_and_a_twin_are_refused) {
  Bench bench;
  BOOST_REQUIRE(bench.link(second_epoch));
  bench.dispatch(1);
  bench.unlink();
  const Status older = bench.link(first_epoch);
  BOOST_REQUIRE(!older);
  BOOST_TEST((older.error().code == ErrorCode::denied));
  bench.unlink();
  BOOST_TEST(!bench.link({2, 33, 11}));
  bench.unlink();
  BOOST_REQUIRE(bench.link(second_epoch));
  BOOST_TEST(bench.presented() == "1@2");
  BOOST_TEST(!bench.node.dispatched(1, {bench.attempt(2)}));
  BOOST_TEST(!bench.node.stop(1, {ref(1)}, bench.now));
}

BOOST_AUTO_TEST_CASE(a_server_with_another_journal_gets_nothing_of_what_was) {
  Bench bench;
  BOOST_REQUIRE(bench.link(second_epoch));
  bench.dispatch(1);
  const AttemptRef first = bench.on_slots.at(1);
  bench.unlink();
  BOOST_REQUIRE(bench.link({2, 77, 77}));
  BOOST_TEST(bench.presented() == "");
  BOOST_TEST((bench.wants.stops == std::vector{first}));
  bench.dispatch(1);
  BOOST_TEST((bench.on_slots.at(1) != first));
}

BOOST_AUTO_TEST_CASE(questions_and_refreshes_do_not_outlive_their_server) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch((3U << 30) + 1);
  bench.unlink();
  BOOST_TEST(bench.wants.stops.size() == 1U);
  BOOST_REQUIRE(bench.link(second_epoch));
  BOOST_TEST(bench.presented() == "");
}

BOOST_AUTO_TEST_CASE(who_hears_nothing_starts_nothing_and_ends_everything_at_last) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1);
  bench.dispatch(2);
  bench.dispatch(3, {absent});
  bench.wait(9s);
  BOOST_TEST(!bench.wants.withdraw);
  bench.wait(1s);
  BOOST_TEST(bench.wants.withdraw);
  BOOST_TEST((bench.wants.refused == std::vector{ref(3)}));
  BOOST_TEST(bench.wants.stops.empty());
  bench.report(2, TaskState::cancelled, false);  // it had not begun
  BOOST_TEST((bench.wants.refused == std::vector{ref(2)}));
  BOOST_TEST(bench.reported().empty());
  bench.unlink();
  bench.wait(49s);
  BOOST_TEST(bench.wants.stops.empty());
  bench.wait(1s);
  BOOST_TEST((bench.wants.stops == std::vector{bench.on_slots.at(1)}));
  BOOST_TEST(bench.wants.abandoned == 1U);
  bench.report(1, TaskState::cancelled);
  BOOST_REQUIRE(bench.link(second_epoch));
  BOOST_TEST(bench.presented() == "");
  BOOST_TEST(bench.reported().empty());
}

BOOST_AUTO_TEST_CASE(a_scheduler_that_stood_still_on_its_link_hears_what_was_ended_meanwhile) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1);
  bench.wait(61s);
  BOOST_TEST(bench.wants.abandoned == 1U);
  bench.report(1, TaskState::cancelled);
  BOOST_REQUIRE(bench.wants.reports.size() == 1U);
  BOOST_TEST((bench.wants.reports[0].outcome.state == TaskState::failed));
  BOOST_TEST((bench.wants.reports[0].outcome.failure == FailureClass::worker_lost));
  BOOST_TEST(bench.node.unacknowledged() == 0U);  // to another server it is no news
}

BOOST_AUTO_TEST_CASE(an_older_server_finds_empty_hands) {
  Bench bench;
  bench.link_old();
  BOOST_TEST(bench.presented() == "");
  bench.dispatch(1);
  bench.dispatch(2, {absent});
  bench.unlink();
  BOOST_TEST((bench.wants.stops == std::vector{bench.on_slots.at(1)}));
  bench.link_old();
  BOOST_TEST(bench.presented() == "nothing");
  bench.report(1);
  BOOST_TEST(bench.reported().empty());
  BOOST_TEST(bench.presented() == "");
}

BOOST_AUTO_TEST_CASE(who_leaves_takes_nothing_and_goes_when_the_link_is_over) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1);
  bench.node.leave();
  bench.step();
  BOOST_TEST(bench.wants.draining);
  BOOST_TEST(bench.node.dispatched(1, {bench.attempt(2)}).has_value());
  bench.step();
  BOOST_TEST((bench.wants.refused == std::vector{ref(2)}));
  bench.report(1);
  BOOST_TEST(!bench.wants.left);
  bench.node.acknowledged({ref(1)});
  bench.unlink();
  BOOST_TEST(bench.wants.left);
}

BOOST_AUTO_TEST_CASE(who_leaves_hands_over_what_ended_while_there_was_no_server) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1);
  bench.unlink();
  bench.node.leave();
  bench.report(1);
  BOOST_TEST(!bench.wants.left);
  BOOST_REQUIRE(bench.link(second_epoch));
  BOOST_TEST(bench.presented() == "1@1");
  BOOST_TEST(bench.wants.draining);
  bench.node.acknowledged({{RunIndex{0}, TaskId{0}, 1, 1}});
  bench.unlink();
  BOOST_TEST(bench.wants.left);
}

BOOST_AUTO_TEST_CASE(more_than_it_has_is_not_taken_whatever_the_scheduler_thinks) {
  Bench bench({4000, 4 << 20, {{"license", 2}}});
  BOOST_REQUIRE(bench.link(first_epoch));
  const auto large = [&](std::uint32_t number) {
    Attempt made = bench.attempt(number);
    made.task = TaskId{1};
    made.node = NodeId{1};
    return made;
  };
  const auto send = [&](std::uint32_t number, std::set<Digest> missing = {}) {
    BOOST_TEST(bench.node.dispatched(bench.epoch, {large(number)}).has_value());
    auto effects = bench.node.take_effects();
    for (Attempt& each : effects.gathers) bench.node.gathered(std::move(each), missing);
    bench.step();
    for (const Attempt& each : bench.wants.starts)
      bench.on_slots[each.number] = {RunIndex{each.run}, each.task, each.number};
    for (auto& each : effects.rejected) bench.wants.rejected.push_back(std::move(each));
  };
  send(1);
  BOOST_TEST(bench.started() == "1");
  send(2);
  BOOST_REQUIRE(bench.wants.rejected.size() == 1U);
  BOOST_TEST(bench.wants.rejected[0].second == "not so much memory is free");
  bench.dispatch(3);  // needs none of it
  BOOST_TEST(bench.started() == "3");
  bench.report(1);
  // What waits for its inputs has its share already.
  send(4, {absent});
  send(5);
  BOOST_TEST(bench.wants.rejected.size() == 1U);
  bench.stop({RunIndex{0}, TaskId{1}, 4});
  send(6);
  BOOST_TEST(bench.started() == "6");
}

BOOST_AUTO_TEST_CASE(what_did_not_begin_is_given_back_and_what_runs_stays) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  bench.dispatch(1, {absent});
  bench.dispatch(2);
  bench.dispatch(3);
  BOOST_TEST(bench.node.retract(bench.epoch, {ref(1), ref(2), ref(3), ref(4)}).has_value());
  bench.step();
  BOOST_TEST((bench.wants.retracted == std::vector{ref(1)}));
  BOOST_TEST((bench.wants.retracts == std::vector{bench.on_slots.at(2), bench.on_slots.at(3)}));
  BOOST_TEST(!bench.node.retract(bench.epoch + 1, {ref(2)}));
  bench.node.retracted({bench.on_slots.at(3)});
  bench.step();
  BOOST_TEST((bench.wants.retracted == std::vector{ref(3)}));
  BOOST_TEST(bench.node.in_hand() == 1U);
  bench.report(2);
  BOOST_TEST(bench.reported() == "2:success");
}

// A cancellation that was not recorded came back as the end of an attempt, and failed the run.
BOOST_AUTO_TEST_CASE(what_a_server_before_had_cancelled_is_no_end_for_the_next) {
  Bench bench;
  BOOST_TEST(bench.link(first_epoch).has_value());
  bench.dispatch(1);
  bench.dispatch(2);
  bench.stop(ref(1));
  bench.stop(ref(2));
  bench.report(1, TaskState::cancelled);
  BOOST_TEST(bench.reported() == "1:cancelled");
  bench.unlink();
  BOOST_TEST(bench.link(second_epoch).has_value());
  BOOST_TEST(bench.wants.hello->inventory.empty());
  BOOST_TEST(bench.reported() == "");
  bench.report(2, TaskState::cancelled);
  BOOST_TEST(bench.reported() == "");
}

BOOST_AUTO_TEST_CASE(what_ended_well_although_it_was_to_be_cancelled_is_an_end) {
  Bench bench;
  BOOST_TEST(bench.link(first_epoch).has_value());
  bench.dispatch(1);
  bench.stop(ref(1));
  bench.report(1);
  bench.unlink();
  BOOST_TEST(bench.link(second_epoch).has_value());
  BOOST_TEST(bench.wants.hello->inventory.size() == 1U);
}

// Each run that ended while a link was down was remembered for as long as the server lived.
BOOST_AUTO_TEST_CASE(a_run_that_the_server_does_not_tell_of_again_is_forgotten) {
  Bench bench;
  BOOST_TEST(bench.link(first_epoch).has_value());
  BOOST_TEST(bench.node.folders_in_use().size() == 1U);
  bench.unlink();
  bench.node.linked(true, bench.now);
  BOOST_TEST(bench.node.welcomed(first_epoch, 10s, bench.now).has_value());
  bench.step();
  BOOST_TEST(bench.node.folders_in_use().empty());
}

BOOST_AUTO_TEST_CASE(folders_of_runs_that_are_over_are_not_in_use) {
  Bench bench;
  BOOST_REQUIRE(bench.link(first_epoch));
  BOOST_TEST((bench.node.folders_in_use() == std::set<std::string>{"runs/1"}));
  bench.dispatch(1);
  bench.node.run_over(0);
  BOOST_TEST((bench.node.folders_in_use() == std::set<std::string>{"runs/1"}));
  bench.report(1);
  BOOST_TEST(bench.node.folders_in_use().empty());
}

BOOST_AUTO_TEST_SUITE_END()
