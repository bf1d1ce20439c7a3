#include <boost/test/unit_test.hpp>

#include "cluster/node.hpp"
#include "tests/support/flow_text.hpp"

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

/// A node with its clock, and what it wanted since the last step.
struct Bench {
  cluster::Node node;
  Time now{std::chrono::hours{24}};
  NodeEffects wants;
  std::shared_ptr<const RunContext> context = [] {
    auto made = std::make_shared<RunContext>();
    made->flow = test::flow("a");
    made->folder = "runs/1";
    return made;
  }();

  void step() {
    node.check_invariants();
    wants = node.take_effects();
  }
  void link() {
    node.linked();
    step();
    node.run_began(0, context);
  }
  void unlink() {
    node.unlinked(now);
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
    node.dispatched({attempt(number)});
    for (Attempt& each : node.take_effects().gathers) node.gathered(std::move(each), missing);
    step();
  }
  void stop(std::uint32_t number) {
    node.stop({ref(number)}, now);
    step();
  }
  void report(std::uint32_t number) {
    scheduler::Report report{ref(number), {}};
    report.outcome.state = TaskState::success;
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
  /// Number and state of what is reported: "1:success".
  [[nodiscard]] std::string reported() const {
    std::string text;
    for (const scheduler::Report& each : wants.reports)
      text += (text.empty() ? "" : " ") + std::to_string(each.attempt.number) + ":" +
              std::string(name(each.outcome.state));
    return text;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(NodeTest)

BOOST_AUTO_TEST_CASE(an_attempt_goes_to_the_slots_and_its_end_to_the_scheduler) {
  Bench bench;
  bench.link();
  BOOST_TEST(bench.wants.hello);
  bench.dispatch(1);
  BOOST_TEST(bench.started() == "1");
  bench.node.began({{{ref(1), bench.now}, {ref(2), bench.now}}});
  bench.step();
  BOOST_TEST(bench.wants.began.starts.size() == 1U);
  bench.report(1);
  BOOST_TEST(bench.reported() == "1:success");
  bench.report(1);
  BOOST_TEST(bench.reported().empty());
}

BOOST_AUTO_TEST_CASE(an_attempt_starts_when_all_that_it_needs_is_here) {
  Bench bench;
  bench.link();
  bench.dispatch(1, {absent});
  BOOST_TEST(bench.started().empty());
  bench.arrive();
  BOOST_TEST(bench.started() == "1");
}

BOOST_AUTO_TEST_CASE(an_attempt_whose_inputs_cannot_be_had_fails) {
  Bench bench;
  bench.link();
  bench.dispatch(1, {absent});
  bench.arrive(fail(ErrorCode::not_found, "gone"));
  BOOST_TEST(bench.started().empty());
  BOOST_TEST(bench.reported() == "1:failed");
  BOOST_TEST(bench.node.in_hand() == 0U);
}

BOOST_AUTO_TEST_CASE(what_waits_for_its_inputs_is_stopped_here_and_what_runs_on_its_slot) {
  Bench bench;
  bench.link();
  bench.dispatch(1, {absent});
  bench.dispatch(2);
  bench.stop(1);
  BOOST_TEST(bench.reported() == "1:cancelled");
  BOOST_TEST(bench.wants.stops.empty());
  bench.arrive();
  BOOST_TEST(bench.started().empty());
  bench.stop(2);
  BOOST_TEST(bench.reported().empty());
  BOOST_TEST((bench.wants.stops == std::vector{ref(2)}));
}

BOOST_AUTO_TEST_CASE(without_a_link_everything_is_stopped_and_only_empty_hands_join_again) {
  Bench bench;
  bench.link();
  bench.dispatch(1);
  bench.dispatch(2, {absent});
  bench.unlink();
  BOOST_TEST((bench.wants.stops == std::vector{ref(1)}));
  bench.link();
  BOOST_TEST(!bench.wants.hello);
  bench.report(1);
  BOOST_TEST(bench.reported().empty());
  BOOST_TEST(bench.wants.hello);
}

BOOST_AUTO_TEST_CASE(who_leaves_takes_nothing_and_goes_when_the_link_is_over) {
  Bench bench;
  bench.link();
  bench.dispatch(1);
  bench.node.leave();
  bench.step();
  BOOST_TEST(bench.wants.draining);
  bench.node.dispatched({bench.attempt(2)});
  bench.step();
  BOOST_TEST((bench.wants.refused == std::vector{ref(2)}));
  bench.report(1);
  BOOST_TEST(!bench.wants.left);
  bench.unlink();
  BOOST_TEST(bench.wants.left);
}

BOOST_AUTO_TEST_CASE(folders_of_runs_that_are_over_are_not_in_use) {
  Bench bench;
  bench.link();
  BOOST_TEST((bench.node.folders_in_use() == std::set<std::string>{"runs/1"}));
  bench.node.run_over(0);
  BOOST_TEST(bench.node.folders_in_use().empty());
}

BOOST_AUTO_TEST_SUITE_END()
