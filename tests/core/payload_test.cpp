#include "core/payload.hpp"

#include <boost/test/unit_test.hpp>

#include "core/failure.hpp"

BOOST_AUTO_TEST_SUITE(payload)

using namespace reprise;

BOOST_AUTO_TEST_CASE(none_differs_from_nil) {
  Payload none;
  BOOST_TEST(none.is_none());
  BOOST_TEST(!none.is_nil());
  BOOST_TEST(none.is_at_hand());
  BOOST_TEST(none.view().empty());
  BOOST_TEST((none.value().error().code == ErrorCode::not_found));
  BOOST_TEST(Payload::nil().is_nil());
  BOOST_TEST(!Payload::nil().is_none());
  BOOST_TEST(Payload::nil().value().value().is_nil());
  BOOST_TEST((none != Payload::nil()));
}

BOOST_AUTO_TEST_CASE(all_nils_share_their_bytes) {
  BOOST_TEST(Payload::of(std::string("\xc0")).bytes.get() == Payload::nil().bytes.get());
  BOOST_TEST(Payload::of(Value()).value().bytes.get() == Payload::nil().bytes.get());
}

BOOST_AUTO_TEST_CASE(nil_needs_no_bytes) {
  Payload bare{Payload::nil().digest, 1, nullptr};
  BOOST_TEST(bare.is_nil());
  BOOST_TEST(bare.is_at_hand());
  BOOST_TEST(bare.view() == "\xc0");
  BOOST_TEST(bare.value().value().is_nil());
}

BOOST_AUTO_TEST_CASE(identity_is_the_argument_digest) {
  Payload payload = Payload::of(Value(List{1, 2})).value();
  BOOST_TEST(payload.digest.hex() ==
             "c538ba1c9ba81803dd2772ea2667e6c5842e2d7066d2d1f09188f6317cc71614");
  BOOST_TEST(payload.size == 3u);
  BOOST_TEST((payload.value().value() == Value(List{1, 2})));
  Payload elsewhere{payload.digest, payload.size, nullptr};
  BOOST_TEST((elsewhere == payload));
  BOOST_TEST(!elsewhere.is_at_hand());
  BOOST_TEST((elsewhere.value().error().code == ErrorCode::unavailable));
}

BOOST_AUTO_TEST_CASE(a_payload_of_one_byte_is_not_nil) {
  Payload payload = Payload::of(Value(7)).value();
  BOOST_TEST(payload.size == 1u);
  BOOST_TEST(!payload.is_nil());
  BOOST_TEST((payload.value().value() == Value(7)));
}

BOOST_AUTO_TEST_CASE(bytes_that_do_not_decode_are_corrupt) {
  BOOST_TEST((Payload::of(std::string("\xc1")).value().error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(a_failure_is_found_wherever_it_is) {
  const Value failure = failure_payload("Boom", "no luck").value().value();
  const auto holds = [](const Result<Value>& value) { return holds_failure(*Payload::of(*value)); };
  BOOST_TEST(holds(failure));
  BOOST_TEST(holds(Value(List{1, failure})));
  BOOST_TEST(holds(Value(List{1, List{failure}})));
  BOOST_TEST(holds(Value(Map{{"a", 1}, {"b", failure}})));
  BOOST_TEST(holds(tuple_value({1, failure})));
  BOOST_TEST(holds(set_value({failure})));
  BOOST_TEST(holds(record_value("box", "1", Map{{"in", failure}})));
}

BOOST_AUTO_TEST_CASE(what_only_looks_like_a_failure_is_none) {
  const auto holds = [](const Result<Value>& value) { return holds_failure(*Payload::of(*value)); };
  BOOST_TEST(!holds(Value()));
  BOOST_TEST(!holds(Value("failure")));
  BOOST_TEST(!holds(Value(List{"failure", "1", Map{}})));
  BOOST_TEST(!holds(tuple_value({"failure", "1", Map{}})));
  BOOST_TEST(!holds(record_value("failures", "1", Map{{"failure", "1"}})));
  BOOST_TEST(
      !holds(Value(Bytes{"\xc7\x0c\x03\x93\xa7"
                         "failure"
                         "\xa1"
                         "1"
                         "\x80"})));
  BOOST_TEST(!holds_failure(Payload{}));
}

BOOST_AUTO_TEST_SUITE_END()
