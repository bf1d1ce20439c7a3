#include "flow/cache_life.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include <boost/test/unit_test.hpp>

namespace reprise {

BOOST_AUTO_TEST_SUITE(CacheLife_)
namespace {

using namespace std::chrono_literals;

Key key_of(const std::string& text) {
  return Key{sha256(text)};
}

Payload text_payload(std::string text) {
  return *Payload::of(Value(std::move(text)));
}

CachePolicy lasting(Duration expires_after) {
  CachePolicy made;
  made.enabled = true;
  made.expires_after = expires_after;
  return made;
}

BOOST_AUTO_TEST_CASE(jitter_shortens_lives_by_no_more_than_its_share) {
  CachePolicy p = lasting(100s);
  const RunId run;
  BOOST_TEST((lifetime(p, key_of("k"), run) == 100s));
  p.life.jitter_percent = 20;
  Duration least = 100s, most = 0s;
  for (int i = 0; i < 200; ++i) {
    const Key k = key_of(std::to_string(i));
    const Duration life = *lifetime(p, k, run);
    BOOST_TEST((life == lifetime(p, k, run)));
    BOOST_TEST((life > 80s && life <= 100s));
    least = std::min(least, life);
    most = std::max(most, life);
  }
  BOOST_TEST((most - least > 15s));
  p.expires_after.reset();
  BOOST_TEST(!lifetime(p, key_of("k"), run));
}

BOOST_AUTO_TEST_CASE(only_declared_failures_are_remembered) {
  CachePolicy p = lasting(10s);
  const auto outcome = [](FailureClass failure, int exit_code = 0, int signal = 0) {
    Outcome made;
    made.state = TaskState::failed;
    made.failure = failure;
    made.exit_code = exit_code;
    made.signal = signal;
    return made;
  };
  BOOST_TEST(!is_remembered(p, outcome(FailureClass::task, 65)));
  FailureCaching& failures = p.life.failures.emplace();
  failures.exits = {65, 137};
  BOOST_TEST(is_remembered(p, outcome(FailureClass::task, 65)));
  BOOST_TEST(!is_remembered(p, outcome(FailureClass::task, 66)));
  BOOST_TEST(is_remembered(p, outcome(FailureClass::task, 137)));  // it was named
  failures.kinds = {FailureClass::task};
  failures.exits.clear();
  BOOST_TEST(is_remembered(p, outcome(FailureClass::task, 66)));
  BOOST_TEST(is_remembered(p, outcome(FailureClass::task)));
  BOOST_TEST(
      !is_remembered(p, outcome(FailureClass::task, 137)));  // a shell whose child was killed
  BOOST_TEST(!is_remembered(p, outcome(FailureClass::validation)));
  failures.kinds = {FailureClass::task, FailureClass::validation};
  BOOST_TEST(is_remembered(p, outcome(FailureClass::validation)));
  for (const auto other :
       {FailureClass::timeout, FailureClass::worker_lost, FailureClass::signal,
        FailureClass::cannot_start, FailureClass::cancelled, FailureClass::memory})
    BOOST_TEST(!is_remembered(p, outcome(other)));
  BOOST_TEST(!is_remembered(p, outcome(FailureClass::task, 0, 9)));
  Outcome success;
  success.state = TaskState::success;
  BOOST_TEST(!is_remembered(p, success));
}

BOOST_AUTO_TEST_CASE(a_failure_survives_being_kept) {
  KeptFailure failure;
  failure.state = TaskState::validation_failed;
  failure.failure = FailureClass::validation;
  failure.message = "sample \"s1\" has no reads";
  failure.exit_code = 65;
  failure.result = text_payload("what tasks below see");
  BOOST_TEST((*KeptFailure::decode(failure.encode()) == failure));
  BOOST_TEST(!KeptFailure::decode(text_payload("no failure")).has_value());
  BOOST_TEST(!KeptFailure::decode(Payload::nil()).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise
