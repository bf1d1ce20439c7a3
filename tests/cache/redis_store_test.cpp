// What only a store behind a server can do wrong, and what happens when that server is not well.
#include "cache/redis_store.hpp"

#include <algorithm>
#include <chrono>
#include <set>

#include <sys/wait.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

#include "cache/redis_erasure.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_keys.hpp"
#include "cache/redis_leases.hpp"
#include "cache/redis_record.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/redis_fixture.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(RedisStore_)
namespace {

using namespace testing;
using namespace std::chrono_literals;
using reprise::testing::RedisServer;
using reprise::testing::TcpProxy;
using reprise::testing::TemporaryFolder;
using reprise::testing::write_file;

std::string entry_of(const redis::Settings& settings, std::string_view name) {
  return RedisKeys(settings.prefix).entry(RedisKeys::tag(key(name)));
}
std::string history_of(const redis::Settings& settings, std::string_view name) {
  return RedisKeys(settings.prefix).history(RedisKeys::tag(key(name)));
}

redis::Settings as_user(const RedisServer& server, const TemporaryFolder& folder,
                        std::string_view user) {
  redis::Settings settings = server.settings();
  settings.user = user;
  settings.password_file = folder / "password";
  write_file(settings.password_file, "secret");
  std::filesystem::permissions(settings.password_file, std::filesystem::perms::owner_read |
                                                           std::filesystem::perms::owner_write);
  return settings;
}

// Looks up, and must get an answer, hit or miss, or say that the server is not to be had.
bool is_served_or_refused(Store& store, std::string_view name, const Payload& expected) {
  const Key wanted = key(name);
  auto found = store.look_up({&wanted, 1}, at(1));
  if (!found) return true;
  if (!(*found)[0]) return true;
  return (*found)[0]->value == expected && (*found)[0]->value.view() == expected.view();
}

BOOST_AUTO_TEST_CASE(values_lie_where_their_size_says) {
  TemporaryFolder folder, other_folder;
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings, blobs_in(folder.path()));
  const std::vector<std::pair<std::string, Payload>> values{
      {"small", noisy(100)},
      {"almost", noisy(4000)},
      {"compressed", value(std::string(100'000, 'x'))},
      {"apart", noisy(10'000)},
      {"largest apart", noisy(1'000'000)},
      {"elsewhere", noisy(2'000'000)},
      {"large but compressed", value(std::string(20'000'000, 'x'))}};
  for (const auto& [name, payload] : values) keep(*store, commit(name, payload));
  const auto place = [&](const std::string& name) {
    return RedisRecord::decode(common_server()("GET", entry_of(settings, name)).text)->place;
  };
  BOOST_TEST((place("small") == ValuePlace::inside));
  BOOST_TEST((place("almost") == ValuePlace::inside));
  BOOST_TEST((place("compressed") == ValuePlace::inside_compressed));
  BOOST_TEST((place("apart") == ValuePlace::apart));
  BOOST_TEST((place("largest apart") == ValuePlace::apart));
  BOOST_TEST((place("elsewhere") == ValuePlace::elsewhere));
  BOOST_TEST((place("large but compressed") != ValuePlace::elsewhere));

  auto other = open_redis(settings, blobs_in(other_folder.path()));  // another node
  for (const auto& [name, payload] : values) {
    BOOST_TEST((find(*store, name)->value.view() == payload.view()), name);
    if (name == "elsewhere")
      BOOST_TEST(!find(*other, name));
    else
      BOOST_TEST((find(*other, name)->value.view() == payload.view()), name);
  }
  BOOST_TEST(store->statistics()->blob_files == 1u);
  BOOST_TEST(other->statistics()->corrupt == 0u);  // not at hand is not damaged
  auto without = open_redis(settings);
  const Commit large = commit("another", noisy(3'000'000));
  BOOST_TEST((without->commit({&large, 1}, at(0)).error().code == ErrorCode::exhausted));
}

// What one node had made as a file no other could use.
BOOST_AUTO_TEST_CASE(files_go_along_with_the_results_that_speak_of_them) {
  TemporaryFolder folder, other_folder;
  const redis::Settings settings = fresh_prefix();
  const auto here = blobs_in(folder.path()), there = blobs_in(other_folder.path());
  auto store = open_redis(settings, here);
  auto other = open_redis(settings, there);
  const auto file_of = [&](const std::string& content) {
    return FileValue{*here->put(content), content.size(), false};
  };
  const std::vector<FileValue> files{file_of("small"), file_of(""),
                                     file_of(std::string(1'000'000, 'x')),
                                     file_of(std::string(2'000'000, 'y'))};
  List list;
  for (const FileValue& file : files) list.push_back(file.to_value());
  keep(*store, commit("k", *Payload::of(Value(list))));
  BOOST_TEST(find(*other, "k").has_value());
  for (const FileValue& file : files)
    BOOST_TEST(there->check(file).has_value() == (file.size <= 1u << 20), file.size);

  // Damaged ones are set aside, and nobody is given them.
  const std::string blob = RedisKeys(settings.prefix).value(files[0].content);
  common_server()("SETRANGE", blob, "1", "S");
  TemporaryFolder third_folder;
  const auto third = blobs_in(third_folder.path());
  BOOST_TEST(find(*open_redis(settings, third), "k").has_value());
  BOOST_TEST(!third->contains(files[0].content));
  BOOST_TEST(third->contains(files[2].content));
  BOOST_TEST(common_server()("EXISTS", blob).integer == 0);

  // They are erased with it.
  ErasureRequest request;
  request.selection.emplace();
  request.selection->keys = {commit("k", value("")).key};
  redis::Client client(settings, redis_functions());
  BOOST_REQUIRE(erase_in_redis(client, request, {}, false).has_value());
  for (const FileValue& file : files)
    BOOST_TEST(common_server()("EXISTS", RedisKeys(settings.prefix).value(file.content)).integer ==
               0);
}

BOOST_AUTO_TEST_CASE(a_large_value_that_went_is_a_miss_until_it_is_made_again) {
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings);
  keep(*store, commit("k", value("older")), at(0));
  const Payload large = noisy(10'000);
  keep(*store, commit("k", large), at(1));
  const std::string blob = RedisKeys(settings.prefix).value(large.digest);
  BOOST_TEST(common_server()("PTTL", blob).integer > 0);
  BOOST_TEST(common_server()("PTTL", entry_of(settings, "k")).integer == -1);
  common_server()("DEL", blob);
  BOOST_TEST(find(*store, "k", at(2))->version == 1u);  // the newest one that is complete
  keep(*store, commit("k", large), at(3));
  BOOST_TEST(find(*store, "k", at(4))->version == 2u);
  BOOST_TEST(store->statistics()->versions == 2u);
}

BOOST_AUTO_TEST_CASE(using_a_large_value_keeps_it_longer) {
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings);
  const Payload large = noisy(10'000);
  keep(*store, commit("k", large), at(0));
  const std::string blob = RedisKeys(settings.prefix).value(large.digest);
  common_server()("PEXPIRE", blob, "100000");
  (void)find(*store, "k", at(0));
  BOOST_TEST(common_server()("PTTL", blob).integer > 1'000'000);
}

BOOST_AUTO_TEST_CASE(a_damaged_record_is_set_aside_and_a_miss) {
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings);
  RedisServer& server = common_server();
  keep(*store, commit("k", value("old")), at(0));
  keep(*store, commit("k", value("good")), at(1));
  const auto damage = [&](const std::string& name) {
    std::string bytes = server("GET", entry_of(settings, name)).text;
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    server("SET", entry_of(settings, name), bytes);
    return bytes;
  };
  const std::string bytes = damage("k");
  BOOST_TEST(find(*store, "k", at(2))->version == 1u);  // the newest one that can be trusted
  BOOST_TEST(store->statistics()->corrupt == 1u);
  BOOST_TEST(store->statistics()->versions == 1u);
  BOOST_TEST(store->statistics()->entries == 1u);
  BOOST_TEST((server("GET", RedisKeys(settings.prefix).quarantine(RedisKeys::tag(key("k")))).text ==
              bytes));
  BOOST_TEST(values_of(store->versions("")) == std::vector<std::string>{"old"});
  BOOST_TEST(store->list({})->size() == 1u);
  BOOST_TEST(find(*store, "k", at(2))->version == 1u);
  BOOST_TEST(store->statistics()->corrupt == 1u);  // counted once
  keep(*store, commit("k", value("good")), at(3));
  BOOST_TEST(find(*store, "k", at(4))->version == 3u);  // numbers are not used again

  // In the history.
  std::string older = server("LINDEX", history_of(settings, "k"), "0").text;
  older.back() = static_cast<char>(older.back() ^ 1);
  server("LSET", history_of(settings, "k"), "0", older);
  keep(*store, commit("k", value("short"), 1s), at(5));
  BOOST_TEST(find(*store, "k", at(10))->version == 3u);
  const std::vector<Key> twice{key("only"), key("only")};
  keep(*store, commit("only", value("x")), at(5));
  damage("only");
  auto found = store->look_up(twice, at(6));
  BOOST_REQUIRE(found);
  BOOST_TEST((!(*found)[0] && !(*found)[1]));
  BOOST_TEST(store->statistics()->corrupt == 2u);
  BOOST_TEST(store->statistics()->entries == 1u);
}

BOOST_AUTO_TEST_CASE(a_damaged_large_value_is_removed_and_repaired_by_the_next_commit) {
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings);
  const Payload large = noisy(10'000);
  const std::string blob = RedisKeys(settings.prefix).value(large.digest);
  keep(*store, commit("k", large));
  for (const std::string& bad : {std::string(1, '\0') + noise(10'003, 5), std::string("short"),
                                 std::string(1, '\1'), std::string()}) {
    common_server()("SET", blob, bad);
    BOOST_TEST(!find(*store, "k"));
    BOOST_TEST(common_server()("GET", blob).is_nil());
    keep(*store, commit("k", large));
    BOOST_TEST(find(*store, "k")->value.view() == large.view());
  }
  BOOST_TEST(store->statistics()->corrupt == 4u);
}

BOOST_AUTO_TEST_CASE(what_is_no_record_is_a_miss_and_overwritten) {
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings);
  const std::vector<std::string> nonsense{
      "",
      "x",
      "rp",
      std::string(200, '\0'),
      "rp\x01" + std::string(300, '\xff'),
      std::string("rp\x01\x00\x00\x00\x00\x00", 8) + std::string(76, '\0')};
  for (std::size_t i = 0; i < nonsense.size(); ++i) {
    const std::string name = "k" + std::to_string(i);
    common_server()("SET", entry_of(settings, name), nonsense[i]);
    BOOST_TEST(!find(*store, name));
    keep(*store, commit(name, value("x")));
    BOOST_TEST(find(*store, name)->value.view() == value("x").view());
    // And when nobody looked before.
    common_server()("SET", entry_of(settings, name), nonsense[i]);
    keep(*store, commit(name, value("y")));
    BOOST_TEST(find(*store, name)->value.view() == value("y").view());
  }
}

BOOST_AUTO_TEST_CASE(what_a_newer_program_wrote_is_left_alone) {
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings);
  const std::string newer = "rp\x03 a better record";
  common_server()("SET", entry_of(settings, "newer"), newer);
  common_server()("LPUSH", entry_of(settings, "list"), "x");
  common_server()("SET", history_of(settings, "no list"), "x");
  for (const char* name : {"newer", "list", "no list"}) {
    BOOST_TEST(!find(*store, name));
    const std::vector<Commit> batch{commit(name, value("x")), commit("beside", value(name))};
    auto kept = store->commit(batch, at(0));
    BOOST_REQUIRE(kept);
    BOOST_TEST((*kept == std::vector<Kept>{Kept::foreign, Kept::added}));
    BOOST_TEST(!find(*store, name));
  }
  BOOST_TEST(common_server()("GET", entry_of(settings, "newer")).text == newer);
  BOOST_TEST(store->statistics()->corrupt == 0u);
  BOOST_TEST(store->list({})->size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_record_that_was_moved_to_another_key_is_not_served) {
  const redis::Settings settings = fresh_prefix();
  auto store = open_redis(settings);
  keep(*store, commit("cheap", value("poison")));
  common_server()("COPY", entry_of(settings, "cheap"), entry_of(settings, "precious"));
  BOOST_TEST(!find(*store, "precious"));
  BOOST_TEST(find(*store, "cheap").has_value());
}

BOOST_AUTO_TEST_CASE(only_so_many_versions_are_kept_when_asked) {
  RedisStore::Options options;
  options.client = new_client(fresh_prefix());
  options.versions_kept = 3;
  RedisStore store(std::move(options));
  for (int i = 0; i < 10; ++i) keep(store, commit("k", value(std::to_string(i))), at(i));
  BOOST_TEST(values_of(store.versions("")) == (std::vector<std::string>{"9", "8", "7"}));
  BOOST_TEST(store.statistics()->versions == 3u);
  BOOST_TEST(store.statistics()->value_bytes == 6u);
  BOOST_TEST(find(store, "k", at(20))->version == 10u);
}

BOOST_AUTO_TEST_CASE(batches_of_any_size_are_kept) {
  auto store = open_redis(fresh_prefix());
  std::vector<Commit> batch;
  std::vector<Key> keys;
  for (int i = 0; i < 3000; ++i) {
    batch.push_back(commit("k" + std::to_string(i), value(std::to_string(i))));
    keys.push_back(batch.back().key);
  }
  auto kept = store->commit(batch, at(0));
  BOOST_REQUIRE(kept);
  BOOST_TEST(kept->size() == 3000u);
  BOOST_TEST(store->statistics()->entries == 3000u);
  auto found = store->look_up(keys, at(1));
  BOOST_REQUIRE(found);
  for (std::size_t i = 0; i < keys.size(); ++i)
    BOOST_REQUIRE(((*found)[i]->value == batch[i].value));
  // More than a page of the index, and more than one scan.
  BOOST_TEST(store->list({.limit = 2500})->size() == 2500u);
  BOOST_TEST(store->versions("")->size() == 3000u);
  BOOST_TEST(store->commit({}, at(0))->empty());
}

BOOST_AUTO_TEST_CASE(
    a_server_that_is_gone_is_told_within_the_budget_and_forgotten_results_are_misses) {
  RedisServer server;
  redis::Settings settings = server.settings();
  settings.breaker.first_pause = 1ms;
  auto store = open_redis(settings);
  keep(*store, commit("k", value("x")));
  server.kill();
  const Key wanted = key("k");
  const auto begin = std::chrono::steady_clock::now();
  BOOST_TEST((store->look_up({&wanted, 1}, at(0)).error().code == ErrorCode::unavailable));
  const Commit more = commit("more", value("x"));
  BOOST_TEST((store->commit({&more, 1}, at(0)).error().code == ErrorCode::unavailable));
  BOOST_TEST((store->list({}).error().code == ErrorCode::unavailable));
  BOOST_TEST((store->versions("").error().code == ErrorCode::unavailable));
  BOOST_TEST((store->statistics().error().code == ErrorCode::unavailable));
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 5s));
  server.start();  // empty, and without functions
  BOOST_TEST(!find(*store, "k"));
  keep(*store, commit("k", value("x")));
  BOOST_TEST(find(*store, "k")->version == 1u);
}

BOOST_AUTO_TEST_CASE(a_server_that_hangs_costs_no_more_than_its_budget) {
  RedisServer server;
  redis::Settings settings = server.settings();
  settings.budgets = {};  // the real ones
  auto store = open_redis(settings);
  server.stop();
  const auto begin = std::chrono::steady_clock::now();
  const Key wanted = key("k");
  for (int i = 0; i < 20; ++i) {
    const auto answer = store->look_up({&wanted, 1}, at(0));
    BOOST_REQUIRE_MESSAGE(!answer, "a server that is stopped has answered");
    BOOST_TEST((answer.error().code == ErrorCode::unavailable), answer.error().message);
  }
  // Five times connecting and waiting, then nobody asks any more.
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 5 * 350ms + 2s));
  server.go_on();
}

BOOST_AUTO_TEST_CASE(results_survive_a_kill_of_a_server_that_writes_them_down) {
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  auto store = open_redis(server.settings());
  for (int i = 0; i < 50; ++i) keep(*store, commit(std::to_string(i), value(std::to_string(i))));
  server.kill();
  server.start();
  for (int i = 0; i < 50; ++i) BOOST_TEST(find(*store, std::to_string(i)).has_value());
  keep(*store, commit("1", value("other")));  // functions are persistent, too
  BOOST_TEST(find(*store, "1")->version == 2u);
}

BOOST_AUTO_TEST_CASE(a_full_server_still_serves_and_refuses_new_results) {
  RedisServer server({"--maxmemory", "6mb"});
  auto store = open_redis(server.settings());
  keep(*store, commit("first", value("x")));
  Result<std::vector<Kept>> last;
  int count = 0;
  for (; count < 2000; ++count) {
    const Commit more = commit(std::to_string(count), noisy(3000));
    if (last = store->commit({&more, 1}, at(0)); !last) break;
  }
  BOOST_REQUIRE(!last);
  BOOST_TEST((last.error().code == ErrorCode::exhausted), last.error().message);
  BOOST_TEST(find(*store, "first").has_value());
  BOOST_TEST(find(*store, std::to_string(count - 1)).has_value());
  const Commit large = commit("large", noisy(100'000));
  BOOST_TEST((store->commit({&large, 1}, at(0)).error().code == ErrorCode::exhausted));
  server("CONFIG", "SET", "maxmemory", "0");
  keep(*store, commit("after", value("x")));
}

BOOST_AUTO_TEST_CASE(a_server_that_drops_what_it_likes_causes_misses_and_nothing_else) {
  RedisServer server({"--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random"});
  auto store = open_redis(server.settings());
  int hits = 0, misses = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string name = std::to_string(i % 700);
    const Payload expected = noisy(static_cast<std::size_t>(i % 700) * 15 + 1);
    const Key wanted = key(name);
    auto found = store->look_up({&wanted, 1}, at(i));
    BOOST_REQUIRE(found);
    if ((*found)[0]) {
      ++hits;
      BOOST_REQUIRE(((*found)[0]->value == expected));
    } else {
      ++misses;
      const Commit made = commit(name, expected);
      BOOST_REQUIRE(store->commit({&made, 1}, at(i)));
    }
  }
  BOOST_TEST(hits > 0);
  BOOST_TEST(misses > 700);  // some were dropped
  BOOST_TEST(store->statistics()->corrupt == 0u);
}

BOOST_AUTO_TEST_CASE(flushing_the_server_is_no_more_than_a_miss) {
  RedisServer server;
  auto store = open_redis(server.settings());
  keep(*store, commit("k", value("x")));
  keep(*store, commit("k", value("y")));
  server("FLUSHALL");
  BOOST_TEST(!find(*store, "k"));
  BOOST_TEST(store->list({})->empty());
  keep(*store, commit("k", value("z")));
  BOOST_TEST(find(*store, "k")->version == 1u);
  server("DEL", "rp1:stats");  // sequences go on from the records
  keep(*store, commit("k", value("y")));
  BOOST_TEST(values_of(store->versions("")) == (std::vector<std::string>{"y", "z"}));
}

BOOST_AUTO_TEST_CASE(what_is_computed_while_the_server_is_flushed_is_kept_unless_others_came) {
  RedisServer server;
  const auto client = new_client(server.settings());
  RedisStore store({.client = client});
  RedisLeases leases({.client = client});
  const auto acquire = [&](const std::string& name, const std::string& owner) {
    const LeaseWish wish{.key = key(name), .even_if_published = false};
    return leases.acquire({&wish, 1}, {.owner = owner, .now = now()})->front();
  };
  const auto publish = [&](const std::string& name, const Lease& lease, const std::string& text) {
    Commit made = commit(name, value(text));
    made.lease = lease;
    return store.commit({&made, 1}, now())->front();
  };
  const Lease alone = acquire("alone", "a").lease;
  const Lease late = acquire("late", "a").lease;
  const Lease too_late = acquire("too late", "a").lease;
  server("FLUSHALL");
  const LeaseAnswer newer = acquire("late", "b");
  BOOST_TEST((newer.kind == LeaseAnswer::Kind::granted));
  BOOST_TEST(newer.lease.token > late.token);
  BOOST_TEST((publish("too late", acquire("too late", "b").lease, "x") == Kept::added));
  BOOST_TEST((publish("alone", alone, "x") == Kept::added));
  BOOST_TEST((publish("late", late, "x") == Kept::fenced));
  BOOST_TEST((publish("too late", too_late, "y") == Kept::fenced));
}

BOOST_AUTO_TEST_CASE(a_replica_serves_and_keeps_nothing) {
  RedisServer primary({"--repl-diskless-sync-delay", "0"});
  RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(primary.port())});
  auto writer = open_redis(primary.settings());
  auto reader = open_redis(replica.settings());
  keep(*writer, commit("k", value("x")));
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!find(*reader, "k") && std::chrono::steady_clock::now() < deadline) {
  }
  BOOST_TEST(find(*reader, "k").has_value());
  const Commit more = commit("more", value("x"));
  const auto refused = reader->commit({&more, 1}, at(0));
  BOOST_TEST((refused.error().code == ErrorCode::denied), refused.error().message);
  BOOST_TEST(find(*reader, "k").has_value());
}

BOOST_AUTO_TEST_CASE(the_rights_that_the_documentation_names_are_enough) {
  TemporaryFolder folder;
  RedisServer server;
  // docs/caching.md, "Sharing"
  server("ACL", "SETUSER", "worker", "on", ">secret", "resetkeys", "~rp1:*", "resetchannels",
         "&rp1:*", "-@all", "+@read", "+@write", "+@connection", "+@transaction", "+fcall",
         "+fcall_ro", "+publish", "+time", "-@dangerous");
  server("ACL", "SETUSER", "reader", "on", ">secret", "~rp1:*", "-@all", "+@read", "+@connection",
         "-@dangerous");
  redis::Client administrator(server.settings(), redis_functions());
  BOOST_REQUIRE(administrator.install_functions());
  {
    auto store = open_redis(as_user(server, folder, "worker"));
    keep(*store, commit("k", value("x")));
    keep(*store, commit("k", noisy(10'000)));
    keep(*store, commit("k", value("y")));
    BOOST_TEST(find(*store, "k")->version == 3u);
    BOOST_TEST(store->list({})->size() == 1u);
    BOOST_TEST(store->versions("")->size() == 3u);
    BOOST_TEST(store->statistics()->entries == 1u);
  }
  {
    auto store = open_redis(as_user(server, folder, "reader"));
    BOOST_TEST(find(*store, "k")->version == 3u);
    const Commit more = commit("k", value("z"));
    const auto refused = store->commit({&more, 1}, at(0));
    BOOST_TEST((refused.error().code == ErrorCode::denied), refused.error().message);
    BOOST_TEST(find(*store, "k")->version == 3u);
  }
  auto stranger = as_user(server, folder, "worker");
  stranger.prefix = "other";
  auto store = open_redis(stranger);
  const Key wanted = key("k");
  BOOST_TEST((store->look_up({&wanted, 1}, at(0)).error().code == ErrorCode::denied));
}

BOOST_AUTO_TEST_CASE(a_bad_line_never_gives_a_wrong_value_nor_harms_what_is_kept) {
  RedisServer server;
  TcpProxy proxy(server.port());
  redis::Settings settings = server.settings();
  auto good = open_redis(settings);
  std::vector<std::pair<std::string, Payload>> all;
  for (const std::size_t size : {10u, 3000u, 20'000u, 200'000u})
    all.emplace_back(std::to_string(size), noisy(size));
  for (const auto& [name, payload] : all) keep(*good, commit(name, payload));
  settings.endpoint.port = proxy.port();
  settings.breaker.failures = 1'000'000;
  settings.budgets = {
      .connect = 1s, .operation = 200ms, .value = 300ms, .value_bytes_per_second = 100'000'000};
  auto store = open_redis(settings);
  for (const auto manner :
       {TcpProxy::Manner::corrupt, TcpProxy::Manner::truncate, TcpProxy::Manner::cut,
        TcpProxy::Manner::swallow, TcpProxy::Manner::drip, TcpProxy::Manner::corrupt,
        TcpProxy::Manner::pass}) {
    proxy.set(TcpProxy::Manner::pass);
    (void)find(*good, "10");
    proxy.set(manner);
    for (const auto& [name, payload] : all) {
      BOOST_TEST(is_served_or_refused(*store, name, payload));
      proxy.set(TcpProxy::Manner::pass);  // a connection that works, then a bad one
      BOOST_TEST(is_served_or_refused(*store, "10", all[0].second));
      proxy.set(manner);
      const Commit again = commit(name, payload);
      (void)store->commit({&again, 1}, at(1));
    }
  }
  for (const auto& [name, payload] : all) {
    const auto found = find(*good, name, at(2));
    BOOST_REQUIRE(found);
    BOOST_TEST((found->value == payload));
    BOOST_TEST(found->version == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_commit_whose_answer_was_lost_is_no_second_version) {
  RedisServer server;
  TcpProxy proxy(server.port());
  redis::Settings settings = server.settings();
  settings.endpoint.port = proxy.port();
  settings.breaker.failures = 1'000'000;
  settings.budgets.connect = settings.budgets.operation = settings.budgets.value = 300ms;
  auto store = open_redis(settings);
  BOOST_TEST(!find(*store, "k"));
  keep(*store, commit("before", value("x")));  // connected, with functions
  proxy.set(TcpProxy::Manner::swallow);
  const Commit made = commit("k", value("x"));
  BOOST_TEST((store->commit({&made, 1}, at(0)).error().code == ErrorCode::unavailable));
  proxy.set(TcpProxy::Manner::pass);
  auto kept = store->commit({&made, 1}, at(1));
  BOOST_REQUIRE(kept);
  BOOST_TEST(((*kept)[0] == Kept::same));
  BOOST_TEST(find(*store, "k")->version == 1u);
}

BOOST_AUTO_TEST_CASE(processes_that_commit_at_once_keep_every_version) {
  const redis::Settings settings = fresh_prefix();
  constexpr int processes = 4, commits = 40;
  std::vector<pid_t> children;
  for (int p = 0; p < processes; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = open_redis(settings);
      for (int i = 0; i < commits; ++i) {
        const std::string own = std::to_string(p) + "." + std::to_string(i);
        const std::vector<Commit> batch{commit("shared", value(own)),
                                        commit(own, value(std::string(40'000, 'x') + own))};
        if (!store->commit(batch, at(i))) ::_exit(2);
        const Key wanted = key(own);
        auto found = store->look_up({&wanted, 1}, at(i));
        if (!found || !(*found)[0]) ::_exit(3);
      }
      store.reset();
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  auto store = open_redis(settings);
  auto versions = store->versions(key("shared").text());
  BOOST_REQUIRE(versions);
  BOOST_TEST(versions->size() == processes * commits);
  for (std::size_t i = 0; i + 1 < versions->size(); ++i) {
    BOOST_TEST((*versions)[i].version == (*versions)[i + 1].version + 1);
    BOOST_TEST(((*versions)[i].committed > (*versions)[i + 1].committed));
  }
  const Statistics statistics = *store->statistics();
  BOOST_TEST(statistics.entries == 1u + processes * commits);
  BOOST_TEST(statistics.versions == 2u * processes * commits);
  BOOST_TEST(statistics.look_ups == processes * commits);
  BOOST_TEST(statistics.hits == processes * commits);
}

std::unique_ptr<RedisStore> open_signing(const redis::Settings& settings, const std::string& keys) {
  RedisStore::Options options;
  options.client = new_client(settings);
  options.mac_keys = std::make_shared<const MacKeys>(*MacKeys::parse(keys));
  return std::make_unique<RedisStore>(std::move(options));
}
Found search_one(Store& store, std::string_view name, Time now = at(1)) {
  const Query query{.key = key(name)};
  auto found = store.search({&query, 1}, now);
  if (!found) BOOST_FAIL(found.error().message);
  return std::move((*found)[0]);
}

BOOST_AUTO_TEST_CASE(only_what_was_signed_is_taken_where_there_are_keys) {
  const redis::Settings settings = fresh_prefix();
  const std::string one(64, '1'), two(64, '2');
  const auto signing = open_signing(settings, one);
  const auto open = open_redis(settings);
  keep(*open, commit("forged", value("x")));
  keep(*signing, commit("a", value("y"), 100s));
  BOOST_TEST((find(*signing, "a", at(1))->value == value("y")));
  BOOST_TEST((find(*open, "a", at(1))->value == value("y")));  // who has no keys reads all

  const std::string before = common_server()("GET", entry_of(settings, "forged")).text;
  BOOST_TEST((search_one(*signing, "forged").miss == Miss::bad_mac));
  BOOST_TEST(common_server()("GET", entry_of(settings, "forged")).text == before);
  // Also the same value is a new version then: nothing but a commit takes the place.
  keep(*signing, commit("forged", value("x")), at(2));
  BOOST_TEST((find(*signing, "forged", at(3))->version == 2u));

  // One that is over must not be made fresh by whoever may write.
  std::string later = common_server()("GET", entry_of(settings, "a")).text;
  ++later[38];
  common_server()("SET", entry_of(settings, "a"), later);
  BOOST_TEST((search_one(*signing, "a").miss == Miss::bad_mac));

  // Nodes get a new key one after the other.
  keep(*signing, commit("b", value("z")));
  const auto between = open_signing(settings, two + "\n" + one);
  BOOST_TEST(find(*between, "b", at(1)).has_value());
  keep(*between, commit("b", value("z")), at(4));
  const auto after = open_signing(settings, two);
  const Found renewed = search_one(*after, "b", at(5));
  BOOST_TEST((renewed.record.has_value() && renewed.record->version == 2u),
             static_cast<int>(renewed.miss));
  BOOST_TEST((find(*signing, "b", at(5))->version == 1u));  // the older one, which it can tell
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
