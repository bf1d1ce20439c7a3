#include <boost/test/unit_test.hpp>

#include <rapidcheck.h>

#include "scheduler/placement.hpp"

BOOST_AUTO_TEST_SUITE(placement)

using namespace reprise;
using namespace reprise::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

WorkerOffer worker(WorkerId id, std::uint32_t slots, std::uint64_t memory = 16 * gib,
                   std::map<std::string, std::uint64_t> custom = {}) {
  WorkerOffer offer;
  offer.id = id;
  offer.name = "w" + std::to_string(id);
  offer.slots = slots;
  offer.capacity = {slots * 1000, memory, std::move(custom)};
  offer.functions = {"bam.merge@2", "count@1"};
  return offer;
}

Need need(std::uint32_t cpus = 1, std::uint64_t memory = 0,
          std::map<std::string, std::uint64_t> custom = {}) {
  return {{cpus * 1000, memory, std::move(custom)}, {}, {}};
}

std::optional<WorkerId> give(Placement& placement, const Need& what, double mean_seconds = 1) {
  const auto chosen = placement.choose(what, mean_seconds);
  if (chosen) placement.take(*chosen, what);
  placement.check_invariants();
  return chosen;
}

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_is_given_away_twice) {
  Placement placement;
  placement.set({worker(1, 4, 8 * gib, {{"gpus", 2}})});
  const Need large = need(1, 5 * gib);
  const Need gpu = need(1, 0, {{"gpus", 1}});
  BOOST_TEST(give(placement, large).value() == 1u);
  BOOST_TEST(!give(placement, large));
  BOOST_TEST(give(placement, gpu).value() == 1u);
  BOOST_TEST(give(placement, gpu).value() == 1u);
  BOOST_TEST(!give(placement, gpu));
  BOOST_TEST(give(placement, need()).value() == 1u);
  BOOST_TEST(!give(placement, need()));  // four slots
  placement.release(1, gpu);
  BOOST_TEST(give(placement, gpu).value() == 1u);
}

BOOST_AUTO_TEST_CASE(questions_go_where_all_functions_are_that_may_be_asked) {
  TaskKind kind;
  kind.body = FunctionBody{"body@1"};
  kind.hooks = {Hook{{}, FunctionBody{"hook@1"}}};
  kind.trigger.function = "trigger@1";
  kind.cache.key_function = "key@1";
  kind.cache.validator_function = "validator@1";
  const std::vector<std::string> all{"hook@1", "key@1", "trigger@1", "validator@1"};
  BOOST_TEST(need_of_questions(kind).functions == all, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(plain_tasks_leave_gpus_to_others_and_go_where_most_room_is) {
  Placement placement;
  placement.set({worker(1, 2, 16 * gib, {{"gpus", 2}}), worker(2, 1), worker(3, 3)});
  BOOST_TEST(give(placement, need()).value() == 3u);
  BOOST_TEST(give(placement, need()).value() == 2u);
  BOOST_TEST(give(placement, need()).value() == 3u);
  BOOST_TEST(give(placement, need()).value() == 3u);
  BOOST_TEST(give(placement, need()).value() == 1u);
}

BOOST_AUTO_TEST_CASE(what_needs_more_goes_where_least_is_left) {
  Placement placement;
  placement.set({worker(1, 8, 64 * gib), worker(2, 4, 8 * gib)});
  BOOST_TEST(give(placement, need(4, 6 * gib)).value() == 2u);
  BOOST_TEST(give(placement, need(4, 6 * gib)).value() == 1u);
}

BOOST_AUTO_TEST_CASE(of_those_with_room_the_one_that_has_the_inputs_is_chosen) {
  Placement placement;
  placement.set({worker(1, 2), worker(2, 2)});
  const Payload large = Payload::of(std::string(1u << 20, 'x'));
  Attempt attempt;
  attempt.arguments.push_back({"a", large});
  placement.has_bytes(2, large);
  BOOST_TEST(placement.choose(need(), 1, {}, &attempt).value() == 2u);
  placement.take(2, need());
  placement.take(2, need());
  BOOST_TEST(placement.choose(need(), 1, {}, &attempt).value() == 1u);
}

BOOST_AUTO_TEST_CASE(short_tasks_are_queued_at_workers_and_long_ones_are_not) {
  Placement placement;
  placement.set({worker(1, 1)});
  BOOST_TEST(give(placement, need(), 1).value() == 1u);
  BOOST_TEST(!give(placement, need(), 1));
  for (int i = 0; i < 3; ++i) BOOST_TEST(give(placement, need(), 100e-6).value() == 1u);
  BOOST_TEST(!give(placement, need(), 100e-6));
  // What is far away is sent more.
  WorkerOffer far = worker(1, 1);
  far.round_trip = 10ms;
  placement.set({far});
  BOOST_TEST(give(placement, need(), 100e-6).value() == 1u);
}

BOOST_AUTO_TEST_CASE(nothing_is_queued_behind_what_needs_more_than_a_slot) {
  Placement placement;
  placement.set({worker(1, 1, 16 * gib, {{"gpus", 1}})});
  BOOST_TEST(give(placement, need(1, 0, {{"gpus", 1}})).value() == 1u);
  BOOST_TEST(!give(placement, need(), 1e-6));
}

BOOST_AUTO_TEST_CASE(what_waits_for_more_than_a_slot_is_not_passed_over_for_ever) {
  Placement placement;
  placement.set({worker(1, 2), worker(2, 2)});
  placement.take(1, need());
  placement.take(2, need());
  placement.begin_round();
  const Need wide = need(2);
  BOOST_TEST(!placement.choose(wide, 1));
  placement.reserve(wide);
  // The other worker still takes small ones; the reserved one waits for its second slot.
  BOOST_TEST(give(placement, need()).value() == 2u);
  BOOST_TEST(!give(placement, need()));
  placement.begin_round();
  placement.release(1, need());
  BOOST_TEST(give(placement, wide).value() == 1u);
}

BOOST_AUTO_TEST_CASE(a_reservation_of_gpus_holds_back_nobody_who_needs_none) {
  Placement placement;
  placement.set({worker(1, 4, 16 * gib, {{"gpus", 1}})});
  const Need gpu = need(1, 0, {{"gpus", 1}});
  placement.take(1, gpu);
  placement.begin_round();
  BOOST_TEST(!placement.choose(gpu, 1));
  placement.reserve(gpu);
  BOOST_TEST(give(placement, need()).value() == 1u);
}

BOOST_AUTO_TEST_CASE(only_who_has_the_function_and_the_labels_is_chosen) {
  Placement placement;
  WorkerOffer other = worker(2, 1);
  other.functions = {"bam.merge@3"};
  other.labels = {{"zone", "b"}};
  placement.set({worker(1, 1), other});
  Need what = need();
  what.functions = {"bam.merge@3"};
  BOOST_TEST(placement.choose(what, 1).value() == 2u);
  what.labels = {{"zone", "a"}};
  BOOST_TEST(!placement.choose(what, 1));
  const Obstacle obstacle = placement.obstacle(what);
  BOOST_TEST((obstacle.reason == WaitingReason::no_worker_for_task));
  BOOST_TEST(obstacle.text ==
             "it requires zone=a and bam.merge@3; none of 2 workers has all of that");
}

BOOST_AUTO_TEST_CASE(why_a_task_waits_is_told_with_names) {
  Placement placement;
  BOOST_TEST(placement.obstacle(need()).text == "no worker is there");
  placement.set({worker(1, 2, 4 * gib), worker(2, 1, 8 * gib, {{"gpus", 1}})});
  Need what = need();
  what.functions = {"bam.merge@3"};
  BOOST_TEST(placement.obstacle(what).text ==
             "it needs bam.merge@3; live workers offer bam.merge@2 (w1, w2)");
  what.functions = {"align@1"};
  BOOST_TEST(placement.obstacle(what).text ==
             "it needs align@1; live workers offer no version of it");
  BOOST_TEST((placement.obstacle(need(1, 9 * gib)) ==
              Obstacle{WaitingReason::resources,
                       "it needs memory: 9.0 GiB; the most that a worker has is 8.0 GiB (w2)"}));
  BOOST_TEST(placement.obstacle(need(1, 0, {{"license", 1}})).text ==
             "it needs license: 1; no worker has any");
  const Need gpu = need(1, 0, {{"gpus", 1}});
  placement.take(2, gpu);
  BOOST_TEST((placement.obstacle(gpu) ==
              Obstacle{WaitingReason::resources, "it needs gpus: 1; w2 has 0 of 1 free"}));
  placement.take(1, need());
  placement.take(1, need());
  BOOST_TEST((placement.reason(need()) == WaitingReason::slots));
}

BOOST_AUTO_TEST_CASE(a_worker_that_is_gone_keeps_what_it_has_and_gets_nothing) {
  Placement placement;
  placement.set({worker(1, 2)});
  placement.take(1, need());
  placement.set({});
  placement.check_invariants();
  BOOST_TEST(!placement.choose(need(), 1));
  BOOST_TEST(placement.slots() == 0u);
  placement.release(1, need());
  placement.check_invariants();
  BOOST_TEST(placement.loads().empty());
}

BOOST_AUTO_TEST_CASE(the_only_worker_gives_all_it_has_to_who_wants_more_processors) {
  Placement placement;
  WorkerOffer local = worker(0, 2, 4 * gib);
  local.is_local = local.memory_is_a_guess = true;
  placement.set({local});
  BOOST_TEST(give(placement, need(16, 64 * gib)).value() == 0u);
  BOOST_TEST(!give(placement, need()));
  BOOST_TEST(!placement.hopeless(need(16, 64 * gib)));
  BOOST_TEST(placement.hopeless(need(1, 0, {{"license", 1}}))
                 .value()
                 .starts_with("it needs license: 1, and none are declared here"));
  local.memory_is_a_guess = false;  // declared
  placement.release(0, need(16, 64 * gib));
  placement.set({local});
  BOOST_TEST(placement.hopeless(need(1, 64 * gib)).value() ==
             "it needs memory: 64.0 GiB, and 4.0 GiB were declared here");
}

// Whatever is asked for and given back, in whatever order: never more is given away than there is.
BOOST_AUTO_TEST_CASE(random_needs_never_exceed_any_worker) {
  BOOST_TEST(rc::check([] {
    Placement placement;
    std::vector<WorkerOffer> offers;
    for (WorkerId id = 1; id <= 3; ++id)
      offers.push_back(worker(id, *rc::gen::inRange(1u, 5u), *rc::gen::inRange(1u, 9u) * gib,
                              {{"gpus", *rc::gen::inRange(0u, 3u)}}));
    placement.set(offers);
    std::vector<std::pair<WorkerId, Need>> out;
    const int steps = *rc::gen::inRange(1, 60);
    for (int step = 0; step < steps; ++step) {
      placement.begin_round();
      if (!out.empty() && *rc::gen::inRange(0, 3) == 0) {
        const auto which =
            static_cast<std::ptrdiff_t>(*rc::gen::inRange<std::size_t>(0, out.size()));
        placement.release(out[static_cast<std::size_t>(which)].first,
                          out[static_cast<std::size_t>(which)].second);
        out.erase(out.begin() + which);
      }
      std::map<std::string, std::uint64_t> custom;
      if (*rc::gen::inRange(0, 3) == 0) custom["gpus"] = *rc::gen::inRange(1u, 3u);
      const Need what = need(*rc::gen::inRange(1u, 4u), *rc::gen::inRange(0u, 4u) * gib, custom);
      const double mean = *rc::gen::element(1e-5, 1.0);
      if (*rc::gen::inRange(0, 4) == 0) placement.reserve(what);
      if (const auto chosen = placement.choose(what, mean)) {
        placement.take(*chosen, what);
        out.emplace_back(*chosen, what);
      }
      placement.check_invariants();
      for (const WorkerOffer& offer : offers) {
        const Resources taken = placement.taken_at(offer.id);
        RC_ASSERT(taken.memory_bytes <= offer.capacity.memory_bytes);
        for (const auto& [name, count] : taken.custom)
          RC_ASSERT(count <= offer.capacity.custom.at(name));
      }
    }
  }));
}

BOOST_AUTO_TEST_SUITE_END()
