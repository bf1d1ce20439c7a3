#include "sqlite/database.hpp"

#include <iostream>
#include <map>

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <boost/test/unit_test.hpp>

#include "tests/support/temporary_folder.hpp"

namespace reprise::sqlite {

BOOST_AUTO_TEST_SUITE(Database_)
namespace {

using testing::SmallDisk;
using testing::TemporaryFolder;

constexpr std::string_view first_format =
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB, c TEXT, d REAL);";
constexpr std::string_view second_format = "ALTER TABLE t ADD COLUMN e INTEGER NOT NULL DEFAULT 7;";
constexpr std::string_view old_scripts[] = {first_format};
constexpr std::string_view new_scripts[] = {first_format, second_format};
constexpr Schema old_schema{"notebook", 0x1234'5678, old_scripts};
constexpr Schema new_schema{"notebook", 0x1234'5678, new_scripts};

std::unique_ptr<Database> opened(const std::filesystem::path& path,
                                 const Schema& schema = old_schema) {
  auto database = Database::open({.path = path, .schema = schema});
  if (!database) BOOST_FAIL(database.error().message);
  return std::move(*database);
}

std::int64_t number(Database& database, std::string_view sql) {
  Statement statement(database, sql);
  auto row = statement.next();
  if (!row) BOOST_FAIL(row.error().message);
  return *row ? statement.integer(0) : -1;
}

// Contents of every file in the folder, to see that nothing was touched and nothing added.
std::map<std::string, std::string> everything_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files[entry.path().filename().string()] = testing::read_file(entry.path());
  return files;
}

// A database as another program would make it.
void make_foreign(const std::filesystem::path& path, const char* sql) {
  sqlite3* handle = nullptr;
  BOOST_REQUIRE_EQUAL(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  BOOST_REQUIRE_EQUAL(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(handle);
}

void check_refused(const TemporaryFolder& folder, const std::filesystem::path& path, ErrorCode code,
                   std::string_view says) {
  const auto before = everything_in(folder.path());
  auto database = Database::open({.path = path, .schema = old_schema});
  BOOST_REQUIRE(!database);
  BOOST_TEST((database.error().code == code), database.error().message);
  BOOST_TEST(database.error().message.find(says) != std::string::npos, database.error().message);
  BOOST_TEST(database.error().message.find(path.string()) != std::string::npos,
             database.error().message);
  BOOST_TEST((everything_in(folder.path()) == before));
}

BOOST_AUTO_TEST_CASE(values_come_back_as_they_were_bound) {
  TemporaryFolder folder;
  auto database = opened(folder / "a.db");
  const std::string zeros("a\0b\xff", 4);
  Statement insert(*database, "INSERT INTO t(a, b, c, d) VALUES(?1, ?2, ?3, ?4)");
  BOOST_TEST(insert.run(INT64_MIN, Blob{zeros}, zeros, 0.5).has_value());
  BOOST_TEST(insert.run(2, Blob{std::string_view()}, std::string_view(), std::optional<double>())
                 .has_value());
  BOOST_TEST(insert.run(3, std::optional<Blob>(), nullptr, std::nullopt).has_value());

  Statement select(*database, "SELECT a, b, c, d FROM t ORDER BY a");
  BOOST_REQUIRE(*select.next());
  BOOST_TEST(select.integer(0) == INT64_MIN);
  BOOST_TEST(select.bytes(1) == zeros);
  BOOST_TEST(select.bytes(2) == zeros);
  BOOST_TEST(select.real(3) == 0.5);
  BOOST_REQUIRE(*select.next());
  BOOST_TEST(!select.is_null(1));
  BOOST_TEST(select.bytes(1).empty());
  BOOST_TEST(!select.is_null(2));
  BOOST_TEST(select.is_null(3));
  BOOST_REQUIRE(*select.next());
  BOOST_TEST((select.is_null(1) && select.is_null(2) && select.is_null(3)));
  BOOST_TEST(!*select.next());
}

BOOST_AUTO_TEST_CASE(bad_sql_is_an_error_at_the_first_step) {
  TemporaryFolder folder;
  auto database = opened(folder / "a.db");
  Statement wrong(*database, "SELECT x FROM nowhere");
  auto row = wrong.next();
  BOOST_REQUIRE(!row);
  BOOST_TEST(row.error().message.find("nowhere") != std::string::npos, row.error().message);
  Statement too_many(*database, "INSERT INTO t(a) VALUES(?1)");
  BOOST_TEST(!too_many.run(1, 2).has_value());
  BOOST_TEST(too_many.run(1).has_value());
  BOOST_TEST((too_many.run(1).error().code == ErrorCode::conflict));  // the primary key
}

BOOST_AUTO_TEST_CASE(a_new_file_is_its_owners_alone_and_one_that_was_there_is_left_as_it_is) {
  TemporaryFolder folder;
  const auto mode_of = [&](const std::string& name) {
    return static_cast<unsigned>(std::filesystem::status(folder / name).permissions());
  };
  const mode_t before = ::umask(022);
  const auto database = opened(folder / "a.db");
  BOOST_TEST(database->run("INSERT INTO t(a) VALUES(1)").has_value());
  ::umask(before);
  for (const char* name : {"a.db", "a.db-wal", "a.db-shm"})
    BOOST_TEST(mode_of(name) == 0600u, name);
  std::ofstream(folder / "b.db").close();
  std::filesystem::permissions(folder / "b.db", std::filesystem::perms{0640});
  (void)opened(folder / "b.db");
  BOOST_TEST(mode_of("b.db") == 0640u);
}

BOOST_AUTO_TEST_CASE(a_transaction_without_commit_leaves_nothing) {
  TemporaryFolder folder;
  auto database = opened(folder / "a.db");
  {
    auto transaction = Transaction::begin(*database);
    BOOST_REQUIRE(transaction);
    BOOST_TEST(database->run("INSERT INTO t(a) VALUES(1)").has_value());
  }
  BOOST_TEST(number(*database, "SELECT count(*) FROM t") == 0);
  auto transaction = Transaction::begin(*database);
  BOOST_REQUIRE(transaction);
  BOOST_TEST(database->run("INSERT INTO t(a) VALUES(1)").has_value());
  BOOST_TEST(transaction->commit().has_value());
  BOOST_TEST(number(*database, "SELECT count(*) FROM t") == 1);
}

BOOST_AUTO_TEST_CASE(databases_of_others_are_refused_and_left_as_they_were) {
  TemporaryFolder folder;
  make_foreign(folder / "marked.db", "PRAGMA application_id=42; CREATE TABLE theirs(x)");
  check_refused(folder, folder / "marked.db", ErrorCode::conflict, "another program");
  make_foreign(folder / "unmarked.db", "CREATE TABLE theirs(x)");
  check_refused(folder, folder / "unmarked.db", ErrorCode::conflict, "another program");
  make_foreign(folder / "same_number.db", "PRAGMA user_version=1; CREATE TABLE theirs(x)");
  check_refused(folder, folder / "same_number.db", ErrorCode::conflict, "another program");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_database_is_refused_and_left_as_it_was) {
  TemporaryFolder folder;
  testing::write_file(folder / "letter.db", std::string(5000, 'x'));
  check_refused(folder, folder / "letter.db", ErrorCode::corrupt, "not a database");
}

BOOST_AUTO_TEST_CASE(a_newer_format_is_refused_and_left_as_it_was) {
  TemporaryFolder folder;
  make_foreign(folder / "new.db",
               "PRAGMA application_id=0x12345678; PRAGMA user_version=9; CREATE TABLE t(x)");
  check_refused(folder, folder / "new.db", ErrorCode::conflict,
                "format 9, this version of reprise reads up to 1");
}

BOOST_AUTO_TEST_CASE(an_older_format_is_brought_up_to_date_after_a_copy_was_made) {
  TemporaryFolder folder;
  const auto path = folder / "a.db";
  { BOOST_TEST(opened(path)->run("INSERT INTO t(a) VALUES(1)").has_value()); }
  {
    auto database = opened(path, new_schema);
    BOOST_TEST(number(*database, "SELECT e FROM t WHERE a = 1") == 7);
    BOOST_TEST(number(*database, "PRAGMA user_version") == 2);
  }
  BOOST_TEST(number(*opened(folder / "a.db.format1.backup"), "SELECT count(*) FROM t") == 1);
  const std::string before = testing::read_file(path);
  auto old_program = Database::open({.path = path, .schema = old_schema});
  BOOST_REQUIRE(!old_program);
  BOOST_TEST(old_program.error().message.find("format 2") != std::string::npos,
             old_program.error().message);
  BOOST_TEST((testing::read_file(path) == before));
}

BOOST_AUTO_TEST_CASE(a_failing_upgrade_changes_nothing) {
  TemporaryFolder folder;
  const auto path = folder / "a.db";
  { BOOST_TEST(opened(path)->run("INSERT INTO t(a) VALUES(1)").has_value()); }
  constexpr std::string_view broken[] = {first_format,
                                         "CREATE TABLE u(x); INSERT INTO nowhere VALUES(1);"};
  BOOST_TEST(!Database::open({.path = path, .schema = {"notebook", 0x1234'5678, broken}}));
  auto database = opened(path);
  BOOST_TEST(number(*database, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == 0);
}

BOOST_AUTO_TEST_CASE(a_second_writer_waits_and_then_gives_up) {
  TemporaryFolder folder;
  auto first = opened(folder / "a.db");
  auto second = Database::open({.path = folder / "a.db",
                                .schema = old_schema,
                                .busy_timeout = std::chrono::milliseconds{20}});
  BOOST_REQUIRE(second);
  auto held = Transaction::begin(*first);
  BOOST_REQUIRE(held);
  auto refused = Transaction::begin(**second);
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == ErrorCode::unavailable));
  BOOST_TEST(refused.error().message.find("in use by another process") != std::string::npos,
             refused.error().message);
  BOOST_TEST(
      Transaction::begin(**second, Transaction::Kind::read).has_value());  // readers do not care
}

BOOST_AUTO_TEST_CASE(a_short_log_stays_when_the_file_is_closed_and_is_read_at_the_next_open) {
  TemporaryFolder folder;
  const auto path = folder / "a.db";
  const auto log = folder / "a.db-wal";
  { BOOST_TEST(opened(path)->run("INSERT INTO t(a) VALUES(1)").has_value()); }
  BOOST_TEST(std::filesystem::file_size(log) > 0u);
  BOOST_TEST(number(*opened(path), "SELECT count(*) FROM t") == 1);
}

BOOST_AUTO_TEST_CASE(a_long_log_is_folded_into_the_file_when_it_is_closed) {
  TemporaryFolder folder;
  const auto path = folder / "a.db";
  {
    auto database = opened(path);
    const std::string large(3 << 20, 'x');
    Statement insert(*database, "INSERT INTO t(a, b) VALUES(1, ?1)");
    BOOST_TEST(insert.run(Blob{large}).has_value());
  }
  BOOST_TEST(std::filesystem::file_size(folder / "a.db-wal") == 0u);
  BOOST_TEST(number(*opened(path), "SELECT length(b) FROM t") == 3 << 20);
}

BOOST_AUTO_TEST_CASE(processes_that_make_the_same_file_at_once_all_get_it) {
  TemporaryFolder folder;
  constexpr int processes = 8;
  // One in four pairs once saw the file turn from empty to foreign between two reads.
  for (int round = 0; round < 40; ++round) {
    const auto path = folder / ("a" + std::to_string(round) + ".db");
    std::vector<pid_t> children;
    for (int i = 0; i < processes; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        auto database = Database::open({.path = path, .schema = old_schema});
        ::_exit(database && (*database)->run("INSERT INTO t(b) VALUES('x')") ? 0 : 1);
      }
      children.push_back(child);
    }
    for (pid_t child : children) {
      int status = -1;
      ::waitpid(child, &status, 0);
      BOOST_TEST(status == 0);
    }
    BOOST_TEST(number(*opened(path), "SELECT count(*) FROM t") == processes);
  }
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_told_as_such_and_what_was_committed_stays) {
  TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "size=512k");
  if (!disk.works()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  auto database = opened(folder / "disk" / "a.db");
  Statement insert(*database, "INSERT INTO t(b) VALUES(zeroblob(10000))");
  Status last;
  int rows = 0;
  while (rows < 1000 && (last = insert.run())) ++rows;
  BOOST_REQUIRE(!last);
  BOOST_TEST((last.error().code == ErrorCode::exhausted), last.error().message);
  BOOST_TEST(rows > 0);
  BOOST_TEST(number(*database, "SELECT count(*) FROM t") == rows);
}

BOOST_AUTO_TEST_CASE(a_read_only_disk_is_told_as_such_and_can_be_read) {
  TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "size=4m");
  const auto path = folder / "disk" / "a.db";
  if (disk.works()) opened(path);
  if (!disk.make_read_only()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  auto fresh = Database::open({.path = folder / "disk" / "b.db", .schema = old_schema});
  BOOST_REQUIRE(!fresh);
  BOOST_TEST((fresh.error().code == ErrorCode::denied), fresh.error().message);
  auto known = Database::open({.path = path, .schema = old_schema});
  BOOST_TEST((!known || !(*known)->run("INSERT INTO t(a) VALUES(1)")));
  BOOST_TEST(Database::open({.path = path, .schema = old_schema, .read_only = true}).has_value());
}

// Between the making of the file and of its tables a reader may look in.
BOOST_AUTO_TEST_CASE(an_empty_file_is_not_there_yet_for_readers) {
  const TemporaryFolder folder;
  testing::write_file(folder / "new.db", "");
  const auto database =
      Database::open({.path = folder / "new.db", .schema = old_schema, .read_only = true});
  BOOST_REQUIRE(!database);
  BOOST_TEST((database.error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(reading_only_makes_no_file) {
  TemporaryFolder folder;
  auto database =
      Database::open({.path = folder / "none.db", .schema = old_schema, .read_only = true});
  BOOST_TEST(!database);
  BOOST_TEST(everything_in(folder.path()).empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::sqlite
