#include "redis/circuit_breaker.hpp"

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

namespace reprise::redis {

BOOST_AUTO_TEST_SUITE(CircuitBreaker_)
namespace {

using namespace std::chrono_literals;

constexpr Time start{1'790'000'000s};
const BreakerOptions exact{.failures = 3, .first_pause = 2s, .longest_pause = 10s, .jitter = 0};

BOOST_AUTO_TEST_CASE(it_opens_after_so_many_failures_in_a_row) {
  CircuitBreaker breaker(exact);
  breaker.failed(start);
  breaker.failed(start);
  breaker.succeeded();  // not in a row
  breaker.failed(start);
  breaker.failed(start);
  BOOST_TEST(breaker.allows(start));
  breaker.failed(start);
  BOOST_TEST((breaker.state() == BreakerState::open));
  BOOST_TEST(!breaker.allows(start));
  BOOST_TEST(!breaker.allows(start + 2s - 1ns));
  BOOST_TEST((breaker.reopens() == start + 2s));
  BOOST_TEST(breaker.openings() == 1u);
}

BOOST_AUTO_TEST_CASE(after_the_pause_one_question_finds_out) {
  CircuitBreaker breaker(exact);
  for (int i = 0; i < 3; ++i) breaker.failed(start);
  BOOST_TEST(breaker.allows(start + 2s));
  BOOST_TEST(!breaker.allows(start + 2s));  // one
  BOOST_TEST(!breaker.allows(start + 60s));
  breaker.succeeded();
  BOOST_TEST((breaker.state() == BreakerState::closed));
  BOOST_TEST(breaker.allows(start + 2s));
}

BOOST_AUTO_TEST_CASE(pauses_double_up_to_the_longest_and_start_anew_after_success) {
  CircuitBreaker breaker(exact);
  for (int i = 0; i < 3; ++i) breaker.failed(start);
  Time now = start;
  for (const auto pause : {2s, 4s, 8s, 10s, 10s}) {
    BOOST_TEST((breaker.reopens() == now + pause));
    now = breaker.reopens();
    BOOST_TEST(breaker.allows(now));
    breaker.failed(now);
  }
  now = breaker.reopens();
  BOOST_TEST(breaker.allows(now));
  breaker.succeeded();
  for (int i = 0; i < 3; ++i) breaker.failed(now);
  BOOST_TEST((breaker.reopens() == now + 2s));
}

BOOST_AUTO_TEST_CASE(failures_of_questions_asked_before_it_opened_change_nothing) {
  CircuitBreaker breaker(exact);
  for (int i = 0; i < 3; ++i) breaker.failed(start);
  const Time reopens = breaker.reopens();
  for (int i = 0; i < 10; ++i) breaker.failed(start + 1s);
  BOOST_TEST((breaker.reopens() == reopens));
}

BOOST_AUTO_TEST_CASE(pauses_stay_within_their_jitter_and_differ_between_seeds) {
  BOOST_TEST(rc::check([](std::uint64_t seed) {
    BreakerOptions options = exact;
    options.jitter = 0.2;
    CircuitBreaker breaker(options, seed), other(options, seed + 1);
    for (int i = 0; i < 3; ++i) {
      breaker.failed(start);
      other.failed(start);
    }
    const Duration pause = breaker.reopens() - start;
    RC_ASSERT(pause >= 1600ms);
    RC_ASSERT(pause <= 2400ms);
    RC_ASSERT(breaker.reopens() != other.reopens());
  }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::redis
