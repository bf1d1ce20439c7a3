// How long results live, through the public API, with a clock that the test moves.
#include <atomic>
#include <chrono>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "reprise/reprise.hpp"

BOOST_AUTO_TEST_SUITE(cache_life_tests)

using namespace reprise;
using namespace std::chrono_literals;

namespace {

using arguments = std::span<const value>;

/// A task that counts its calls, gives how many, and may be broken.
struct Bench {
  skipping_clock clock;
  engine where{engine_options{.in_memory = true, .slots = 2, .grace = 1s, .clock = clock}};
  std::atomic<int> calls{0};
  std::atomic<bool> is_broken{false};

  struct outcome {
    run_state state;
    std::int64_t given = 0;  // of a success
    std::uint64_t executed = 0;
    std::string message;
  };
  outcome run(const cached& how) {
    flow f("f");
    const dynamic_task body("count", "1",
                            [this](arguments, context&) -> value {
                              ++calls;
                              if (is_broken) throw std::runtime_error("it is broken");
                              return calls.load();
                            },
                            {.cache = how});
    const auto made = f.call_with(body, {});
    const reprise::run started = where.run(f, {});
    const run_result ended = started.wait();
    outcome seen{ended.state, 0, ended.executed, started.states().at("count").state.message};
    if (ended.state == run_state::success)
      seen.given = started[made].get().as<std::int64_t>().value();
    return seen;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(cache_life, Bench)

BOOST_AUTO_TEST_CASE(a_hit_prolongs_the_life_of_a_sliding_result) {
  const cached how{.expires_after = 1h, .sliding = true};
  BOOST_TEST(run(how).given == 1);
  for (int i = 0; i < 3; ++i) {
    clock.advance(50min);
    BOOST_TEST(run(how).given == 1);
  }
  clock.advance(61min);
  BOOST_TEST(run(how).given == 2);
}

BOOST_AUTO_TEST_CASE(without_sliding_a_hit_prolongs_nothing) {
  const cached how{.expires_after = 1h};
  BOOST_TEST(run(how).given == 1);
  clock.advance(50min);
  BOOST_TEST(run(how).given == 1);
  clock.advance(50min);
  BOOST_TEST(run(how).given == 2);
}

BOOST_AUTO_TEST_CASE(a_stale_result_is_served_once_and_made_anew) {
  const cached how{.expires_after = 1h, .stale_while_revalidate = 30min};
  BOOST_TEST(run(how).given == 1);
  clock.advance(70min);
  const outcome stale = run(how);
  BOOST_TEST(stale.given == 1);
  BOOST_TEST(stale.executed == 1u);
  BOOST_TEST(run(how).given == 2);
  clock.advance(91min);
  const outcome over = run(how);  // nothing is served so late
  BOOST_TEST(over.given == 3);
  BOOST_TEST(over.executed == 1u);
}

BOOST_AUTO_TEST_CASE(while_it_cannot_be_made_anew_a_stale_result_is_served_until_its_time_is_up) {
  const cached how{.expires_after = 1h, .stale_while_revalidate = 30min};
  BOOST_TEST(run(how).given == 1);
  is_broken = true;
  clock.advance(70min);
  BOOST_TEST(run(how).given == 1);
  BOOST_TEST(run(how).given == 1);
  BOOST_TEST(calls == 3);
  clock.advance(30min);
  BOOST_TEST((run(how).state == run_state::failed));
}

BOOST_AUTO_TEST_CASE(an_old_result_stands_in_for_one_that_cannot_be_made) {
  const cached how{.expires_after = 1h, .stale_if_error = 24h};
  BOOST_TEST(run(how).given == 1);
  clock.advance(2h);
  is_broken = true;
  const outcome old = run(how);
  BOOST_TEST((old.state == run_state::success));
  BOOST_TEST(old.given == 1);
  BOOST_TEST(old.executed == 1u);
  clock.advance(24h);
  BOOST_TEST((run(how).state == run_state::failed));
  is_broken = false;
  BOOST_TEST(run(how).given == calls);
}

BOOST_AUTO_TEST_CASE(a_declared_failure_is_remembered_for_its_time) {
  const cached how{.failures = cached_failures{.lasts = 10min, .exceptions = true}};
  is_broken = true;
  BOOST_TEST(run(how).executed == 1u);
  is_broken = false;
  const outcome again = run(how);
  BOOST_TEST((again.state == run_state::failed));
  BOOST_TEST(again.executed == 0u);
  BOOST_TEST(again.message.find("it is broken (remembered from run ") != std::string::npos,
             again.message);
  // A task that declares nothing does not care.
  BOOST_TEST((run(cached{}).state == run_state::success));
  // What it made is newer than the failure.
  BOOST_TEST((run(how).state == run_state::success));
  BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(a_failure_is_forgotten_when_its_time_is_up) {
  const cached how{.failures = cached_failures{.lasts = 10min, .exceptions = true}};
  is_broken = true;
  BOOST_TEST(run(how).executed == 1u);
  is_broken = false;
  clock.advance(10min);
  BOOST_TEST((run(how).state == run_state::success));
}

BOOST_AUTO_TEST_CASE(a_reader_may_refuse_what_is_old_also_when_the_value_stays_the_same) {
  const cached how{.max_age = 1h};
  BOOST_TEST(run(how).executed == 1u);
  clock.advance(2h);
  calls = 0;  // the same value comes again
  BOOST_TEST(run(how).executed == 1u);
  clock.advance(30min);
  BOOST_TEST(run(how).executed == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
