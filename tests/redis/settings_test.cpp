#include "redis/settings.hpp"

#include <filesystem>

#include <boost/test/unit_test.hpp>

#include "tests/support/temporary_folder.hpp"

namespace reprise::redis {

BOOST_AUTO_TEST_SUITE(Settings_)
namespace {

using namespace std::chrono_literals;
using reprise::testing::TemporaryFolder;
using reprise::testing::write_file;
namespace fs = std::filesystem;

// "endpoint user database"
std::string read(std::string_view url) {
  auto settings = parse_url(url);
  if (!settings) return "error";
  return settings->endpoint.text() + " " + settings->user + " " +
         std::to_string(settings->database);
}

BOOST_AUTO_TEST_CASE(addresses_are_read) {
  BOOST_TEST(read("redis://cache.example:6380/2") == "cache.example:6380  2");
  BOOST_TEST(read("redis://me@cache.example") == "cache.example:6379 me 0");
  BOOST_TEST(read("cache.example/") == "cache.example:6379  0");
  BOOST_TEST(read("[::1]:7000") == "[::1]:7000  0");
  BOOST_TEST(read("unix:/run/redis/redis.sock") == "unix:/run/redis/redis.sock  0");
  BOOST_TEST(read("unix:///run/r.sock?db=3") == "unix:/run/r.sock  3");
  BOOST_TEST(parse_url("cache.example")->prefix == "rp1");
  BOOST_TEST(parse_url("cache.example?prefix=rp1:team-2")->prefix == "rp1:team-2");
  BOOST_TEST(parse_url("unix:/run/r.sock?user=me&db=3")->user == "me");
  const auto both = parse_url("unix:/run/r.sock?prefix=a&db=3");
  BOOST_TEST(both->prefix == "a");
  BOOST_TEST(both->database == 3u);
  BOOST_TEST(both->endpoint.text() == "unix:/run/r.sock");
}

BOOST_AUTO_TEST_CASE(mistakes_in_addresses_are_named) {
  for (const char* url : {"", "redis://", "http://x", "rediss://x", "x:0", "x:70000", "x:port",
                          "[::1", "[::1]x", "x/a", "x/99999999999", "unix:relative", "unix:/a?db=x",
                          "@", "x?y=1", "x?prefix=", "x?prefix={a}", "x?prefix=a b"})
    BOOST_TEST(read(url) == "error", url);
  BOOST_TEST(
      (parse_url("unix:/" + std::string(200, 'x')).error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_password_in_an_address_is_refused_and_not_repeated) {
  const auto refused = parse_url("redis://me:geheim@host");
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().message.find("geheim") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_password_is_the_first_line_of_a_file_that_others_cannot_read) {
  TemporaryFolder folder;
  const fs::path file = folder / "password";
  BOOST_TEST(read_password({})->empty());
  BOOST_TEST((read_password(file).error().code == ErrorCode::not_found));
  write_file(file, "s3cret word\nsecond line\n");
  fs::permissions(file, fs::perms::owner_read | fs::perms::others_read);
  BOOST_TEST((read_password(file).error().code == ErrorCode::invalid_argument));
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  BOOST_TEST(*read_password(file) == "s3cret word");
  write_file(file, "");
  BOOST_TEST((read_password(file).error().code == ErrorCode::invalid_argument));
  write_file(file, std::string(5000, 'x'));
  BOOST_TEST((read_password(file).error().code == ErrorCode::invalid_argument));
  BOOST_TEST(!read_password(folder.path()));
}

BOOST_AUTO_TEST_CASE(budgets_grow_with_the_bytes_to_move) {
  const Budgets budgets;
  BOOST_TEST((budgets.of(0) == 250ms));
  BOOST_TEST((budgets.of(1) == 1s));
  BOOST_TEST((budgets.of(20'000'000) == 3s));
  BOOST_TEST((budgets.of(UINT64_MAX) > 0s));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::redis
