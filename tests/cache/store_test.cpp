// What only the store on disk can do wrong, and what it does beyond the contract.
#include <chrono>
#include <csignal>
#include <iostream>

#include <sys/wait.h>
#include <boost/test/unit_test.hpp>

#include "cache/sqlite_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/sql.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(SqliteStore_)
namespace {

using namespace testing;
using namespace std::chrono_literals;
using reprise::testing::run_sql;
using reprise::testing::SmallDisk;
using reprise::testing::TemporaryFolder;

std::unique_ptr<SqliteStore> open_store(const std::filesystem::path& path) {
  auto store = SqliteStore::open({.path = path});
  if (!store) BOOST_FAIL(store.error().message);
  return std::move(*store);
}

BOOST_AUTO_TEST_CASE(everything_is_there_after_opening_again) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  {
    auto store = open_store(path);
    keep(*store, commit("small", value("x")));
    keep(*store, commit("large", noisy(100'000)));
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

BOOST_AUTO_TEST_CASE(values_above_32_KiB_are_blobs) {
  TemporaryFolder folder;
  auto store = open_store(folder / "cache.db");
  for (const std::size_t size : {100u, 32'700u, 32'768u, 33'000u, 2'000'000u})
    keep(*store, commit("k" + std::to_string(size), value(std::string(size, 'x'))));
  // With the header, 32'768 characters are above 32 KiB.
  BOOST_TEST(store->statistics()->blob_files == 3u);
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
  const Payload large = noisy(100'000);
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
  Result<std::vector<Kept>> last;
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
