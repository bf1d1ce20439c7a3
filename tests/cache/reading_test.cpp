#include <chrono>

#include <boost/test/unit_test.hpp>

#include "cache/reading.hpp"
#include "tests/cache/cache_support.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(Reading)
namespace {

using namespace testing;
using namespace std::chrono_literals;

Record record(std::optional<Duration> lives) {
  Record made;
  made.key = key("k");
  made.value = value("x");
  made.committed = at(0);
  if (lives) made.expires = at(0) + *lives;
  return made;
}

CachePolicy policy(Duration expires_after) {
  CachePolicy made;
  made.enabled = true;
  made.expires_after = expires_after;
  return made;
}

BOOST_AUTO_TEST_CASE(what_is_over_is_served_at_first_and_stands_in_later) {
  CachePolicy p = policy(10s);
  p.life.stale_while_revalidate = 5s;
  p.life.stale_if_error = 60s;
  BOOST_TEST((query_of(p, key("k"), {}).stale == 60s));
  BOOST_TEST((use_of(p, record(10s), at(9)) == Use::hit));
  BOOST_TEST((use_of(p, record(10s), at(10)) == Use::stale));
  BOOST_TEST((use_of(p, record(10s), at(15)) == Use::fallback));
  BOOST_TEST((fallback_until(p, record(10s)) == at(70)));
  BOOST_TEST((use_of(p, record(std::nullopt), at(1'000'000)) == Use::hit));
}

BOOST_AUTO_TEST_CASE(what_its_own_run_made_is_taken_where_the_key_holds_all_inputs) {
  RunId own;
  own.bytes[0] = 9;
  const auto takes_own = [&](const CachePolicy& p) { return !query_of(p, key("k"), own).not_of; };
  CachePolicy p = policy(10s);
  BOOST_TEST(takes_own(p));
  for (const Validator less : {Validator::duration_only, Validator::partial_inputs,
                               Validator::all_parameters, Validator::partial_parameters}) {
    p.validator = less;
    BOOST_TEST(!takes_own(p));
    BOOST_TEST((query_of(p, key("k"), own).not_of == own));
  }
  p.per_run = true;
  BOOST_TEST(takes_own(p));
  p.per_run = false;
  p.key_function = "key@1";
  BOOST_TEST(takes_own(p));
  p.same_run = false;
  BOOST_TEST(!takes_own(p));
}

BOOST_AUTO_TEST_CASE(a_hit_prolongs_only_where_the_policy_says_so_and_it_is_worth_a_write) {
  CachePolicy p = policy(64s);
  BOOST_TEST(!prolonged(p, record(64s), at(30)));
  p.life.sliding = true;
  BOOST_TEST(!prolonged(p, record(64s), at(1) - 1ns));
  BOOST_TEST(prolonged(p, record(64s), at(1)).has_value());
  BOOST_TEST(!prolonged(p, record(std::nullopt), at(30)));  // it has no end
  Record failure = record(64s);
  failure.status = VersionStatus::negative;
  BOOST_TEST(!prolonged(p, failure, at(30)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
