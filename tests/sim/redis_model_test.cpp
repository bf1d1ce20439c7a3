// The simulated Redis is held against a real one: the same commands, the same answers.
#include <boost/test/unit_test.hpp>

#include <algorithm>

#include <fmt/format.h>

#include "cache/redis_functions.hpp"
#include "cache/redis_leases.hpp"
#include "cache/redis_store.hpp"
#include "core/text.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/redis_model.hpp"
#include "tests/sim/sim_redis.hpp"
#include "tests/support/redis_server.hpp"

BOOST_AUTO_TEST_SUITE(RedisModelAndServer)

using namespace reprise;
using namespace std::chrono_literals;
using sim::Random;
using sim::RedisModel;
using Words = RedisModel::Words;

namespace {

std::string shown(const redis::Reply& reply) {
  switch (reply.kind) {
    case redis::Reply::Kind::nil:
      return "nil";
    case redis::Reply::Kind::integer:
      return std::to_string(reply.integer);
    case redis::Reply::Kind::array: {
      std::string all = "[";
      for (const redis::Reply& each : reply.elements) all += shown(each) + " ";
      return all + "]";
    }
    case redis::Reply::Kind::error:
      // Of errors the kind counts: the rest is for people.
      return "error " + reply.text.substr(0, reply.text.find(' '));
    case redis::Reply::Kind::status:
    case redis::Reply::Kind::text:
      break;
  }
  return "\"" + escape_for_terminal(reply.text) + "\"";
}

std::string shown(const Words& words) {
  std::string all;
  for (const std::string& word : words) all += escape_for_terminal(word) + " ";
  return all;
}

// Fields and members in whatever order a server has them.
redis::Reply in_order(const std::string& command, redis::Reply reply) {
  if (command != "HGETALL") return reply;
  std::vector<std::pair<std::string, std::string>> fields;
  for (std::size_t i = 0; i + 1 < reply.elements.size(); i += 2)
    fields.emplace_back(reply.elements[i].text, reply.elements[i + 1].text);
  std::ranges::sort(fields);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    reply.elements[2 * i].text = fields[i].first;
    reply.elements[2 * i + 1].text = fields[i].second;
  }
  return reply;
}

struct Script {
  explicit Script(std::uint64_t seed) : random(seed) {}
  Random random;
  std::uint64_t stream = 0;

  std::string key(char kind) {
    // Mostly a key of the right kind, now and then of another.
    static constexpr std::string_view kinds = "shlzx";
    const char chosen = random.one_in(20) ? random.pick(kinds) : kind;
    return fmt::format("{}{}", chosen, random.below(3));
  }
  std::string number(std::int64_t low, std::int64_t high) {
    return std::to_string(
        low + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low + 1))));
  }
  std::string word() {
    static constexpr std::string_view words[] = {"a", "bb", "", "17", "-3", "x\0y"};
    return std::string(words[random.below(6)]);
  }
  std::string field() { return fmt::format("f{}", random.below(4)); }

  Words next() {
    static const std::vector<std::string> names = [] {
      std::vector<std::string> all = RedisModel::commands();
      std::erase(all, "TIME");
      return all;
    }();
    const std::string& name = random.pick(names);
    if (name == "GET" || name == "STRLEN") return {name, key('s')};
    if (name == "MGET") return {name, key('s'), key('s'), "none"};
    if (name == "GETRANGE") return {name, key('s'), number(-4, 4), number(-4, 4)};
    if (name == "SETRANGE") return {name, key('s'), number(0, 5), word()};
    if (name == "SET") {
      switch (random.below(4)) {
        case 0:
          return {name, key('s'), word(), "NX"};
        case 1:
          return {name, key('s'), word(), "PX", "60000"};
        case 2:
          return {name, key('s'), word(), "XX"};
        default:
          return {name, key('s'), word()};
      }
    }
    if (name == "DEL" || name == "EXISTS") return {name, key('s'), key('h'), key('l')};
    if (name == "TYPE" || name == "PERSIST") return {name, key('s')};
    if (name == "PTTL") return {name, "none"};
    if (name == "PEXPIRE") return {name, key('h'), random.one_in(3) ? "-1" : "60000"};
    if (name == "HGET" || name == "HEXISTS") return {name, key('h'), field()};
    if (name == "HMGET" || name == "HDEL") return {name, key('h'), field(), field()};
    if (name == "HGETALL" || name == "HLEN") return {name, key('h')};
    if (name == "HSET") return {name, key('h'), field(), word(), field(), word()};
    if (name == "HSETNX") return {name, key('h'), field(), word()};
    if (name == "HINCRBY") return {name, key('h'), field(), number(-5, 5)};
    if (name == "RPUSH") return {name, key('l'), word(), word()};
    if (name == "LLEN" || name == "LPOP") return {name, key('l')};
    if (name == "LRANGE") return {name, key('l'), number(-5, 5), number(-5, 5)};
    if (name == "LINDEX") return {name, key('l'), number(-4, 4)};
    if (name == "LREM") return {name, key('l'), number(-2, 2), word()};
    if (name == "ZADD") return {name, key('z'), number(0, 9), field(), number(0, 9), field()};
    if (name == "ZSCORE" || name == "ZREM") return {name, key('z'), field()};
    if (name == "ZCARD") return {name, key('z')};
    if (name == "ZRANGE")
      return {name,        key('z'),     random.one_in(2) ? "+inf" : "(" + number(0, 9),
              "-inf",      "BYSCORE",    "REV",
              "LIMIT",     number(0, 1), number(1, 4),
              "WITHSCORES"};
    if (name == "XADD") {
      // An id that is not above the last one is refused, and nothing is added.
      stream += random.below(2);
      return {name, key('x'), fmt::format("{}-{}", stream / 2, random.below(3)), "e", word()};
    }
    if (name == "XRANGE")
      return {name, key('x'), random.one_in(2) ? "-" : number(0, 4),
              random.one_in(2) ? "+" : number(0, 9)};
    if (name == "XLEN") return {name, key('x')};
    if (name == "XTRIM") {
      if (random.one_in(2)) return {name, key('x'), "MAXLEN", number(1, 9)};
      return {name, key('x'), "MINID", number(0, 3)};
    }
    if (name == "PUBLISH") return {name, "channel", word()};
    return random.one_in(30) ? Words{"FLUSHALL"} : Words{"XLEN", key('x')};
  }
};

Key key_of(std::uint64_t number) {
  return Key{digest_in("test", std::to_string(number))};
}

}  // namespace

BOOST_AUTO_TEST_CASE(commands_have_the_same_answers) {
  testing::RedisServer server;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    server("FLUSHALL");
    RedisModel model;
    Script script(seed);
    for (int i = 0; i < 600; ++i) {
      const Words command = script.next();
      const redis::Reply expected = in_order(command[0], server.run(command));
      const redis::Reply given = in_order(command[0], model.execute(command, now()));
      BOOST_REQUIRE_MESSAGE(shown(expected) == shown(given),
                            "seed " << seed << " step " << i << ": " << shown(command)
                                    << "\n  server " << shown(expected) << "\n  model  "
                                    << shown(given));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_full_server_and_a_replica_refuse_the_same) {
  testing::RedisServer server({"--maxmemory-policy", "noeviction"});
  for (const bool is_full : {true, false}) {
    server("CONFIG", "SET", "maxmemory", "0");
    server("REPLICAOF", "NO", "ONE");
    server("FLUSHALL");
    RedisModel model;
    Script script(99);
    for (int i = 0; i < 200; ++i) {
      const Words command = script.next();
      static_cast<void>(server.run(command));
      static_cast<void>(model.execute(command, now()));
    }
    server.run({"FUNCTION", "LOAD", "REPLACE", cache::redis_functions().code});
    if (is_full)
      server("CONFIG", "SET", "maxmemory", "1");
    else
      server("REPLICAOF", "127.0.0.1", "1");  // of nobody who answers
    model.is_full = is_full;
    model.is_read_only = !is_full;
    for (int i = 0; i < 400; ++i) {
      Words command = script.next();
      if (command[0] == "FLUSHALL") continue;
      if (i % 20 == 0) command = {"FCALL", "rp1_revision", "0"};
      if (i % 20 == 1) command = {"FCALL", "rp1_commit", "2", "index", "stats", "0"};
      if (i % 20 == 2) command = {"FCALL", "rp1_renew", "1", "lease", "1", "1", "owner", "7"};
      const std::string expected = shown(in_order(command[0], server.run(command)));
      const std::string given = shown(in_order(command[0], model.execute(command, now())));
      BOOST_REQUIRE_MESSAGE(expected == given, (is_full ? "full: " : "replica: ")
                                                   << shown(command) << "\n  server " << expected
                                                   << "\n  model  " << given);
    }
  }
}

// Through the store and the leases that call them, so that what is kept is of the real format.
BOOST_AUTO_TEST_CASE(functions_leave_the_same_behind) {
  testing::RedisServer server;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    server("FLUSHALL");
    sim::World world(seed);
    auto simulated = std::make_shared<sim::SimRedis>(world);
    auto real = std::make_shared<redis::Client>(server.settings(), cache::redis_functions());
    struct Side {
      std::unique_ptr<cache::RedisStore> store;
      std::unique_ptr<cache::RedisLeases> leases;
    };
    // Signed records are of another format, which the functions do not change in place.
    const auto mac_keys = std::make_shared<const cache::MacKeys>(
        *cache::MacKeys::parse("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"));
    const auto side = [&](const std::shared_ptr<redis::Client>& client) {
      cache::RedisStore::Options store;
      store.client = client;
      if (seed % 3 == 0) store.mac_keys = mac_keys;
      store.versions_kept = 3;
      return Side{std::make_unique<cache::RedisStore>(std::move(store)),
                  std::make_unique<cache::RedisLeases>(
                      cache::RedisLeases::Options{.client = client, .by_callers_clock = true})};
    };
    Side sides[] = {side(real), side(simulated)};
    Random random(seed);
    Time moment = world.now();
    std::vector<cache::HeldLease> held;
    for (int i = 0; i < 250; ++i) {
      moment += random.between(1ms, 2s);
      const Key key = key_of(random.below(4));
      const std::uint64_t what = random.below(10);
      std::string answers[2];
      std::optional<cache::Lease> granted;
      cache::Commit commit;
      commit.key = key;
      commit.name = "task";
      commit.value = *Payload::of(Value{static_cast<std::int64_t>(random.below(4))});
      commit.task = "a";
      commit.material = random.one_in(2) ? "material" : "";
      if (random.one_in(2)) commit.expires_after = random.between(1s, 10s);
      commit.anew = random.one_in(5);
      if (random.one_in(6)) commit.committed = moment - random.between(0s, 5s);
      if (!held.empty() && random.one_in(2)) {
        const cache::HeldLease& lease = random.pick(held);
        commit.key = lease.key;
        commit.lease = lease.lease;
      }
      const std::string owner = fmt::format("owner-{}", random.below(3));
      const cache::LeaseWish wish{key, random.one_in(2)};
      const cache::LeaseTerms terms{owner, random.between(1s, 5s), moment};
      const cache::HeldLease some = held.empty() ? cache::HeldLease{key, {}} : random.pick(held);
      for (int s = 0; s < 2; ++s) {
        if (what < 4) {
          const auto kept = sides[s].store->commit({&commit, 1}, moment);
          answers[s] =
              kept ? std::to_string(static_cast<int>(kept->front())) : kept.error().message;
        } else if (what < 7) {
          const auto leased = sides[s].leases->acquire({&wish, 1}, terms);
          if (!leased) continue;
          const cache::LeaseAnswer& answer = leased->front();
          answers[s] = fmt::format("{} {} {} {}", static_cast<int>(answer.kind), answer.lease.owner,
                                   answer.lease.token, seconds(answer.until - moment));
          if (answer.kind == cache::LeaseAnswer::Kind::granted) granted = answer.lease;
        } else if (what == 7) {
          const auto renewed = sides[s].leases->renew({&some, 1}, {some.lease.owner, 2s, moment});
          answers[s] = renewed ? std::to_string(renewed->front()) : renewed.error().message;
        } else if (what == 8) {
          const auto released = sides[s].leases->release({&some, 1}, moment);
          answers[s] = released ? std::to_string(released->front()) : released.error().message;
        } else {
          const auto found = sides[s].store->look_up({&key, 1}, moment);
          answers[s] = !found           ? found.error().message
                       : found->front() ? fmt::format("{} v{}", found->front()->value.digest.hex(),
                                                      found->front()->version)
                                        : "none";
        }
      }
      BOOST_REQUIRE_MESSAGE(answers[0] == answers[1], "seed " << seed << " step " << i << " kind "
                                                              << what << "\n  server " << answers[0]
                                                              << "\n  model  " << answers[1]);
      if (granted) held.push_back({key, *granted});
    }
    for (std::uint64_t k = 0; k < 4; ++k) {
      const std::string tag = cache::RedisKeys::tag(key_of(k));
      const cache::RedisKeys keys("rp1");
      for (const Words& command :
           {Words{"GET", keys.entry(tag)}, Words{"LRANGE", keys.history(tag), "0", "-1"},
            Words{"GET", keys.material(tag)}, Words{"HGETALL", keys.lease(tag)},
            Words{"ZSCORE", keys.index(), tag}, Words{"HGETALL", keys.statistics()}}) {
        const std::string expected = shown(in_order(command[0], server.run(command)));
        const std::string given =
            shown(in_order(command[0], simulated->model().execute(command, world.now())));
        BOOST_TEST(expected == given, shown(command));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
