#include "cache/compression.hpp"

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "tests/cache/cache_support.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(Compression)
namespace {

using testing::noise;

BOOST_AUTO_TEST_CASE(what_was_compressed_comes_back) {
  BOOST_TEST(rc::check([](const std::string& part) {
    std::string bytes;
    while (bytes.size() < 2000) bytes += part + "some text that repeats ";
    const auto frame = compress(bytes);
    RC_ASSERT(frame.has_value());
    RC_ASSERT(frame->size() < bytes.size());
    RC_ASSERT(size_in(*frame) == bytes.size());
    RC_ASSERT(*decompress(*frame, bytes.size()) == bytes);
  }));
}

BOOST_AUTO_TEST_CASE(what_does_not_get_smaller_is_left_alone) {
  BOOST_TEST(!compress(""));
  BOOST_TEST(!compress(std::string(100, 'x')));
  BOOST_TEST(!compress(noise(10'000)));
  BOOST_TEST(!compress(noise(3'000'000)));
  BOOST_TEST(compress(std::string(3'000'000, 'x')).has_value());
}

BOOST_AUTO_TEST_CASE(a_frame_that_was_changed_is_corrupt) {
  const std::string bytes(5000, 'x');
  const std::string frame = *compress(bytes + noise(100));
  const std::uint64_t size = bytes.size() + 100;
  BOOST_REQUIRE(decompress(frame, size).has_value());
  for (std::size_t at = 0; at < frame.size(); ++at) {
    std::string changed = frame;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto found = decompress(changed, size);
    if (found) BOOST_TEST((*found == bytes + noise(100)));  // a bit that nobody uses
  }
  for (const std::string& bad : {std::string(), frame.substr(0, frame.size() - 1), frame + "x",
                                 std::string("no frame at all")})
    BOOST_TEST((decompress(bad, size).error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(a_frame_that_claims_another_size_is_not_begun) {
  const std::string frame = *compress(std::string(5000, 'x'));
  BOOST_TEST((decompress(frame, 4999).error().code == ErrorCode::corrupt));
  BOOST_TEST((decompress(frame, UINT64_MAX).error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
