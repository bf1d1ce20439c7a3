#include "cache/redis_record.hpp"

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "core/text.hpp"
#include "tests/cache/cache_support.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(RedisRecord_)
namespace {

using namespace testing;

RedisRecord sample() {
  RedisRecord made;
  made.record.key = key("k");
  made.record.version = 3;
  made.record.name = std::string("a\0b", 3);
  made.record.value = value("x");
  made.record.committed = at(5) + Duration{17};
  made.record.expires = at(-1'800'000'000);  // before 1970
  made.record.run.bytes[15] = 9;
  made.record.task = "align[s1]";
  made.record.cost = Duration{-1};
  made.sequence = 77;
  made.place = ValuePlace::inside;
  made.value = std::string(made.record.value.view());
  return made;
}

bool is_same(const RedisRecord& a, const RedisRecord& b) {
  return a.record.key == b.record.key && a.record.version == b.record.version &&
         a.record.name == b.record.name && a.record.value == b.record.value &&
         a.record.committed == b.record.committed && a.record.expires == b.record.expires &&
         a.record.run == b.record.run && a.record.task == b.record.task &&
         a.record.cost == b.record.cost && a.sequence == b.sequence && a.place == b.place &&
         a.value == b.value && a.is_damaged == b.is_damaged && a.is_tombstone == b.is_tombstone;
}

BOOST_AUTO_TEST_CASE(records_come_back_as_they_were) {
  for (const ValuePlace place : {ValuePlace::inside, ValuePlace::inside_compressed,
                                 ValuePlace::apart, ValuePlace::elsewhere}) {
    RedisRecord record = sample();
    record.place = place;
    for (const bool has_expiry : {true, false}) {
      if (!has_expiry) record.record.expires.reset();
      auto found = RedisRecord::decode(record.encode());
      BOOST_REQUIRE(found);
      BOOST_TEST(is_same(*found, record));
    }
  }
  RedisRecord grave = sample();
  grave.is_tombstone = true;
  BOOST_TEST(is_same(*RedisRecord::decode(grave.encode()), grave));
}

BOOST_AUTO_TEST_CASE(the_format_is_pinned) {
  RedisRecord record = sample();
  record.record.expires = at(10);
  const std::string bytes = record.encode();
  BOOST_TEST(to_hex(bytes.substr(0, 44)) ==
             "727001000100000000000003"  // "rp", format, ok, expires, inside, 0, version
             "000000000000004d"          // sequence
             "000000006ab13b85"
             "00000011"  // committed
             "000000006ab13b8a"
             "00000000");  // expires
  BOOST_TEST(bytes.substr(44, 32) == value("x").digest.raw());
  BOOST_TEST(to_hex(bytes.substr(76, 8)) == "0000000000000002");
  BOOST_TEST(to_hex(bytes.substr(84, 3)) == "96c420");
}

BOOST_AUTO_TEST_CASE(a_record_of_a_newer_program_is_told_from_garbage) {
  std::string newer = sample().encode();
  newer[2] = 3;
  BOOST_TEST((RedisRecord::decode(newer).error().code == ErrorCode::conflict));
  BOOST_TEST((RedisRecord::decode("rp\x03").error().code == ErrorCode::conflict));
  for (const std::string& bad : {std::string(), std::string("rp"),
                                 std::string("garbage, and long enough") + std::string(100, 'x')})
    BOOST_TEST((RedisRecord::decode(bad).error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(what_was_changed_or_cut_never_harms) {
  const std::string bytes = sample().encode();
  for (std::size_t size = 0; size < bytes.size(); ++size)
    BOOST_TEST(!RedisRecord::decode(bytes.substr(0, size)));
  BOOST_TEST(!RedisRecord::decode(bytes + "x"));
  BOOST_TEST(rc::check([&] {
    std::string changed = bytes;
    for (int i = *rc::gen::inRange(1, 5); i > 0; --i)
      changed[*rc::gen::inRange<std::size_t>(0, changed.size())] = *rc::gen::arbitrary<char>();
    const auto found = RedisRecord::decode(changed);
    if (found) RC_ASSERT(is_same(*RedisRecord::decode(found->encode()), *found));
  }));
}

BOOST_AUTO_TEST_CASE(values_apart_are_compressed_where_it_pays) {
  for (const std::string& bytes :
       {std::string("short"), std::string(100'000, 'x'), std::string()}) {
    const std::string stored = encode_value(bytes);
    BOOST_TEST((stored.size() < 2000));
    BOOST_TEST((*decode_value(stored, bytes.size()) == bytes));
    BOOST_TEST((*decode_value(stored) == bytes));
    BOOST_TEST((decode_value(stored, bytes.size() + 1).error().code == ErrorCode::corrupt));
  }
  BOOST_TEST(!decode_value("", 0));
  BOOST_TEST(!decode_value("\2x", 1));
  BOOST_TEST(!decode_value("\1x"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
