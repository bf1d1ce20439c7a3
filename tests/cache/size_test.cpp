// How the work grows with the size of the cache: counted in steps of SQLite's machine, which are
// the same on every computer, and only printed in milliseconds. REPRISE_ENTRIES says how large is
// large.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <sqlite3.h>
#include <boost/test/unit_test.hpp>

#include "cache/sqlite_store.hpp"
#include "cache/upkeep.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(Size)
namespace {

using namespace testing;
using Steady = std::chrono::steady_clock;

std::size_t large() {
  const char* text = std::getenv("REPRISE_ENTRIES");
  return text != nullptr ? std::stoul(text) : 20'000;
}

/// Steps of all statements on all connections opened in this process.
struct Meter {
  std::int64_t steps = 0;
  std::int64_t scanned = 0;  // rows stepped over without an index
  std::int64_t in_transaction = 0, most_in_transaction = 0;
  bool is_writing = false;

  static Meter& get() {
    static Meter meter;
    return meter;
  }
  void zero() { *this = {}; }
  void note(sqlite3_stmt* statement) {
    const std::int64_t took = sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
    steps += took;
    scanned += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    const std::string_view sql = sqlite3_sql(statement);
    if (sql.starts_with("BEGIN IMMEDIATE")) is_writing = true;
    if (is_writing) in_transaction += took;
    if (sql == "COMMIT" || sql == "ROLLBACK") {
      most_in_transaction = std::max(most_in_transaction, in_transaction);
      in_transaction = 0;
      is_writing = false;
    }
  }
};

extern "C" int on_profile(unsigned, void*, void* statement, void*) {
  Meter::get().note(static_cast<sqlite3_stmt*>(statement));
  return 0;
}
extern "C" int on_open(sqlite3* database, const char**, const sqlite3_api_routines*) {
  return sqlite3_trace_v2(database, SQLITE_TRACE_PROFILE, on_profile, nullptr);
}

struct Metered {
  Metered() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(on_open)); }
  ~Metered() { sqlite3_reset_auto_extension(); }
};

double milliseconds(Steady::duration duration) {
  return static_cast<double>(duration / std::chrono::microseconds{1}) / 1000;
}

std::string name_of(std::size_t i) {
  return "entry " + std::to_string(i);
}

struct Folder {
  reprise::testing::TemporaryFolder folder;
  std::shared_ptr<BlobStore> blobs = *BlobStore::open({.folder = folder / "blobs", .sync = false});
  std::unique_ptr<SqliteStore> store = open();
  std::size_t filled = 0;

  std::unique_ptr<SqliteStore> open() {
    auto opened = SqliteStore::open({.path = folder / "cache.db", .blobs = blobs});
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
    return std::move(*opened);
  }
  std::unique_ptr<Upkeep> upkeep() {
    auto opened = Upkeep::open(folder / "cache.db", blobs, folder / "blobs");
    BOOST_REQUIRE(opened.has_value());
    return std::move(*opened);
  }
  void fill(std::size_t entries) {
    while (filled < entries) {
      std::vector<Commit> batch;
      for (; filled < entries && batch.size() < 5000; ++filled) {
        batch.push_back(commit(name_of(filled), value("value " + std::to_string(filled))));
        batch.back().name = "task " + std::to_string(filled % 100);
        batch.back().cost = std::chrono::milliseconds{filled % 1000};
      }
      auto done = store->commit(batch, at(static_cast<std::int64_t>(filled)));
      BOOST_REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
    }
  }
  /// Of 100 keys that are there and 100 that are not, spread over all.
  std::int64_t steps_of_look_ups() {
    std::vector<Key> keys;
    for (std::size_t i = 0; i < 100; ++i) {
      keys.push_back(key(name_of(i * (filled / 100))));
      keys.push_back(key("nothing " + std::to_string(i)));
    }
    Meter::get().zero();
    const auto begin = Steady::now();
    auto found = store->look_up(keys, at(0));
    const auto took = Steady::now() - begin;
    BOOST_REQUIRE(found.has_value());
    BOOST_TEST(std::count_if(found->begin(), found->end(),
                             [](const auto& each) { return each.has_value(); }) == 100);
    BOOST_TEST(Meter::get().scanned == 0);
    BOOST_TEST_MESSAGE(filled << " entries: " << Meter::get().steps << " steps for 200 look-ups, "
                              << milliseconds(took) * 5 << " µs each");
    return Meter::get().steps;
  }
  std::int64_t steps_of_commits() {
    std::vector<Commit> batch;
    for (int i = 0; i < 50; ++i) {
      batch.push_back(commit("new " + std::to_string(filled) + std::to_string(i), value("x")));
      batch.push_back(commit(name_of(static_cast<std::size_t>(i)), value(std::to_string(filled))));
    }
    Meter::get().zero();
    BOOST_REQUIRE(store->commit(batch, at(2'000'000)).has_value());
    return Meter::get().steps;
  }
  /// The counters say what the rows add up to.
  void check_counters() {
    sqlite3* handle = nullptr;
    BOOST_REQUIRE(sqlite3_open((folder / "cache.db").c_str(), &handle) == SQLITE_OK);
    const auto number = [&](const char* sql) {
      sqlite3_stmt* statement = nullptr;
      BOOST_REQUIRE(sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr) == SQLITE_OK);
      BOOST_REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
      const auto result = static_cast<std::uint64_t>(sqlite3_column_int64(statement, 0));
      sqlite3_finalize(statement);
      return result;
    };
    const Statistics statistics = *store->statistics();
    BOOST_TEST(statistics.versions == number("SELECT count(*) FROM version WHERE status = 0"));
    BOOST_TEST(statistics.value_bytes ==
               number("SELECT ifnull(sum(size), 0) FROM version WHERE status = 0"));
    BOOST_TEST(statistics.entries == number("SELECT count(DISTINCT key) FROM version v WHERE "
                                            "status = 0 AND NOT EXISTS(SELECT 1 FROM version w "
                                            "WHERE w.key = v.key AND w.number > v.number AND "
                                            "w.status = 2)"));
    sqlite3_close(handle);
  }
};

/// Half of the values' bytes have to go.
CollectRequest half(Folder& f) {
  CollectRequest request;
  request.keep_for = Duration{0};
  request.max_bytes = f.store->statistics()->value_bytes / 2;
  return request;
}

long peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) / 1024;
  return -1;
}

BOOST_TEST_GLOBAL_FIXTURE(Metered);

BOOST_AUTO_TEST_CASE(looking_up_and_committing_take_as_many_steps_among_many_entries_as_among_few) {
  Folder f;
  f.fill(1000);
  const std::int64_t few = f.steps_of_look_ups();
  const std::int64_t commits_among_few = f.steps_of_commits();
  f.fill(large());
  f.steps_of_look_ups();  // opens the file's pages
  const std::int64_t many = f.steps_of_look_ups();
  BOOST_TEST(many <= few + few / 10);
  BOOST_TEST(f.steps_of_commits() <= commits_among_few + commits_among_few / 10);
}

BOOST_AUTO_TEST_CASE(collecting_goes_in_small_steps_and_others_commit_between_them) {
  std::int64_t most_among_few = 0;
  for (const std::size_t entries : {std::size_t{3000}, large()}) {
    Folder f;
    f.fill(entries);
    auto other = f.open();
    CollectRequest request = half(f);
    std::size_t steps = 0, committed = 0;
    auto longest = Steady::duration{0};
    auto last = Steady::now();
    request.on_step = [&] {
      longest = std::max(longest, Steady::now() - last);
      if (++steps % 10 == 1) {
        const Commit one = commit("meanwhile " + std::to_string(steps), value("x"));
        BOOST_REQUIRE(other->commit({&one, 1}, at(3'000'000)).has_value());
        ++committed;
      }
      last = Steady::now();
      return true;
    };
    Meter::get().zero();
    const auto begin = Steady::now();
    const auto done = f.upkeep()->collect(request, at(4'000'000));
    const auto took = Steady::now() - begin;
    BOOST_REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
    BOOST_TEST(done->is_complete);
    BOOST_TEST(done->entries.size() > entries / 3);
    BOOST_TEST(steps >= entries / request.rows_per_step);
    const std::int64_t most = Meter::get().most_in_transaction;
    BOOST_TEST_MESSAGE(entries << " entries, " << done->entries.size() << " removed in " << steps
                               << " steps and " << milliseconds(took) / 1000
                               << " s, the longest step " << milliseconds(longest)
                               << " ms, at most " << most << " steps of SQLite in a transaction, "
                               << peak_megabytes() << " MiB at most");
    if (most_among_few == 0) most_among_few = most;
    BOOST_TEST(most <= most_among_few + most_among_few / 4);
    BOOST_TEST(f.store->statistics()->entries == entries - done->entries.size() + committed);
    f.check_counters();
  }
  BOOST_TEST(peak_megabytes() < 700);
}

BOOST_AUTO_TEST_CASE(collecting_that_was_stopped_goes_on_another_time) {
  Folder f;
  f.fill(5000);
  for (std::size_t i = 0; i < 2000; ++i) {  // old versions
    const Commit again = commit(name_of(i), value("second"));
    BOOST_REQUIRE(f.store->commit({&again, 1}, at(9000)).has_value());
  }
  CollectRequest request = half(f);
  request.keep_versions = 0;
  request.max_bytes = *request.max_bytes / 2;
  int rounds = 0;
  std::uint64_t removed = 0, versions = 0;
  for (bool is_complete = false; !is_complete; ++rounds) {
    BOOST_REQUIRE(rounds < 100);
    int steps = 0;
    request.on_step = [&] { return ++steps < 16 + rounds; };
    const auto done = f.upkeep()->collect(request, at(10'000));
    BOOST_REQUIRE(done.has_value());
    is_complete = done->is_complete;
    removed += done->entries.size();
    versions += done->versions;
    f.check_counters();
  }
  BOOST_TEST(rounds > 2);
  BOOST_TEST(versions == 2000u);
  BOOST_TEST(f.store->statistics()->entries == 5000 - removed);
  BOOST_TEST(f.store->statistics()->value_bytes <= *request.max_bytes);
}

BOOST_AUTO_TEST_CASE(removing_and_verifying_many_keep_the_counters_right) {
  Folder f;
  f.fill(3000);
  std::set<Key> keys;
  for (std::size_t i = 0; i < 3000; i += 2) keys.insert(key(name_of(i)));
  BOOST_TEST(*f.upkeep()->remove(keys, at(5000)) == 1500u);
  f.check_counters();
  BOOST_TEST(f.store->statistics()->entries == 1500u);
  const auto verified = f.upkeep()->verify(true, {}, Duration{0}, at(6000));
  BOOST_REQUIRE(verified.has_value());
  BOOST_TEST(verified->versions == 3000u);
  BOOST_TEST(verified->problems.empty());
  f.check_counters();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
