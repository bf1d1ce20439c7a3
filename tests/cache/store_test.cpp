// What every store does, and what only the one on disk can do wrong.
#include <chrono>
#include <csignal>
#include <iostream>

#include <sqlite3.h>
#include <sys/wait.h>
#include <boost/test/unit_test.hpp>

#include "cache/memory_store.hpp"
#include "cache/sqlite_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using reprise::testing::SmallDisk;
using reprise::testing::TemporaryFolder;

std::unique_ptr<SqliteStore> open_store(const std::filesystem::path& path) {
  auto store = SqliteStore::open({.path = path});
  if (!store) BOOST_FAIL(store.error().message);
  return std::move(*store);
}

std::optional<Record> find(Store& store, std::string_view name, Time now = at(0)) {
  const Key wanted = key(name);
  auto found = store.look_up({&wanted, 1}, now);
  if (!found) BOOST_FAIL(found.error().message);
  return (*found)[0];
}

void keep(Store& store, const Commit& commit, Time now = at(0)) {
  auto done = store.commit({&commit, 1}, now);
  if (!done) BOOST_FAIL(done.error().message);
}

void run_sql(const std::filesystem::path& path, const char* sql) {
  sqlite3* handle = nullptr;
  BOOST_REQUIRE(sqlite3_open(path.c_str(), &handle) == SQLITE_OK);
  char* message = nullptr;
  BOOST_REQUIRE_MESSAGE(sqlite3_exec(handle, sql, nullptr, nullptr, &message) == SQLITE_OK,
                        (message ? message : ""));
  sqlite3_close(handle);
}

struct Stores {
  TemporaryFolder folder;
  MemoryStore memory;
  std::unique_ptr<SqliteStore> sqlite = open_store(folder / "cache.db");

  template <class Body>
  void each(Body body) {
    for (Store* store : {static_cast<Store*>(&memory), static_cast<Store*>(sqlite.get())}) {
      BOOST_TEST_CONTEXT((store == &memory ? "memory" : "sqlite")) body(*store);
    }
  }
};

std::vector<std::string> values_of(const Result<std::vector<Record>>& records) {
  BOOST_REQUIRE(records);
  std::vector<std::string> texts;
  for (const Record& record : *records)
    texts.push_back(record.value.bytes ? *record.value.value()->get_if<std::string>()
                                       : "(" + std::to_string(record.value.size) + ")");
  return texts;
}

BOOST_FIXTURE_TEST_SUITE(Store_, Stores)

BOOST_AUTO_TEST_CASE(what_was_committed_is_found_with_all_that_was_said_about_it) {
  each([](Store& store) {
    keep(store, commit("k", value("result"), 10s), at(5));
    const auto found = find(store, "k", at(6));
    BOOST_REQUIRE(found);
    BOOST_TEST((found->key == key("k")));
    BOOST_TEST(found->version == 1u);
    BOOST_TEST(found->name == "align");
    BOOST_TEST(found->value.view() == value("result").view());
    BOOST_TEST((found->committed == at(5)));
    BOOST_TEST((found->expires == at(15)));
    BOOST_TEST(found->run.bytes[0] == 7);
    BOOST_TEST(found->task == "align[s1]");
    BOOST_TEST((found->cost == 250ms));
  });
}

BOOST_AUTO_TEST_CASE(answers_come_in_the_order_of_the_questions) {
  each([](Store& store) {
    for (const char* name : {"a", "b", "c"}) keep(store, commit(name, value(name)));
    const std::vector<Key> keys{key("c"), key("none"), key("a"), key("c"), key("b")};
    auto found = store.look_up(keys, at(1));
    BOOST_REQUIRE(found);
    std::vector<std::string> texts;
    for (const auto& record : *found)
      texts.push_back(record ? *record->value.value()->get_if<std::string>() : "-");
    BOOST_TEST(texts == (std::vector<std::string>{"c", "-", "a", "c", "b"}));
    BOOST_TEST(store.look_up({}, at(1))->empty());
  });
}

BOOST_AUTO_TEST_CASE(values_of_every_size_come_back) {
  each([](Store& store) {
    for (const std::size_t size : {0u, 1u, 100u, 32'700u, 32'768u, 33'000u, 2'000'000u}) {
      keep(store, commit("k" + std::to_string(size), value(std::string(size, 'x'))));
      BOOST_TEST(find(store, "k" + std::to_string(size))->value.view() ==
                 value(std::string(size, 'x')).view());
    }
    keep(store, commit("nil", Payload::nil()));
    BOOST_TEST(find(store, "nil")->value.is_nil());
  });
  BOOST_TEST(sqlite->statistics()->blob_files ==
             3u);  // with the header, 32'768 characters are above 32 KiB
}

BOOST_AUTO_TEST_CASE(a_value_that_is_not_at_hand_cannot_be_kept_and_nothing_else_of_the_batch_is) {
  each([](Store& store) {
    Payload elsewhere = value("elsewhere");
    elsewhere.bytes = nullptr;
    for (const Payload& bad : {elsewhere, Payload{}}) {
      const std::vector<Commit> batch{commit("good", value("x")), commit("bad", bad)};
      BOOST_TEST((store.commit(batch, at(0)).error().code == ErrorCode::invalid_argument));
      BOOST_TEST(!find(store, "good"));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_result_is_fresh_strictly_before_it_expires) {
  each([](Store& store) {
    keep(store, commit("k", value("x"), 10s), at(0));
    BOOST_TEST(find(store, "k", at(10) - 1ns).has_value());
    BOOST_TEST(!find(store, "k", at(10)).has_value());
    keep(store, commit("never fresh", value("x"), 0s), at(0));
    BOOST_TEST(!find(store, "never fresh", at(0)).has_value());
  });
}

BOOST_AUTO_TEST_CASE(the_same_value_again_is_no_new_version_but_lives_longer) {
  each([](Store& store) {
    keep(store, commit("k", value("x"), 10s), at(0));
    keep(store, commit("k", value("x"), 10s), at(8));
    BOOST_TEST(store.versions("")->size() == 1u);
    BOOST_TEST((find(store, "k", at(15))->expires == at(18)));
    BOOST_TEST((find(store, "k", at(15))->committed == at(0)));
    keep(store, commit("k", value("x")), at(9));
    BOOST_TEST((find(store, "k", at(100))->expires == std::nullopt));
  });
}

BOOST_AUTO_TEST_CASE(versions_are_numbered_and_the_newest_fresh_one_is_found) {
  each([](Store& store) {
    keep(store, commit("k", value("one")), at(0));
    keep(store, commit("k", value("two"), 10s), at(1));
    BOOST_TEST(find(store, "k", at(2))->version == 2u);
    BOOST_TEST(find(store, "k", at(11))->version == 1u);  // "two" is over, "one" has no end
    keep(store, commit("k", value("one")), at(20));  // back to an older value: a version of its own
    BOOST_TEST(find(store, "k", at(21))->version == 3u);
    BOOST_TEST(values_of(store.versions(key("k").text())) ==
               (std::vector<std::string>{"one", "two", "one"}));
  });
}

BOOST_AUTO_TEST_CASE(times_of_one_key_increase_also_when_clocks_do_not) {
  each([](Store& store) {
    keep(store, commit("k", value("one")), at(10));
    keep(store, commit("k", value("two")), at(3));
    auto versions = store.versions("");
    BOOST_REQUIRE(versions);
    BOOST_TEST(((*versions)[0].committed == at(10) + 1ns));
  });
}

BOOST_AUTO_TEST_CASE(one_batch_may_name_a_key_twice) {
  each([](Store& store) {
    const std::vector<Commit> batch{commit("k", value("one")), commit("k", value("two")),
                                    commit("k", value("two"))};
    BOOST_TEST(store.commit(batch, at(0)).has_value());
    BOOST_TEST(find(store, "k")->version == 2u);
  });
}

BOOST_AUTO_TEST_CASE(the_list_shows_the_newest_version_of_each_key_newest_first) {
  each([](Store& store) {
    Commit merge = commit("m", value("merged"));
    merge.name = "merge";
    keep(store, commit("a", value("1")), at(0));
    keep(store, merge, at(1));
    keep(store, commit("b", value("22"), 1s), at(2));
    keep(store, commit("a", value("333")), at(3));
    const auto listed = [&](Listing listing) { return values_of(store.list(listing)); };
    using Texts = std::vector<std::string>;
    BOOST_TEST(listed({}) ==
               (Texts{"(4)", "(3)", "(7)"}));  // by size: the values themselves are not fetched
    BOOST_TEST(listed({.name_prefix = "al"}) == (Texts{"(4)", "(3)"}));
    BOOST_TEST(listed({.name_prefix = "align2"}) == Texts{});
    BOOST_TEST(listed({.as_of = at(2)}) == (Texts{"(3)", "(7)", "(2)"}));
    BOOST_TEST(listed({.as_of = at(1)}) == (Texts{"(7)", "(2)"}));
    BOOST_TEST(listed({.as_of = at(-1)}) == Texts{});
    BOOST_TEST(listed({.limit = 1}) == (Texts{"(4)"}));
    BOOST_TEST((*store.list({}))[0].material.empty());
  });
}

BOOST_AUTO_TEST_CASE(versions_are_found_by_the_beginning_of_their_key) {
  each([](Store& store) {
    for (int i = 0; i < 40; ++i)
      keep(store, commit("k" + std::to_string(i), value(std::to_string(i))));
    const std::string hex = key("k17").digest.hex();
    const auto only = std::vector<std::string>{"17"};
    for (const std::string& prefix :
         {"k1:" + hex, hex, hex.substr(0, 15), "k1:" + hex.substr(0, 16)})
      BOOST_TEST(values_of(store.versions(prefix)) == only, prefix);
    std::size_t together = 0;
    for (const char digit : std::string("0123456789abcdef"))
      together += store.versions(std::string(1, digit))->size();
    BOOST_TEST(together == 40u);
    BOOST_TEST((*store.versions(hex))[0].material == "material of k17");
    for (const std::string& bad :
         {std::string("xyz"), hex + "0", std::string("k2:00"), std::string("k1:g")})
      BOOST_TEST((store.versions(bad).error().code == ErrorCode::invalid_argument), bad);
  });
}

BOOST_AUTO_TEST_CASE(names_and_tasks_are_data) {
  each([](Store& store) {
    Commit odd = commit("k", value("x"));
    odd.name = std::string("a\0'; DROP TABLE version; --\xff", 29);
    odd.task = std::string("\x1b[31m\0", 6);
    keep(store, odd);
    BOOST_TEST(find(store, "k")->name == odd.name);
    BOOST_TEST(find(store, "k")->task == odd.task);
    BOOST_TEST(store.list({.name_prefix = odd.name.substr(0, 3)})->size() == 1u);
    BOOST_TEST(store.list({.name_prefix = "a%"})->empty());
  });
}

BOOST_AUTO_TEST_CASE(statistics_count) {
  each([](Store& store) {
    keep(store, commit("a", value("1")));   // 2 bytes encoded
    keep(store, commit("a", value("22")));  // 3
    keep(store, commit("a", value("22")));
    keep(store, commit("b", value("333")));  // 4
    (void)find(store, "a");
    (void)find(store, "none");
    (void)find(store, "b");
    const Statistics expected{
        .entries = 2, .versions = 3, .value_bytes = 9, .look_ups = 3, .hits = 2, .misses = 1};
    BOOST_TEST((*store.statistics() == expected));
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(SqliteStore_)

BOOST_AUTO_TEST_CASE(everything_is_there_after_opening_again) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  {
    auto store = open_store(path);
    keep(*store, commit("small", value("x")));
    keep(*store, commit("large", value(std::string(100'000, 'x'))));
    (void)find(*store, "small");
    (void)find(*store, "none");
  }
  const Statistics expected{.entries = 2,
                            .versions = 2,
                            .value_bytes = 100'007,
                            .blob_files = 1,
                            .blob_bytes = 100'005,
                            .look_ups = 2,
                            .hits = 1,
                            .misses = 1};
  auto store = open_store(path);
  BOOST_TEST((*store->statistics() == expected));
  BOOST_TEST(find(*store, "large")->value.size == 100'005u);
  auto reader = SqliteStore::open({.path = path, .read_only = true});
  BOOST_REQUIRE(reader);
  BOOST_TEST(find(**reader, "small").has_value());
  const Commit more = commit("more", value("x"));
  BOOST_TEST(((*reader)->commit({&more, 1}, at(0)).error().code == ErrorCode::denied));
}

BOOST_AUTO_TEST_CASE(a_value_that_was_changed_on_disk_is_dropped_and_a_miss) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  auto store = open_store(path);
  keep(*store, commit("k", value("old")), at(0));
  keep(*store, commit("k", value("good")), at(1));
  keep(*store, commit("other", value("good")), at(1));
  run_sql(path, "UPDATE version SET value = x'a4626164ff' WHERE number = 2");
  BOOST_TEST(find(*store, "k", at(2))->version == 1u);  // the newest one that can be trusted
  BOOST_TEST(store->statistics()->corrupt == 1u);
  run_sql(path,
          "UPDATE version SET value = NULL WHERE number = 1 AND name = 1");  // claims to be in the
                                                                             // blob store
  BOOST_TEST(!find(*store, "k", at(2)));
  BOOST_TEST(!find(*store, "k", at(2)));
  BOOST_TEST(!find(*store, "other", at(2)));
  const Statistics statistics = *store->statistics();
  BOOST_TEST(statistics.corrupt == 3u);  // each is counted once
  BOOST_TEST(statistics.versions == 0u);
  BOOST_TEST(statistics.entries == 0u);
  BOOST_TEST(statistics.value_bytes == 0u);
  BOOST_TEST(store->list({})->empty());
  BOOST_TEST(store->versions("")->empty());

  keep(*store, commit("k", value("good")), at(3));      // computed again
  BOOST_TEST(find(*store, "k", at(4))->version == 3u);  // numbers are not used again
  BOOST_TEST(store->statistics()->entries == 1u);
}

BOOST_AUTO_TEST_CASE(a_large_value_that_is_gone_or_damaged_is_a_miss_and_can_be_kept_again) {
  TemporaryFolder folder;
  auto store = open_store(folder / "cache.db");
  const Payload large = value(std::string(100'000, 'x'));
  const auto blob =
      (*BlobStore::open({.folder = folder / "blobs"}))->path_of(large.digest).string() + ".value";
  keep(*store, commit("k", large));
  std::filesystem::remove(blob);
  BOOST_TEST(!find(*store, "k"));
  keep(*store, commit("k", large));
  BOOST_TEST(find(*store, "k").has_value());
  std::filesystem::permissions(blob, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  reprise::testing::write_file(blob, std::string(100'005, 'y'));
  BOOST_TEST(!find(*store, "k"));
  keep(*store, commit("k", large));
  BOOST_TEST(find(*store, "k")->value.view() == large.view());
}

BOOST_AUTO_TEST_CASE(a_row_that_makes_no_sense_is_a_miss) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  auto store = open_store(path);
  keep(*store, commit("k", value("x")));
  run_sql(path, "UPDATE version SET run = x'00', digest = 17");
  BOOST_TEST(!find(*store, "k"));
  BOOST_TEST(store->statistics()->corrupt == 1u);
}

BOOST_AUTO_TEST_CASE(a_tombstone_hides_what_came_before) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  auto store = open_store(path);
  keep(*store, commit("k", value("x")), at(0));
  keep(*store, commit("k", value("y")), at(1));
  run_sql(path, "UPDATE version SET status = 2 WHERE number = 2");
  BOOST_TEST(!find(*store, "k", at(2)));
  BOOST_TEST(store->list({})->empty());
  BOOST_TEST(store->list({.as_of = at(0)})->size() == 1u);
}

BOOST_AUTO_TEST_CASE(processes_that_commit_at_once_keep_every_version) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  open_store(path);
  constexpr int processes = 4, commits = 40;
  std::vector<pid_t> children;
  for (int p = 0; p < processes; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = SqliteStore::open({.path = path});
      if (!store) ::_exit(1);
      for (int i = 0; i < commits; ++i) {
        const std::string own = std::to_string(p) + "." + std::to_string(i);
        const std::vector<Commit> batch{commit("shared", value(own)),
                                        commit(own, value(std::string(40'000, 'x') + own))};
        if (!(*store)->commit(batch, at(i))) ::_exit(2);
        const Key wanted = key(own);
        auto found = (*store)->look_up({&wanted, 1}, at(i));
        if (!found || !(*found)[0]) ::_exit(3);
      }
      store->reset();
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  auto store = open_store(path);
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

BOOST_AUTO_TEST_CASE(a_killed_process_leaves_whole_batches) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  open_store(path);
  int told[2];
  BOOST_REQUIRE(::pipe(told) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = SqliteStore::open({.path = path});
    for (int i = 0; store; ++i) {
      const std::string own = std::to_string(i);
      const std::vector<Commit> batch{commit("a" + own, value(std::string(50'000, 'x') + own)),
                                      commit("b" + own, value(own))};
      if (!(*store)->commit(batch, at(0)) || ::write(told[1], &i, sizeof i) != sizeof i) break;
    }
    ::_exit(1);
  }
  ::close(told[1]);
  int last = -1;
  for (int i = 0; i < 30; ++i) BOOST_REQUIRE(::read(told[0], &last, sizeof last) == sizeof last);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  while (::read(told[0], &last, sizeof last) == sizeof last) {
  }
  ::close(told[0]);
  auto store = open_store(path);
  for (int i = 0; i <= last + 1; ++i) {
    const std::string own = std::to_string(i);
    const bool a = find(*store, "a" + own).has_value(), b = find(*store, "b" + own).has_value();
    BOOST_TEST(a == b);
    if (i <= last) BOOST_TEST(a);
  }
}

BOOST_AUTO_TEST_CASE(on_a_full_disk_a_batch_is_refused_as_a_whole) {
  TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "size=1m");
  if (!disk.works()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  auto store = open_store(folder / "disk" / "cache.db");
  Status last;
  int batches = 0;
  for (; batches < 1000; ++batches) {
    const std::string own = std::to_string(batches);
    const std::vector<Commit> batch{commit("a" + own, value(std::string(20'000, 'x') + own)),
                                    commit("b" + own, value(own))};
    if (last = store->commit(batch, at(0)); !last) break;
  }
  BOOST_REQUIRE(!last);
  BOOST_TEST((last.error().code == ErrorCode::exhausted), last.error().message);
  BOOST_TEST(batches > 0);
  BOOST_TEST(store->versions("")->size() == 2u * static_cast<unsigned>(batches));
}

BOOST_AUTO_TEST_CASE(many_keys_are_looked_up_at_once) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  constexpr int count = 10'000;
  std::vector<Key> keys;
  std::vector<Commit> commits;
  for (int i = 0; i < count; ++i) {
    commits.push_back(
        commit("k" + std::to_string(i), value(std::string(64, 'x') + std::to_string(i))));
    keys.push_back(commits.back().key);
  }
  {
    const auto start = std::chrono::steady_clock::now();
    BOOST_TEST(open_store(path)->commit(commits, at(0)).has_value());
    std::cout << "commit: "
              << count /
                     std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()
              << " keys/s\n";
  }
  auto store = open_store(path);
  for (const char* state : {"first", "again"}) {
    const auto start = std::chrono::steady_clock::now();
    auto found = store->look_up(keys, at(1));
    const double took =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::cout << "look up, " << state << ": " << count / took << " keys/s\n";
    BOOST_REQUIRE(found);
    for (int i = 0; i < count; ++i)
      BOOST_REQUIRE(((*found)[static_cast<std::size_t>(i)] &&
                     (*found)[static_cast<std::size_t>(i)]->value ==
                         commits[static_cast<std::size_t>(i)].value));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
