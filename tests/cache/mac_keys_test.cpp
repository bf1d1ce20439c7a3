#include "cache/mac_keys.hpp"

#include <fstream>

#include <sys/stat.h>
#include <boost/test/unit_test.hpp>

#include "cache/redis_record.hpp"
#include "core/text.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(MacKeys_)
namespace {

using namespace testing;

MacKeys keys_of(const std::string& text) {
  auto keys = MacKeys::parse(text);
  BOOST_REQUIRE_MESSAGE(keys.has_value(), (keys ? "" : keys.error().message));
  return *std::move(keys);
}
const std::string one(64, '1');
const std::string two(64, '2');

RedisRecord sample() {
  RedisRecord made;
  made.record.key = key("k");
  made.record.version = 1;
  made.record.name = "align";
  made.record.value = value("x");
  made.record.committed = at(5);
  made.record.expires = at(50);
  made.value = std::string(made.record.value.view());
  return made;
}

// RFC 4231, case 6.
BOOST_AUTO_TEST_CASE(codes_are_those_of_the_standard) {
  const MacKeys keys = keys_of(std::string(2 * 131, 'a'));
  const std::string mac = keys.sign("Test Using Larger Than Block-Size Key - Hash Key First");
  BOOST_TEST(to_hex(mac.substr(8)) ==
             "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

BOOST_AUTO_TEST_CASE(the_first_key_signs_and_all_of_them_tell) {
  const MacKeys before = keys_of(one);
  const MacKeys between = keys_of("# new\n" + two + "\n\n" + one + "  # old\n");
  const MacKeys after = keys_of(two);
  BOOST_TEST(between.is_good(before.sign("m"), "m"));
  BOOST_TEST(after.is_good(between.sign("m"), "m"));
  BOOST_TEST(!after.is_good(before.sign("m"), "m"));
  BOOST_TEST(!before.is_good(before.sign("m"), "n"));
  BOOST_TEST(!before.is_good("", "m"));
  BOOST_TEST(!before.is_good(std::string(MacKeys::mac_bytes, '\0'), "m"));
}

BOOST_AUTO_TEST_CASE(what_is_no_key_is_refused_and_not_shown) {
  for (const std::string& text :
       {std::string(), std::string("# none\n"), one.substr(1), one + "x", std::string(64, 'g')}) {
    const auto keys = MacKeys::parse(text);
    BOOST_REQUIRE(!keys.has_value());
    BOOST_TEST((keys.error().code == ErrorCode::invalid_argument));
    BOOST_TEST(keys.error().message.find("1111") == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_others_may_read_is_refused) {
  const reprise::testing::TemporaryFolder folder;
  const auto file = folder / "keys";
  std::ofstream(file) << one << '\n';
  ::chmod(file.c_str(), 0600);
  BOOST_TEST(MacKeys::read(file).has_value());
  ::chmod(file.c_str(), 0640);
  BOOST_TEST((MacKeys::read(file).error().code == ErrorCode::invalid_argument));
  BOOST_TEST((MacKeys::read(folder / "none").error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(a_signed_record_decodes_as_one_that_is_not) {
  const MacKeys keys = keys_of(one);
  const std::string stored = sample().encode(&keys);
  const auto found = RedisRecord::decode(stored);
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST((found->record.key == key("k")));
  BOOST_TEST(found->value == sample().value);
  BOOST_TEST(is_genuine(stored, keys));
  BOOST_TEST(!is_genuine(sample().encode(), keys));
  BOOST_TEST(!is_genuine(stored, keys_of(two)));
  BOOST_TEST(!RedisRecord::decode(stored.substr(0, stored.size() - 1)).has_value());
}

// Bytes 8 to 31 are the server's: version, sequence and time of commit, which only grows.
BOOST_AUTO_TEST_CASE(every_byte_but_those_of_the_server_counts) {
  const MacKeys keys = keys_of(one);
  const std::string stored = sample().encode(&keys);
  for (std::size_t i = 0; i < stored.size(); ++i) {
    std::string other = stored;
    other[i] = static_cast<char>(other[i] ^ 1);
    if (i >= 8 && i < 20)
      BOOST_TEST(is_genuine(other, keys));
    else if (i < 20 || i >= 32)
      BOOST_TEST(!is_genuine(other, keys), "byte " << i);
  }
  std::string earlier = stored;
  --earlier[27];
  BOOST_TEST(!is_genuine(earlier, keys));
  std::string later = stored;
  ++later[31];
  BOOST_TEST(is_genuine(later, keys));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
