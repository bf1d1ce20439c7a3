#include "cache/upkeep.hpp"

#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>

#include "cache/sqlite_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/sql.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(Upkeep_)
namespace {

using namespace testing;
using reprise::testing::run_sql;
using std::chrono::hours;

struct Folder {
  reprise::testing::TemporaryFolder folder;
  std::shared_ptr<BlobStore> blobs = *BlobStore::open({.folder = folder / "blobs"});

  std::unique_ptr<SqliteStore> store() {
    auto opened = SqliteStore::open({.path = folder / "cache.db", .blobs = blobs});
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
    return std::move(*opened);
  }
  std::unique_ptr<Upkeep> upkeep() {
    auto opened = Upkeep::open(folder / "cache.db", blobs, folder / "blobs");
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
    return std::move(*opened);
  }
  void keep(const std::string& name, const std::string& text, Time when) {
    const Commit one = commit(name, value(text));
    BOOST_REQUIRE(store()->commit({&one, 1}, when).has_value());
  }
  std::optional<std::string> as_of(const std::string& name, Time when) {
    const Key wanted = key(name);
    auto answers = store()->look_up_as_of({&wanted, 1}, when);
    BOOST_REQUIRE(answers.has_value());
    if (answers->front().horizon) return "horizon";
    if (!answers->front().record) return std::nullopt;
    return *answers->front().record->value.value()->get_if<std::string>();
  }
  std::optional<std::string> look_up(const std::string& name, Time when) {
    const Key wanted = key(name);
    auto found = store()->look_up({&wanted, 1}, when);
    BOOST_REQUIRE(found.has_value());
    if (!found->front()) return std::nullopt;
    return *found->front()->value.value()->get_if<std::string>();
  }
};

BOOST_AUTO_TEST_CASE(an_older_cache_is_brought_up_to_date_after_a_copy_was_made) {
  Folder f;
  f.keep("a", "x", at(0));
  run_sql(f.folder / "cache.db",
          "DROP TABLE renewal; DROP TABLE horizon; DROP TABLE pin; DROP TABLE lease; DROP TABLE "
          "removal; "
          "PRAGMA user_version = 1;");
  BOOST_TEST(*f.look_up("a", at(1)) == "x");
  BOOST_TEST(std::filesystem::exists(f.folder / "cache.db.format1.backup"));
  BOOST_TEST(*f.as_of("a", at(1)) == "x");
}

BOOST_AUTO_TEST_CASE(a_newer_cache_is_read_and_never_written) {
  Folder f;
  f.keep("a", "x", at(0));
  run_sql(f.folder / "cache.db",
          "ALTER TABLE version ADD COLUMN later INTEGER; PRAGMA user_version = 9;");
  const auto refused = SqliteStore::open({.path = f.folder / "cache.db", .blobs = f.blobs});
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().message.find("format 9, this version of reprise reads up to") !=
                 std::string::npos,
             refused.error().message);
  BOOST_TEST(!Upkeep::open(f.folder / "cache.db", f.blobs, f.folder / "blobs").has_value());
  {
    const auto reader =
        SqliteStore::open({.path = f.folder / "cache.db", .blobs = f.blobs, .read_only = true});
    BOOST_REQUIRE_MESSAGE(reader.has_value(), (reader ? "" : reader.error().message));
    BOOST_TEST((*reader)->is_newer());
    const Key wanted = key("a");
    BOOST_TEST((*(*reader)->look_up({&wanted, 1}, at(1))).front().has_value());
    BOOST_TEST((*reader)->list({})->size() == 1u);
    const Commit one = commit("b", value("y"));
    BOOST_TEST(!(*reader)->commit({&one, 1}, at(2)).has_value());
  }
  // What is missing is an error, and no crash.
  run_sql(f.folder / "cache.db", "ALTER TABLE version RENAME COLUMN digest TO checksum");
  const auto other =
      SqliteStore::open({.path = f.folder / "cache.db", .blobs = f.blobs, .read_only = true});
  BOOST_REQUIRE(other.has_value());
  BOOST_TEST(!(*other)->list({}).has_value());
  BOOST_TEST(!std::filesystem::exists(f.folder / "cache.db.format9.backup"));
}

BOOST_AUTO_TEST_CASE(a_cache_of_another_program_is_refused_and_left_as_it_was) {
  Folder f;
  f.keep("a", "x", at(0));
  run_sql(f.folder / "cache.db", "PRAGMA application_id = 42; PRAGMA wal_checkpoint(TRUNCATE)");
  const auto bytes = [&] {
    std::ifstream stream(f.folder / "cache.db", std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(stream), {}};
  };
  const std::string before = bytes();
  for (const bool read_only : {false, true}) {
    const auto refused = SqliteStore::open(
        {.path = f.folder / "cache.db", .blobs = f.blobs, .read_only = read_only});
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST(refused.error().message.find("another program") != std::string::npos,
               refused.error().message);
  }
  BOOST_TEST((bytes() == before));
}

BOOST_AUTO_TEST_CASE(what_was_removed_is_a_miss_from_then_on_and_stays_in_the_past) {
  Folder f;
  f.keep("a", "x", at(0));
  f.keep("b", "y", at(0));
  BOOST_TEST(*f.upkeep()->remove({key("a"), key("never")}, at(10)) == 1u);
  BOOST_TEST(!f.look_up("a", at(11)));
  BOOST_TEST(*f.look_up("b", at(11)) == "y");
  BOOST_TEST(*f.as_of("a", at(9)) == "x");
  BOOST_TEST(!f.as_of("a", at(10)));
  BOOST_TEST(f.store()->statistics()->entries == 1u);
  BOOST_TEST(*f.upkeep()->remove({key("a")}, at(12)) == 0u);
  f.keep("a", "z", at(20));
  BOOST_TEST(*f.look_up("a", at(21)) == "z");
  BOOST_TEST(!f.as_of("a", at(15)));
  BOOST_TEST(f.store()->statistics()->entries == 2u);
}

BOOST_AUTO_TEST_CASE(an_expiry_that_was_renewed_is_told_as_it_was) {
  Folder f;
  const Commit ten = commit("a", value("x"), std::chrono::seconds{10});
  BOOST_REQUIRE(f.store()->commit({&ten, 1}, at(0)).has_value());
  BOOST_REQUIRE(f.store()->commit({&ten, 1}, at(50)).has_value());
  BOOST_TEST(f.as_of("a", at(5)).has_value());
  BOOST_TEST(!f.as_of("a", at(20)).has_value());  // it had expired, and nobody knew of the renewal
  BOOST_TEST(f.as_of("a", at(55)).has_value());
  BOOST_TEST(!f.as_of("a", at(60)).has_value());
}

BOOST_AUTO_TEST_CASE(old_history_goes_and_its_horizon_is_told) {
  Folder f;
  for (int i = 0; i < 6; ++i) f.keep("a", "v" + std::to_string(i), at(i * 3600));
  CollectRequest request;
  request.keep_versions = 2;
  request.keep_for = hours{1};
  request.dry_run = true;
  const Time later = at(100 * 3600);
  const auto dry = f.upkeep()->collect(request, later);
  BOOST_REQUIRE(dry.has_value());
  BOOST_TEST(dry->versions == 4u);  // two superseded ones and the current one stay
  BOOST_TEST(*f.as_of("a", at(60)) == "v0");
  request.dry_run = false;
  const auto done = f.upkeep()->collect(request, later);
  BOOST_REQUIRE(done.has_value());
  BOOST_TEST(done->versions == dry->versions);
  BOOST_TEST(*f.look_up("a", later) == "v5");
  BOOST_TEST(*f.as_of("a", at(60)) == "horizon");
  BOOST_TEST(*f.as_of("a", at(4 * 3600 - 1)) == "horizon");
  BOOST_TEST(*f.as_of("a", at(4 * 3600)) == "v4");
  BOOST_TEST(f.store()->statistics()->versions == 2u);
}

BOOST_AUTO_TEST_CASE(pins_and_active_runs_keep_what_a_budget_would_remove) {
  Folder f;
  for (const char* name : {"a", "b", "c", "d"}) {
    Commit one = commit(name, value(std::string("value of ") + name));
    one.run.bytes[0] = static_cast<std::uint8_t>(name[0]);
    one.cost = std::chrono::seconds{name[0] - 'a' + 1};
    BOOST_REQUIRE(f.store()->commit({&one, 1}, at(name[0])).has_value());
  }
  auto upkeep = f.upkeep();
  BOOST_REQUIRE(upkeep->pin(PinKind::key, key("a").digest.raw(), "paper", at(0)).has_value());
  CollectRequest request;
  request.max_bytes = 0;
  RunId active;
  active.bytes[0] = 'b';
  request.active.insert(active);
  const auto gone = upkeep->collect(request, at(500));
  BOOST_REQUIRE(gone.has_value());
  BOOST_REQUIRE(gone->entries.size() == 2u);
  // What is cheapest to make again goes first.
  BOOST_TEST((gone->entries[0].record.key == key("c")));
  BOOST_TEST((gone->entries[1].record.key == key("d")));
  BOOST_TEST(gone->pinned == 2u);
  BOOST_TEST(f.look_up("a", at(501)).has_value());
  BOOST_TEST(f.look_up("b", at(501)).has_value());
  BOOST_TEST(*f.as_of("c", at(400)) == "horizon");
  BOOST_TEST(!f.as_of("c", at(501)).has_value());
  const auto statistics = f.store()->statistics();
  BOOST_TEST(statistics->entries == 2u);
  BOOST_TEST(statistics->versions == 2u);
  BOOST_TEST(*upkeep->unpin(PinKind::key, key("a").digest.raw()));
  BOOST_TEST(!*upkeep->unpin(PinKind::key, key("a").digest.raw()));
}

BOOST_AUTO_TEST_CASE(blobs_that_nothing_needs_go_once_they_are_not_young) {
  Folder f;
  f.keep("a", std::string(100'000, 'x'), at(0));
  const auto orphan = f.blobs->put("nobody needs this");
  BOOST_REQUIRE(orphan.has_value());
  CollectRequest request;
  auto young = f.upkeep()->collect(request, now());
  BOOST_REQUIRE(young.has_value());
  BOOST_TEST(young->blobs == 0u);
  request.grace = Duration{0};
  request.blobs_in_use.insert(*orphan);
  BOOST_TEST(f.upkeep()->collect(request, now() + hours{1})->blobs == 0u);
  request.blobs_in_use.clear();
  BOOST_TEST(f.upkeep()->collect(request, now() + hours{1})->blobs == 1u);
  BOOST_TEST(!f.blobs->contains(*orphan));
  BOOST_TEST(f.look_up("a", at(1)).has_value());
}

BOOST_AUTO_TEST_CASE(verify_finds_every_kind_of_damage_and_repairs_it) {
  Folder f;
  f.keep("small", "x", at(0));
  f.keep("large", std::string(100'000, 'x'), at(0));
  const auto orphan = f.blobs->put("nobody needs this");
  BOOST_REQUIRE(orphan.has_value());
  const auto problems = [&](bool repair) {
    auto verified = f.upkeep()->verify(repair, {}, Duration{0}, now() + hours{1});
    BOOST_REQUIRE(verified.has_value());
    return verified->problems;
  };
  BOOST_TEST(problems(false).size() == 1u);  // the orphan
  run_sql(f.folder / "cache.db", "UPDATE version SET value = x'01' WHERE length(value) < 10;");
  const Digest large = value(std::string(100'000, 'x')).digest;
  auto path = f.folder / "blobs" / large.hex().substr(0, 2) / (large.hex().substr(2) + ".value");
  if (!std::filesystem::exists(path)) path += ".zst";  // values that compress well
  BOOST_REQUIRE(std::filesystem::exists(path));
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::ofstream(path, std::ios::app) << "more";
  const auto found = problems(false);
  BOOST_TEST(found.size() == 4u);  // two versions, the large one's blob, the orphan
  BOOST_TEST(problems(true).size() == 4u);
  BOOST_TEST(problems(false).empty());
  BOOST_TEST(!f.look_up("small", at(1)));
  BOOST_TEST(!f.look_up("large", at(1)));
  BOOST_TEST(f.store()->statistics()->entries == 0u);
  f.keep("large", std::string(100'000, 'x'), at(10));
  BOOST_TEST(f.look_up("large", at(11)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
