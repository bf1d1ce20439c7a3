#include "cache/redis_erasure.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/cache/cache_support.hpp"
#include "tests/cache/redis_fixture.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(RedisErasure)
namespace {

using namespace testing;

struct Server {
  redis::Settings settings = fresh_prefix();
  std::shared_ptr<redis::Client> client = new_client(settings);
  std::unique_ptr<RedisStore> store = open_redis(settings);

  void commit(const Commit& one, Time when) {
    const auto kept = store->commit({&one, 1}, when);
    BOOST_REQUIRE_MESSAGE(kept.has_value(), (kept ? "" : kept.error().message));
  }
  ErasedInRedis erase(const ErasureRequest& request, bool dry_run = false) {
    const auto erased = erase_in_redis(*client, request, {}, dry_run);
    BOOST_REQUIRE_MESSAGE(erased.has_value(), (erased ? "" : erased.error().message));
    return *erased;
  }
  bool hits(const std::string& name) { return find(*store, name, at(1000)).has_value(); }
  /// Some string or list of this prefix holds these bytes.
  bool holds(const std::string& bytes) {
    auto& server = common_server();
    for (const auto& key : server("KEYS", settings.prefix + ":*").elements) {
      const auto type = server("TYPE", key.text).text;
      if (type == "string" && server("GET", key.text).text.find(bytes) != std::string::npos)
        return true;
      if (type == "list")
        for (const auto& each : server("LRANGE", key.text, "0", "-1").elements)
          if (each.text.find(bytes) != std::string::npos) return true;
    }
    return false;
  }
};

BOOST_AUTO_TEST_CASE(an_entry_goes_with_its_history_material_and_values) {
  Server s;
  s.commit(commit("a", value("the-secret-one")), at(0));
  s.commit(commit("a", noisy(100'000)), at(1));
  s.commit(commit("a", value("the-secret-three")), at(2));
  s.commit(commit("b", value("stays")), at(3));
  BOOST_REQUIRE(s.holds("the-secret") && s.holds("material of a"));
  const ErasureRequest request{.selection = Selection{.keys = {key("a")}}};
  BOOST_TEST(s.erase(request, true).versions == 3u);
  BOOST_TEST(s.hits("a"));
  const auto erased = s.erase(request);
  BOOST_TEST(erased.entries == 1u);
  BOOST_TEST(erased.versions == 3u);
  BOOST_TEST(erased.materials == 1u);
  BOOST_TEST(erased.values == 1u);
  BOOST_TEST(!s.holds("the-secret"));
  BOOST_TEST(!s.holds("material of a"));
  BOOST_TEST(!s.holds(noise(100'000).substr(5000, 64)));
  BOOST_TEST(!s.hits("a"));
  BOOST_TEST(s.hits("b"));
  BOOST_TEST(s.store->statistics()->entries == 1u);
  BOOST_TEST(s.store->statistics()->versions == 1u);
  BOOST_TEST(s.store->list({})->size() == 1u);
  s.commit(commit("a", value("new")), at(10));
  BOOST_TEST(s.hits("a"));
  BOOST_TEST(s.store->versions(key("a").text())->front().version == 4u);
  BOOST_TEST(s.store->statistics()->entries == 2u);
}

BOOST_AUTO_TEST_CASE(the_version_of_a_run_goes_and_no_older_one_takes_its_place) {
  Server s;
  s.commit(commit("a", value("one")), at(0));
  Commit two = commit("a", value("the-secret-two"));
  two.run.bytes[0] = 9;
  s.commit(two, at(1));
  const auto erased = s.erase({.selection = Selection{.run = two.run}});
  BOOST_TEST(erased.versions == 1u);
  BOOST_TEST(erased.materials == 0u);
  BOOST_TEST(!s.holds("the-secret"));
  BOOST_TEST(!s.hits("a"));
  BOOST_TEST(s.store->versions(key("a").text())->size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_value_goes_under_whichever_keys) {
  Server s;
  FileValue file;
  file.content = sha256("content");
  s.commit(commit("a", value("same")), at(0));
  s.commit(commit("b", value("same")), at(1));
  s.commit(commit("c", *Payload::of(file.to_value())), at(2));
  BOOST_TEST(s.erase({.values = {value("same").digest}}).versions == 2u);
  BOOST_TEST(!s.hits("a"));
  BOOST_TEST(s.hits("c"));
  BOOST_TEST(s.erase({.values = {sha256("content")}}).versions == 1u);
  BOOST_TEST(!s.hits("c"));
}

BOOST_AUTO_TEST_CASE(a_server_that_does_not_answer_is_an_error) {
  reprise::testing::RedisServer server;
  const auto client = new_client(server.settings());
  server.kill();
  const auto erased = erase_in_redis(*client, {.values = {sha256("x")}}, {}, false);
  BOOST_REQUIRE(!erased.has_value());
  BOOST_TEST((erased.error().code == ErrorCode::unavailable), erased.error().message);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
