// What one node removes, the others do not use any more, though they have copies.
#include "cache/redis_invalidations.hpp"

#include <map>

#include <boost/test/unit_test.hpp>

#include "cache/memory_store.hpp"
#include "cache/redis_leases.hpp"
#include "cache/tiered_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/redis_fixture.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(invalidation_tests)
namespace {

using namespace testing;
using namespace std::chrono_literals;
using reprise::testing::RedisServer;
using Kind = LeaseAnswer::Kind;

struct Node {
  explicit Node(const redis::Settings& settings)
      : client(new_client(settings)), log(std::make_shared<RedisInvalidations>(client)) {
    TieredStore::Options options;
    options.local = std::make_unique<MemoryStore>();
    options.remote = std::make_unique<RedisStore>(RedisStore::Options{.client = client});
    options.remote_leases = std::make_shared<RedisLeases>(RedisLeases::Options{.client = client});
    options.invalidations = log;
    options.forget = [this](const std::map<Key, Time>& removed) { forgotten = removed; };
    options.coherence = 0s;
    options.last_wait = 1ms;
    store = std::make_unique<TieredStore>(std::move(options));
  }
  void make(std::string_view name, std::string text, Time now) const {
    keep(*store, commit(name, value(std::move(text))), now);
    BOOST_REQUIRE(store->flush(20s));
  }
  [[nodiscard]] bool has(std::string_view name, Time now) const {
    const bool found = find(*store, name, now).has_value();
    BOOST_REQUIRE(store->flush(20s));
    return found;
  }
  void remove(std::string_view name, Time now) const {
    const Key removed = key(name);
    const Status done = log->invalidate({&removed, 1}, now);
    if (!done) BOOST_FAIL(done.error().message);
  }
  LeaseAnswer lease(std::string_view name, std::string owner) const {
    const LeaseWish wish{.key = key(name), .even_if_published = false};
    return store->acquire({&wish, 1}, {.owner = std::move(owner), .now = now()})->front();
  }

  std::shared_ptr<redis::Client> client;
  std::shared_ptr<RedisInvalidations> log;
  std::map<Key, Time> forgotten;
  std::unique_ptr<TieredStore> store;
};

struct Shared {
  redis::Settings settings = [] {
    redis::Settings all = fresh_prefix();
    all.breaker.failures = 1'000'000;
    return all;
  }();
  Node a{settings}, b{settings};
};

BOOST_FIXTURE_TEST_SUITE(Invalidation, Shared)

BOOST_AUTO_TEST_CASE(what_one_node_removes_no_node_serves_any_more_until_it_is_made_anew) {
  a.make("k", "x", at(1));
  a.make("other", "x", at(1));
  BOOST_TEST(b.has("k", at(2)));
  BOOST_TEST(b.has("other", at(2)));
  a.remove("k", at(3));
  BOOST_TEST(!a.has("k", at(4)));
  BOOST_TEST(!b.has("k", at(4)));
  BOOST_TEST((b.forgotten == std::map<Key, Time>{{key("k"), at(3)}}));
  BOOST_TEST(b.has("other", at(4)));
  BOOST_TEST(!Node(settings).has("k", at(4)));
  b.make("k", "y", at(5));
  BOOST_TEST(b.has("k", at(6)));
  BOOST_TEST(find(*a.store, "k", at(6))->value.view() == value("y").view());
  // It was there, and still is part of the past.
  BOOST_REQUIRE(a.store->flush(std::chrono::seconds{10}));
  BOOST_TEST(values_of(a.store->versions(key("k").text())).size() >= 2U);
}

BOOST_AUTO_TEST_CASE(what_was_removed_twice_and_made_again_is_counted_once) {
  a.make("k", "x", at(1));
  const auto entries = [&] { return RedisStore({.client = a.client}).statistics()->entries; };
  BOOST_TEST(entries() == 1U);
  a.remove("k", at(2));
  a.remove("k", at(3));
  a.remove("never there", at(3));
  BOOST_TEST(entries() == 0U);
  BOOST_TEST(RedisStore({.client = a.client}).list({})->empty());
  a.make("k", "x", at(4));
  BOOST_TEST(entries() == 1U);
  BOOST_TEST(RedisStore({.client = a.client}).list({})->size() == 1U);
}

BOOST_AUTO_TEST_CASE(removing_holds_also_where_the_clock_of_who_made_it_was_ahead) {
  a.make("k", "x", at(1000));
  BOOST_TEST(b.has("k", at(2)));
  b.remove("k", at(3));
  BOOST_TEST(!a.has("k", at(1001)));
  BOOST_TEST(!b.has("k", at(1001)));
}

BOOST_AUTO_TEST_CASE(what_is_computed_while_it_is_removed_is_not_kept_and_another_may_begin) {
  const LeaseAnswer begun = a.lease("k", "a");
  BOOST_TEST((begun.kind == Kind::granted));
  BOOST_TEST((b.lease("k", "b").kind == Kind::held));
  b.remove("k", now());
  const LeaseAnswer anew = b.lease("k", "b");
  BOOST_TEST((anew.kind == Kind::granted));
  BOOST_TEST(anew.lease.token > begun.lease.token);
  Commit late = commit("k", value("stale"));
  late.lease = begun.lease;
  BOOST_TEST((a.store->commit({&late, 1}, now())->front() == Kept::fenced));
  BOOST_TEST(!a.has("k", now()));
}

BOOST_AUTO_TEST_CASE(a_copy_that_comes_after_its_removal_is_not_kept) {
  a.make("k", "x", at(1));
  b.remove("k", at(5));
  const Commit late = commit("k", value("y"));
  BOOST_TEST((RedisStore({.client = b.client}).commit({&late, 1}, at(4))->front() == Kept::older));
  BOOST_TEST((RedisStore({.client = b.client}).commit({&late, 1}, at(6))->front() == Kept::added));
}

BOOST_AUTO_TEST_CASE(a_copy_older_than_what_is_still_told_has_to_be_confirmed) {
  RedisServer server;
  redis::Settings own = server.settings();
  own.breaker.failures = 1'000'000;
  Node node(own);
  for (const char* name : {"kept", "removed", "lost"}) node.make(name, "x", at(1));
  Node(own).remove("removed", at(2));
  server("XTRIM", "rp1:iv", "MAXLEN", "0");
  server("DEL", RedisKeys("rp1").entry(RedisKeys::tag(key("lost"))));
  BOOST_TEST(node.has("kept", at(3)));
  BOOST_TEST(!node.has("removed", at(3)));
  BOOST_TEST(!node.has("lost", at(3)));  // nobody knows: made again, at worst
  server.kill();
  BOOST_TEST(node.has("kept", at(3)));  // nobody can say: it counts
}

BOOST_AUTO_TEST_CASE(a_server_that_is_down_tells_when_it_is_back) {
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  redis::Settings own = server.settings();
  own.breaker.failures = 1'000'000;
  Node node(own);
  node.make("k", "x", at(1));
  BOOST_TEST(node.has("k", at(2)));
  Node(own).remove("k", at(3));
  server.kill();
  BOOST_TEST(node.has("k", at(4)));
  server.start();
  BOOST_TEST(!node.has("k", at(5)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
