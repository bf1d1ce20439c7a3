#include "core/pack.hpp"

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(unpacker)

using namespace reprise;

BOOST_AUTO_TEST_CASE(a_record_is_read_straight_through) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(7);
  pack.text("align");
  pack.integer(-5);
  pack.unsigned_integer(17);
  pack.boolean(true);
  pack.real(1.5);
  pack.nil();
  pack.bytes("raw");

  Unpacker unpack(bytes);
  unpack.array(7);
  BOOST_TEST(unpack.text() == "align");
  BOOST_TEST(unpack.integer() == -5);
  BOOST_TEST(unpack.index() == 17u);
  BOOST_TEST(unpack.boolean());
  BOOST_TEST(unpack.real() == 1.5);
  BOOST_TEST(unpack.next_is_nil());
  unpack.nil();
  BOOST_TEST(!unpack.at_end());
  BOOST_TEST(unpack.bytes() == "raw");
  BOOST_TEST(unpack.at_end());
}

BOOST_AUTO_TEST_CASE(a_failure_lasts) {
  std::string bytes;
  Packer pack(bytes);
  pack.text("x");
  pack.integer(1);
  Unpacker unpack(bytes);
  BOOST_TEST(unpack.integer() == 0);  // is text
  BOOST_TEST(unpack.failed());
  BOOST_TEST(unpack.integer() == 0);  // would be 1
  BOOST_TEST(!unpack.at_end());
}

BOOST_AUTO_TEST_CASE(numbers_out_of_range_fail) {
  std::string bytes;
  Packer(bytes).unsigned_integer(std::uint64_t{1} << 32);
  Unpacker narrow(bytes);
  BOOST_TEST(narrow.index() == 0u);
  BOOST_TEST(narrow.failed());
  bytes.clear();
  Packer(bytes).unsigned_integer(std::uint64_t{1} << 63);
  Unpacker whole(bytes);
  BOOST_TEST(whole.integer() == 0);
  BOOST_TEST(whole.failed());
}

BOOST_AUTO_TEST_CASE(containers_of_other_sizes_fail) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(2);
  pack.nil();
  pack.nil();
  Unpacker unpack(bytes);
  unpack.array(3);
  BOOST_TEST(unpack.failed());
}

RC_BOOST_PROP(integers_are_read_back, (std::int64_t number)) {
  std::string bytes;
  Packer(bytes).integer(number);
  Unpacker unpack(bytes);
  RC_ASSERT(unpack.integer() == number);
  RC_ASSERT(unpack.at_end());
}

RC_BOOST_PROP(arbitrary_bytes_are_skipped_or_refused, (const std::string& bytes)) {
  Unpacker unpack(bytes);
  while (!unpack.failed() && !unpack.at_end()) {
    auto before = unpack.position();
    (void)unpack.skip();
    RC_ASSERT(unpack.failed() || unpack.position() > before);
  }
}

BOOST_AUTO_TEST_SUITE_END()
