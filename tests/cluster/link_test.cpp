// One link without a connection: what is said when.
#include "cluster/link.hpp"

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(links)

using namespace reprise;
using namespace reprise::cluster;

namespace {

/// Two ends of a link; frames arrive at once.
struct Ends {
  Link a, b;
  std::vector<Message> at_b;

  void say(std::string bytes = "x") {
    BOOST_REQUIRE(a.send(1, std::move(bytes)));
    const auto frame = a.next_frame();
    BOOST_REQUIRE(frame.has_value());
    BOOST_REQUIRE(b.receive(*frame, at_b));
  }
  void answer() {
    const auto frame = b.next_frame();
    BOOST_REQUIRE(frame.has_value());
    std::vector<Message> none;
    BOOST_REQUIRE(a.receive(*frame, none));
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(an_acknowledgement_waits_for_company) {
  Ends ends;
  ends.say();
  BOOST_TEST(!ends.b.has_output());
  BOOST_TEST(ends.a.unacked_bytes() > 0u);
  // A frame that goes there anyway takes it along.
  BOOST_REQUIRE(ends.b.send(2, "y"));
  ends.answer();
  BOOST_TEST(ends.a.unacked_bytes() == 0u);
  ends.b.tick();
  BOOST_TEST(!ends.b.has_output());
}

BOOST_AUTO_TEST_CASE(an_acknowledgement_does_not_wait_for_ever) {
  Ends ends;
  ends.say();
  ends.b.tick();
  BOOST_TEST(ends.b.has_output());
  ends.answer();
  BOOST_TEST(ends.a.unacked_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(much_is_acknowledged_at_once) {
  Ends many;
  for (int i = 0; i < 64; ++i) {
    BOOST_TEST(!many.b.has_output());
    many.say();
  }
  BOOST_TEST(many.b.has_output());
  many.answer();
  BOOST_TEST(many.a.unacked_bytes() == 0u);
  Ends large;
  large.say(std::string(300'000, 'x'));
  BOOST_TEST(large.b.has_output());
}

BOOST_AUTO_TEST_SUITE_END()
