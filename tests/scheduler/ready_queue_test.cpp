#include <boost/test/unit_test.hpp>

#include <map>
#include <string>

#include <rapidcheck.h>

#include "scheduler/limits.hpp"
#include "scheduler/ready_queue.hpp"

BOOST_AUTO_TEST_SUITE(ready_queue_tests)

using namespace reprise;
using namespace reprise::scheduler;

namespace {

Lane lane(std::string ns, std::int32_t priority = 0, std::uint32_t cpus = 1) {
  Lane made;
  made.ns = std::move(ns);
  made.priority = priority;
  made.need.resources.cpu_milli = cpus * 1000;
  return made;
}

ReadyTask task(std::uint32_t number) {
  return {RunIndex{0}, TaskId{number}};
}

/// Numbers in the order in which they come out, each with one second of a processor.
std::string drained(ReadyQueue& queue) {
  std::string order;
  while (const auto next = queue.next()) {
    order += (order.empty() ? "" : " ") + std::to_string(queue.top(*next).task.value);
    queue.pop(*next);
    queue.charge(*next, 1);
    queue.check_invariants();
  }
  return order;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ready_queue)

BOOST_AUTO_TEST_CASE(longest_way_first_then_first_come) {
  ReadyQueue queue;
  const LaneId narrow = queue.open(lane("")), wide = queue.open(lane("", 0, 2));
  queue.push(narrow, 1, task(1));
  queue.push(wide, 1, task(2));
  queue.push(narrow, 2, task(3));
  queue.push(narrow, 1, task(4));
  BOOST_TEST(drained(queue) == "3 1 2 4");
}

BOOST_AUTO_TEST_CASE(tasks_that_follow_each_other_come_out_one_by_one_as_they_came_in) {
  ReadyQueue queue;
  const LaneId own = queue.open(lane("")), other = queue.open(lane("", 0, 2));
  for (const std::uint32_t number : {1U, 2U, 3U}) queue.push(own, 1, task(number));
  queue.check_invariants();
  BOOST_TEST(queue.top(own).task.value == 1U);
  queue.pop(own);
  queue.push(own, 1, task(4));    // goes on where the others ended
  queue.push(other, 1, task(6));  // between two that are numbered in a row
  queue.push(own, 1, task(5));
  queue.push(own, 1, task(9));
  queue.push(own, 1, task(8));
  BOOST_TEST(queue.size() == 7U);
  BOOST_TEST(drained(queue) == "2 3 4 6 5 9 8");
}

BOOST_AUTO_TEST_CASE(priority_goes_before_the_longest_way) {
  ReadyQueue queue;
  const LaneId low = queue.open(lane("", -1)), usual = queue.open(lane("")),
               high = queue.open(lane("", 5));
  queue.push(low, 9, task(1));
  queue.push(usual, 5, task(2));
  queue.push(high, 1, task(3));
  BOOST_TEST(drained(queue) == "3 2 1");
}

BOOST_AUTO_TEST_CASE(a_lane_set_aside_is_passed_over_until_the_next_round) {
  ReadyQueue queue;
  const LaneId first = queue.open(lane("")), second = queue.open(lane("", 0, 2));
  queue.push(first, 2, task(1));
  queue.push(second, 1, task(2));
  queue.set_aside(first);
  BOOST_TEST(drained(queue) == "2");
  queue.begin_round();
  BOOST_TEST(drained(queue) == "1");
}

BOOST_AUTO_TEST_CASE(namespaces_take_turns_whatever_their_priorities) {
  ReadyQueue queue;
  const LaneId a = queue.open(lane("a", 9)), b = queue.open(lane("b"));
  for (std::uint32_t i = 0; i < 3; ++i) queue.push(a, 1, task(i));
  for (std::uint32_t i = 10; i < 13; ++i) queue.push(b, 1, task(i));
  BOOST_TEST(drained(queue) == "0 10 1 11 2 12");
}

BOOST_AUTO_TEST_CASE(who_had_nothing_to_run_has_not_saved_up) {
  ReadyQueue queue;
  const LaneId a = queue.open(lane("a")), b = queue.open(lane("b"));
  for (std::uint32_t i = 0; i < 100; ++i) queue.push(a, 1, task(i));
  for (int i = 0; i < 50; ++i) {
    queue.pop(a);
    queue.charge(a, 1);
  }
  for (std::uint32_t i = 200; i < 202; ++i) queue.push(b, 1, task(i));
  BOOST_TEST(drained(queue).starts_with("200 50 201 51"));
}

BOOST_AUTO_TEST_CASE(a_lane_is_the_same_for_who_asks_for_the_same_and_goes_when_nobody_does) {
  ReadyQueue queue;
  const LaneId one = queue.open(lane("a"));
  BOOST_TEST(queue.open(lane("a")) == one);
  for (std::uint32_t i = 1; i <= 5000; ++i) {
    const LaneId odd = queue.open(lane("a", 0, 1 + i));
    queue.close(odd);
    BOOST_TEST_REQUIRE(odd < 1100u);  // numbers are used again
  }
  queue.check_invariants();
  queue.push(one, 1, task(7));
  BOOST_TEST(drained(queue) == "7");
}

// While all have something to run, each namespace gets its share, to within one task.
BOOST_AUTO_TEST_CASE(shares_follow_the_weights) {
  BOOST_TEST(rc::check([] {
    std::map<std::string, double> weights;
    const int spaces = *rc::gen::inRange(1, 5);
    for (int i = 0; i < spaces; ++i)
      weights[std::string(1, static_cast<char>('a' + i))] = *rc::gen::inRange(1, 6);
    ReadyQueue queue(weights);
    std::map<std::string, LaneId> lanes;
    for (const auto& [name, weight] : weights) {
      lanes[name] = queue.open(lane(name, *rc::gen::inRange(-3, 4)));
      for (std::uint32_t i = 0; i < 600; ++i) queue.push(lanes[name], 1, task(i));
    }
    std::map<LaneId, int> got;
    double all = 0;
    for (const auto& [name, weight] : weights) all += weight;
    const int steps = *rc::gen::inRange(1, 500);
    for (int step = 0; step < steps; ++step) {
      const LaneId next = *queue.next();
      queue.pop(next);
      queue.charge(next, 1);
      ++got[next];
    }
    for (const auto& [name, weight] : weights) {
      const double share = steps * weight / all;
      RC_ASSERT(got[lanes[name]] > share - spaces - 1);
      RC_ASSERT(got[lanes[name]] < share + spaces + 1);
    }
    queue.check_invariants();
  }));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(limits)

BOOST_AUTO_TEST_CASE(a_full_limit_is_named) {
  Limits all(LimitSizes{{"db", 2}, {"net", 1}});
  all.take({"db", "net"});
  BOOST_TEST(*all.full({"db", "net"}) == "net");
  BOOST_TEST((all.full({"db"}) == nullptr));
  all.take({"db"});
  BOOST_TEST(*all.full({"db"}) == "db");
  all.release({"db", "net"});
  BOOST_TEST((all.full({"db", "net"}) == nullptr));
  all.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_limit_that_nobody_set_is_refused_with_the_way_out) {
  FlowSpec flow;
  TaskKind kind;
  kind.cache_name = "load";
  kind.limits = {"db"};
  flow.kinds = {kind};
  const Status refused = check_limits(flow, {});
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().message ==
             "task \"load\" counts against the limit \"db\", which nobody set; set it with "
             "--limit db=N or the setting limits");
  BOOST_TEST(check_limits(flow, {{"db", 1}}).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
