// How actors run on threads that lend themselves.
#include "actors/lent_thread.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>

BOOST_AUTO_TEST_SUITE(lent_thread_tests)

using namespace reprise::actors;
using namespace std::chrono_literals;

namespace {

// An actor that notes on which thread it runs, and whether another one runs at the same time.
struct Seen {
  std::atomic<int> count{0};
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};
  std::atomic<std::thread::id> last{};

  void note() {
    if (inside.fetch_add(1) != 0) overlapped = true;
    last = std::this_thread::get_id();
    inside.fetch_sub(1);
    ++count;
  }
};

struct Fixture {
  Fixture() { LentThread::use_in(config); }

  // One that has begun; the own thread sleeps again.
  caf::actor spawn_counter() {
    // With an argument, since CAF makes a reference to nothing of none.
    caf::actor made_now =
        system().spawn([](caf::event_based_actor*,
                          Seen* by) -> caf::behavior { return {[by](int) { by->note(); }}; },
                       &seen);
    // The own thread answers to what woke it; once a loan after that was this thread's to carry
    // out, it sleeps, and nothing wakes it.
    const auto me = std::this_thread::get_id();
    seen.count = 0;
    for (int sent = 0; sent == 0 || seen.last.load() == me;) {
      caf::anon_send(made_now, 0);
      BOOST_REQUIRE(wait_for(++sent));
    }
    for (int sent = seen.count; seen.last.load() != me;) {
      {
        const LentThread::Loan loan(thread());
        caf::anon_send(made_now, 0);
      }
      BOOST_REQUIRE(wait_for(++sent));
    }
    seen.count = 0;
    return made_now;
  }
  caf::actor_system& system() {
    if (!made) made = std::make_unique<caf::actor_system>(config);
    return *made;
  }
  LentThread* thread() { return LentThread::of(system()); }
  bool wait_for(int count) {
    for (const auto end = std::chrono::steady_clock::now() + 20s; seen.count < count;) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  caf::actor_system_config config;
  Seen seen;  // outlives the actors
  std::unique_ptr<caf::actor_system> made;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(LentThread_, Fixture)

BOOST_AUTO_TEST_CASE(a_system_without_it_says_so) {
  caf::actor_system_config plain;
  caf::actor_system other{plain};
  BOOST_TEST(LentThread::of(other) == nullptr);
  BOOST_TEST(thread() != nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_sent_during_a_loan_is_done_by_its_thread_before_it_ends) {
  const caf::actor counter = spawn_counter();
  for (int i = 0; i < 100; ++i) {
    {
      const LentThread::Loan loan(thread());
      caf::anon_send(counter, 1);
    }
    BOOST_TEST(seen.count == i + 1);
    BOOST_TEST((seen.last.load() == std::this_thread::get_id()));
  }
}

BOOST_AUTO_TEST_CASE(without_a_loan_the_own_thread_does_it) {
  const caf::actor counter = spawn_counter();
  caf::anon_send(counter, 1);
  BOOST_REQUIRE(wait_for(1));
  BOOST_TEST((seen.last.load() != std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(what_others_send_during_a_loan_is_done_when_it_ends) {
  const caf::actor counter = spawn_counter();
  {
    const LentThread::Loan loan(thread());
    std::thread([&] { caf::anon_send(counter, 1); }).join();
    std::this_thread::sleep_for(20ms);
    BOOST_TEST(seen.count == 0);
  }
  BOOST_TEST(seen.count == 1);
  BOOST_TEST((seen.last.load() == std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(after_loans_have_ended_only_the_own_thread_runs_actors) {
  const caf::actor counter = spawn_counter();
  {
    const LentThread::Loan loan(thread());
    caf::anon_send(counter, 1);
    thread()->end_loans();  // what waited for this thread goes on
    BOOST_REQUIRE(wait_for(1));
    caf::anon_send(counter, 1);
    BOOST_REQUIRE(wait_for(2));
  }
  BOOST_TEST((seen.last.load() != std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(loans_end_only_when_the_thread_that_lent_itself_is_back) {
  std::promise<void> begun, go;
  const caf::actor slow = system().spawn(
      [](caf::event_based_actor*, std::promise<void>* in,
         std::promise<void>* out) -> caf::behavior {
        return {[in, out](int) {
          in->set_value();
          out->get_future().wait();
        }};
      },
      &begun, &go);
  (void)spawn_counter();  // after which the other one has begun, too
  std::atomic<bool> has_ended{false};
  std::thread lender([&] {
    const LentThread::Loan loan(thread());
    caf::anon_send(slow, 1);
  });
  begun.get_future().wait();
  std::thread ender([&] {
    thread()->end_loans();
    has_ended = true;
  });
  std::this_thread::sleep_for(20ms);
  BOOST_TEST(!has_ended);
  go.set_value();
  ender.join();
  lender.join();
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_between_threads_that_send_lend_and_sleep) {
  constexpr int senders = 4, messages = 20'000;
  const caf::actor first = spawn_counter(), second = spawn_counter();
  std::vector<std::thread> threads;
  for (int s = 0; s < senders; ++s)
    threads.emplace_back([&, s] {
      for (int i = 0; i < messages; ++i) {
        const caf::actor& to = i % 2 == 0 ? first : second;
        switch ((i + s) % 4) {
          case 0:
            caf::anon_send(to, i);
            break;
          case 1: {
            const LentThread::Loan loan(thread());
            caf::anon_send(to, i);
            break;
          }
          case 2: {
            const LentThread::Loan loan(thread());
            break;
          }
          default:
            caf::anon_send(to, i);
            if (i % 512 == 3) std::this_thread::sleep_for(1ms);  // so that all sleep now and then
        }
      }
    });
  for (std::thread& each : threads) each.join();
  BOOST_TEST(wait_for(senders * messages * 3 / 4));
  BOOST_TEST(!seen.overlapped);
}

BOOST_AUTO_TEST_CASE(delayed_messages_and_requests_come_also_without_any_loan) {
  const caf::actor counter = spawn_counter();
  caf::delayed_anon_send(counter, 5ms, 1);
  BOOST_TEST(wait_for(1));
  const caf::actor doubler = system().spawn(
      [](caf::event_based_actor*, int factor) -> caf::behavior {
        return {[factor](int x) { return factor * x; }};
      },
      2);
  caf::scoped_actor self{system()};
  self->request(doubler, 10s, 21)
      .receive([](int x) { BOOST_TEST(x == 42); }, [](const caf::error&) { BOOST_TEST(false); });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
