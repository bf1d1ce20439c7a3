#include <boost/test/unit_test.hpp>

#include <rapidcheck.h>

#include "cluster/frame.hpp"

BOOST_AUTO_TEST_SUITE(frames)

using namespace reprise;
using namespace reprise::cluster;

BOOST_AUTO_TEST_CASE(a_frame_is_four_bytes_of_length_and_the_body) {
  BOOST_TEST(encode_frame("hello").value() == std::string("\0\0\0\5hello", 9));
}

BOOST_AUTO_TEST_CASE(whatever_is_sent_arrives_however_the_stream_is_cut) {
  BOOST_TEST(
      rc::check([](const std::vector<std::string>& bodies, const std::vector<unsigned char>& cuts) {
        std::string stream;
        std::vector<std::string> sent;
        for (const std::string& body : bodies) {
          if (body.empty()) continue;
          sent.push_back(body);
          stream += encode_frame(body).value();
        }
        FrameReader reader;
        std::vector<std::string> received;
        std::size_t cut = 0;
        while (!stream.empty()) {
          const std::size_t length = std::min<std::size_t>(
              stream.size(), cuts.empty() ? 3 : cuts[cut++ % cuts.size()] + 1u);
          reader.feed(std::string_view(stream).substr(0, length));
          stream.erase(0, length);
          for (;;) {
            auto frame = reader.next();
            RC_ASSERT(frame.has_value());
            if (!*frame) break;
            received.push_back(**frame);
          }
        }
        RC_ASSERT(received == sent);
        RC_ASSERT(!reader.is_in_frame());
      }));
}

BOOST_AUTO_TEST_CASE(a_length_above_the_limit_is_refused_before_the_body_arrives) {
  FrameReader reader(100);
  reader.feed(std::string("\0\0\0\x65", 4));
  const auto frame = reader.next();
  BOOST_REQUIRE(!frame);
  BOOST_TEST((frame.error().code == ErrorCode::exhausted));
  reader.feed(std::string(101, 'x'));
  BOOST_TEST(!reader.next().has_value());  // the stream is lost for good
  BOOST_TEST(!reader.is_in_frame());       // and nothing of it is kept
}

BOOST_AUTO_TEST_CASE(a_body_of_exactly_the_limit_passes) {
  FrameReader reader(100);
  reader.feed(encode_frame(std::string(100, 'x'), 100).value());
  BOOST_TEST(reader.next().value().value().size() == 100u);
  BOOST_TEST(!encode_frame(std::string(101, 'x'), 100).has_value());
}

BOOST_AUTO_TEST_CASE(an_empty_frame_is_a_mistake_of_the_peer) {
  FrameReader reader;
  reader.feed(std::string(4, '\0'));
  BOOST_TEST(!reader.next().has_value());
}

BOOST_AUTO_TEST_SUITE_END()
