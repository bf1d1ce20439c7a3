#include "worker/slot_pool.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(slot_pool)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;
using namespace std::chrono_literals;

namespace {

/// Runs what the test says; by default nothing.
class FakeRunner final : public Runner {
 public:
  using Body = std::function<void(const Attempt&, std::stop_token)>;
  explicit FakeRunner(Body body = nullptr) : body_(std::move(body)) {}
  Outcome run(const Attempt& attempt, std::stop_token stop) override {
    Outcome outcome;
    outcome.started = now();
    if (body_) body_(attempt, stop);
    outcome.state = TaskState::success;
    outcome.value = Payload::nil();
    outcome.executed = true;
    return outcome;
  }

 private:
  Body body_;
};

/// Everything that came back.
class Received {
 public:
  SlotPool::Sink sink() {
    return [this](std::vector<Finished> batch) {
      const std::scoped_lock lock(mutex_);
      batches_ += 1;
      for (Finished& one : batch) all_.push_back(std::move(one));
    };
  }
  std::size_t count() {
    const std::scoped_lock lock(mutex_);
    return all_.size();
  }
  bool wait_for(std::size_t count, std::chrono::milliseconds patience = 20s) {
    return eventually([&] { return this->count() >= count; }, patience);
  }
  std::vector<Finished> all() {
    const std::scoped_lock lock(mutex_);
    return all_;
  }
  const Outcome outcome_of(std::uint32_t task) {
    for (Finished& one : all())
      if (one.id.task.value == task) return one.outcome;
    BOOST_FAIL("task never came back");
    return {};
  }

 private:
  std::mutex mutex_;
  std::vector<Finished> all_;
  std::size_t batches_ = 0;
};

/// A door that bodies wait at.
class Gate {
 public:
  void open() {
    const std::scoped_lock lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting;
    changed_.wait(lock, [&] { return is_open_; });
  }
  /// Until it opens or a stop is asked for.
  void pass(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    ++waiting;
    changed_.wait(lock, stop, [&] { return is_open_; });
  }
  std::atomic<int> waiting{0};

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool is_open_ = false;
};

std::vector<Attempt> attempts(OneTask& task, std::uint32_t first, std::uint32_t count) {
  std::vector<Attempt> all;
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(task.attempt("/nowhere", first + i));
  return all;
}

AttemptId id(std::uint32_t task) {
  return {0, TaskId{task}, 1};
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_attempt_comes_back_once_with_its_identity) {
  OneTask task(PassBody{});
  Received received;
  SlotPool pool({.slots = 3}, std::make_shared<FakeRunner>(), received.sink());
  Attempt odd = task.attempt("/nowhere", 7);
  odd.run = 3;
  odd.number = 2;
  odd.map_index = 5;
  odd.run_count = 4;
  odd.key = Key{sha256("k")};
  pool.submit({odd});
  BOOST_REQUIRE(received.wait_for(1));
  const Finished done = received.all()[0];
  BOOST_TEST((done.id == AttemptId{3, TaskId{7}, 2}));
  BOOST_TEST((done.node == NodeId{0} && done.map_index == 5 && done.run_count == 4));
  BOOST_TEST((done.key == odd.key));
  BOOST_TEST((done.context == odd.context));
  BOOST_TEST((done.outcome.state == TaskState::success && done.outcome.executed));
}

BOOST_AUTO_TEST_CASE(one_slot_keeps_the_order) {
  OneTask task(PassBody{});
  Received received;
  std::vector<std::uint32_t> order;
  {
    SlotPool pool({.slots = 1}, std::make_shared<FakeRunner>([&](const Attempt& a, auto) {
                    order.push_back(a.task.value);
                  }),
                  received.sink());
    for (std::uint32_t i = 0; i < 50; ++i) pool.submit(attempts(task, i * 20, 20));
    BOOST_REQUIRE(received.wait_for(1000));
  }
  BOOST_TEST(order.size() == 1000U);
  BOOST_TEST(std::is_sorted(order.begin(), order.end()));
}

BOOST_AUTO_TEST_CASE(long_bodies_use_all_slots) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  SlotPool pool({.slots = 4}, std::make_shared<FakeRunner>([&](auto&, auto) { gate.pass(); }),
                received.sink());
  pool.submit(attempts(task, 0, 6));
  BOOST_TEST(eventually([&] { return gate.waiting == 4; }));
  BOOST_TEST(pool.running().size() == 4U);
  BOOST_TEST(pool.queued() == 2U);
  gate.open();
  BOOST_TEST(received.wait_for(6));
}

BOOST_AUTO_TEST_CASE(a_body_thought_short_that_is_long_holds_nobody_up) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  // After 2000 short ones, taken in bulk, one in the middle of the next 2000 does not end.
  SlotPool pool({.slots = 2}, std::make_shared<FakeRunner>([&](const Attempt& a, auto) {
                  if (a.task.value == 3000) gate.pass();
                }),
                received.sink());
  pool.submit(attempts(task, 0, 2000));
  BOOST_REQUIRE(received.wait_for(2000));
  pool.submit(attempts(task, 2000, 2000));
  BOOST_TEST(received.wait_for(3999, 10s));
  BOOST_TEST(received.count() == 3999U);
  gate.open();
  BOOST_TEST(received.wait_for(4000));
}

BOOST_AUTO_TEST_CASE(both_of_two_bodies_thought_short_run_at_once) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  SlotPool pool({.slots = 2}, std::make_shared<FakeRunner>([&](const Attempt& a, auto) {
                  if (a.task.value >= 2000) gate.pass();
                }),
                received.sink());
  pool.submit(attempts(task, 0, 2000));
  BOOST_REQUIRE(received.wait_for(2000));
  pool.submit(attempts(task, 2000, 2));
  BOOST_TEST(eventually([&] { return gate.waiting == 2; }, 5s));
  gate.open();
  BOOST_TEST(received.wait_for(2002));
}

BOOST_AUTO_TEST_CASE(cancelling_takes_waiting_ones_back_at_once_and_stops_running_ones) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  std::atomic<int> bodies{0};
  SlotPool pool({.slots = 1},
                std::make_shared<FakeRunner>([&](const Attempt&, std::stop_token stop) {
                  ++bodies;
                  gate.pass(stop);
                }),
                received.sink());
  pool.submit(attempts(task, 0, 5));
  BOOST_REQUIRE(eventually([&] { return gate.waiting == 1; }));
  const std::vector<AttemptId> some{id(2), id(3), id(77)};
  pool.cancel(some);
  BOOST_TEST(received.count() == 2U);
  BOOST_TEST((received.outcome_of(2).state == TaskState::cancelled));
  BOOST_TEST(!received.outcome_of(2).executed);
  BOOST_TEST(received.outcome_of(3).message == "cancelled before it started");
  pool.cancel(id(0));
  BOOST_REQUIRE(received.wait_for(3));
  const Outcome stopped = received.outcome_of(0);
  BOOST_TEST((stopped.state == TaskState::cancelled && stopped.failure == FailureClass::cancelled));
  BOOST_TEST(stopped.executed);
  BOOST_TEST(stopped.value.is_none());
  // The next one does not inherit the stop.
  BOOST_REQUIRE(eventually([&] { return gate.waiting == 2; }));
  gate.open();
  BOOST_REQUIRE(received.wait_for(5));
  BOOST_TEST((received.outcome_of(1).state == TaskState::success));
  BOOST_TEST((received.outcome_of(4).state == TaskState::success));
  BOOST_TEST(bodies == 3);
}

BOOST_AUTO_TEST_CASE(what_did_not_start_is_given_back_and_never_heard_of_again) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  SlotPool pool(
      {.slots = 1},
      std::make_shared<FakeRunner>([&](const Attempt&, std::stop_token stop) { gate.pass(stop); }),
      received.sink());
  pool.submit(attempts(task, 0, 5));
  BOOST_REQUIRE(eventually([&] { return gate.waiting == 1; }));
  const std::vector<AttemptId> wanted{id(0), id(2), id(4), id(77)};
  BOOST_TEST((pool.retract(wanted) == std::vector<AttemptId>{id(2), id(4)}));
  BOOST_TEST(pool.retract(wanted).empty());
  gate.open();
  BOOST_REQUIRE(received.wait_for(3));
  BOOST_TEST((received.outcome_of(0).state == TaskState::success));
  BOOST_TEST((received.outcome_of(3).state == TaskState::success));
  pool.close();
  BOOST_TEST(received.count() == 3U);
}

BOOST_AUTO_TEST_CASE(a_whole_run_is_cancelled_and_others_are_not) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  SlotPool pool({.slots = 1},
                std::make_shared<FakeRunner>([&](auto&, std::stop_token stop) { gate.pass(stop); }),
                received.sink());
  auto both = attempts(task, 0, 4);
  both[1].run = both[3].run = 1;
  pool.submit(both);
  BOOST_REQUIRE(eventually([&] { return gate.waiting == 1; }));
  pool.cancel_run(1);
  BOOST_TEST(received.count() == 2U);
  gate.open();
  BOOST_REQUIRE(received.wait_for(4));
  BOOST_TEST((received.outcome_of(0).state == TaskState::success));
  BOOST_TEST((received.outcome_of(3).state == TaskState::cancelled));
}

BOOST_AUTO_TEST_CASE(what_waits_is_taken_back_and_what_runs_goes_on) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  SlotPool pool({.slots = 1},
                std::make_shared<FakeRunner>([&](auto&, std::stop_token stop) { gate.pass(stop); }),
                received.sink());
  pool.submit(attempts(task, 0, 4));
  BOOST_REQUIRE(eventually([&] { return gate.waiting == 1; }));
  pool.cancel_waiting();
  BOOST_TEST(received.count() == 3U);
  BOOST_TEST((received.outcome_of(1).state == TaskState::cancelled));
  BOOST_TEST(!received.outcome_of(3).executed);
  gate.open();
  BOOST_REQUIRE(received.wait_for(4));
  BOOST_TEST((received.outcome_of(0).state == TaskState::success));
}

BOOST_AUTO_TEST_CASE(a_time_limit_stops_the_body_and_names_itself) {
  OneTask task(PassBody{});
  task.kind().timeout = 20ms;
  Received received;
  Gate gate;
  SlotPool pool({.slots = 1},
                std::make_shared<FakeRunner>([&](auto&, std::stop_token stop) { gate.pass(stop); }),
                received.sink());
  pool.submit(attempts(task, 0, 1));
  BOOST_REQUIRE(received.wait_for(1));
  const Outcome outcome = received.outcome_of(0);
  BOOST_TEST((outcome.state == TaskState::timed_out && outcome.failure == FailureClass::timeout));
  BOOST_TEST(outcome.message == "timed out after 20ms");
  BOOST_TEST(outcome.value.is_none());
  BOOST_TEST(pool.abandoned() == 0U);
}

BOOST_AUTO_TEST_CASE(a_body_that_ignores_its_stop_token_is_left_behind_and_its_slot_replaced) {
  OneTask task(PassBody{},
               "stub\x1b"
               "born");
  task.kind().timeout = 10ms;
  Received received;
  auto gate = std::make_shared<Gate>();
  std::mutex mutex;
  std::vector<std::string> warnings;
  SlotPool pool({.slots = 1,
                 .grace = 30ms,
                 .warn =
                     [&](std::string text) {
                       const std::scoped_lock lock(mutex);
                       warnings.push_back(std::move(text));
                     }},
                std::make_shared<FakeRunner>([gate](const Attempt& a, auto) {
                  if (a.task.value == 0) gate->pass();
                }),
                received.sink());
  pool.submit(attempts(task, 0, 3));
  BOOST_REQUIRE(received.wait_for(3));
  const Outcome outcome = received.outcome_of(0);
  BOOST_TEST((outcome.state == TaskState::timed_out));
  BOOST_TEST(outcome.message.starts_with("timed out after 10ms"));
  BOOST_TEST(outcome.executed);
  BOOST_TEST((outcome.duration >= 40ms));
  BOOST_TEST((received.outcome_of(2).state == TaskState::success));
  BOOST_TEST(pool.abandoned() == 1U);
  BOOST_TEST(eventually([&] {
    const std::scoped_lock lock(mutex);
    return warnings.size() == 1;
  }));
  BOOST_TEST(warnings[0] ==
             "task \"stub\\x1bborn\" did not stop within 30ms of being asked to; its thread is "
             "left behind");
  gate->open();  // its late answer is nobody's
  pool.submit(attempts(task, 10, 100));
  BOOST_REQUIRE(received.wait_for(103));
  BOOST_TEST(received.count() == 103U);
}

BOOST_AUTO_TEST_CASE(closing_stops_what_runs_drops_what_waits_and_reports_neither) {
  OneTask task(PassBody{});
  Received received;
  Gate gate;
  std::atomic<int> bodies{0};
  {
    SlotPool pool({.slots = 2}, std::make_shared<FakeRunner>([&](auto&, std::stop_token stop) {
                    ++bodies;
                    gate.pass(stop);
                  }),
                  received.sink());
    pool.submit(attempts(task, 0, 10));
    BOOST_REQUIRE(eventually([&] { return gate.waiting == 2; }));
  }
  BOOST_TEST(bodies == 2);
  BOOST_TEST(received.count() == 0U);
}

BOOST_AUTO_TEST_CASE(closing_takes_no_longer_than_the_grace_time) {
  OneTask task(PassBody{});
  Received received;
  auto gate = std::make_shared<Gate>();
  SlotPool pool({.slots = 1, .grace = 50ms},
                std::make_shared<FakeRunner>([gate](auto&, auto) { gate->pass(); }),
                received.sink());
  pool.submit(attempts(task, 0, 1));
  BOOST_REQUIRE(eventually([&] { return gate->waiting == 1; }));
  const auto begun = std::chrono::steady_clock::now();
  pool.close();
  BOOST_TEST((std::chrono::steady_clock::now() - begun < 5s));
  BOOST_TEST(pool.abandoned() == 1U);
  gate->open();
}

// Submits, cancels and time limits from several threads, bodies of all lengths: nothing is lost and
// nothing comes twice.
BOOST_AUTO_TEST_CASE(no_attempt_is_lost_under_stress) {
  constexpr std::uint32_t per_thread = 4000;
  constexpr std::uint32_t threads = 3;
  OneTask quick(PassBody{});
  OneTask limited(PassBody{});
  limited.kind().timeout = 2ms;
  static_cast<void>(quick.attempt());
  static_cast<void>(limited.attempt());
  Received received;
  SlotPool pool({.slots = 3, .grace = 2s},
                std::make_shared<FakeRunner>([](const Attempt& a, std::stop_token stop) {
                  const auto until =
                      std::chrono::steady_clock::now() +
                      std::chrono::microseconds(a.task.value % 97 == 0 ? 3000 : a.task.value % 7);
                  while (std::chrono::steady_clock::now() < until && !stop.stop_requested())
                    std::this_thread::yield();
                }),
                received.sink());
  std::vector<std::thread> submitters;
  for (std::uint32_t t = 0; t < threads; ++t) {
    submitters.emplace_back([&, t] {
      std::mt19937 random(t);
      std::uint32_t next = 0;
      while (next < per_thread) {
        const std::uint32_t count =
            std::min(static_cast<std::uint32_t>(1 + random() % 100), per_thread - next);
        OneTask copy = random() % 4 == 0 ? limited : quick;
        pool.submit(attempts(copy, t * per_thread + next, count));
        next += count;
        std::vector<AttemptId> unwanted;
        for (int i = 0; i < 5; ++i)
          unwanted.push_back(id(t * per_thread + static_cast<std::uint32_t>(random() % next)));
        pool.cancel(unwanted);
      }
    });
  }
  for (std::thread& submitter : submitters) submitter.join();
  BOOST_REQUIRE(received.wait_for(threads * per_thread, 60s));
  std::set<std::uint32_t> seen;
  std::map<TaskState, int> states;
  for (const Finished& done : received.all()) {
    BOOST_REQUIRE(seen.insert(done.id.task.value).second);
    ++states[done.outcome.state];
  }
  BOOST_TEST(seen.size() == threads * per_thread);
  BOOST_TEST(states[TaskState::success] > 0);
  BOOST_TEST(states[TaskState::cancelled] > 0);
  BOOST_TEST(states[TaskState::timed_out] > 0);
  BOOST_TEST(pool.running().empty());
  BOOST_TEST(pool.queued() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
