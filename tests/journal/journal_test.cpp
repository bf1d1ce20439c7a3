// What every journal does, and what only the one on disk can do wrong.
#include <csignal>
#include <iostream>

#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "journal/memory_journal.hpp"
#include "journal/sqlite_journal.hpp"
#include "tests/journal/journal_support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::journal {

BOOST_AUTO_TEST_SUITE(journal_tests)
namespace {

using namespace testing;
using reprise::testing::SmallDisk;
using reprise::testing::TemporaryFolder;

std::unique_ptr<SqliteJournal> open_journal(const std::filesystem::path& path) {
  auto journal = SqliteJournal::open({.path = path});
  if (!journal) BOOST_FAIL(journal.error().message);
  return std::move(*journal);
}

// One case body for both implementations.
struct Journals {
  TemporaryFolder folder;
  MemoryJournal memory;
  std::unique_ptr<SqliteJournal> sqlite = open_journal(folder / "journal.db");

  template <class Body>
  void each(Body body) {
    for (Journal* journal : {static_cast<Journal*>(&memory), static_cast<Journal*>(sqlite.get())}) {
      BOOST_TEST_CONTEXT((journal == &memory ? "memory" : "sqlite")) body(*journal);
    }
  }
};

std::vector<RunId> ids(const Result<std::vector<RunRow>>& rows) {
  BOOST_REQUIRE(rows);
  std::vector<RunId> result;
  for (const RunRow& row : *rows) result.push_back(row.id);
  return result;
}

std::vector<Offset> firsts(const Result<std::vector<Journal::Entry>>& entries) {
  BOOST_REQUIRE(entries);
  std::vector<Offset> result;
  for (const auto& entry : *entries) result.push_back(entry.first);
  return result;
}

BOOST_FIXTURE_TEST_SUITE(Journal_, Journals)

BOOST_AUTO_TEST_CASE(a_run_is_found_as_it_was_opened) {
  each([](Journal& journal) {
    const RunRow original = row(0);
    BOOST_TEST(journal.open_run(original, "flow").has_value());
    auto rows = journal.runs({});
    BOOST_REQUIRE(rows);
    BOOST_REQUIRE(rows->size() == 1u);
    BOOST_TEST(((*rows)[0] == original));
    BOOST_TEST(*journal.flow(original.flow) == "flow");
    BOOST_TEST((journal.flow(sha256("other")).error().code == ErrorCode::not_found));
    BOOST_TEST((journal.open_run(original, "flow").error().code == ErrorCode::conflict));
  });
}

BOOST_AUTO_TEST_CASE(changes_are_numbered_over_all_runs_and_read_back_in_order) {
  each([](Journal& journal) {
    const RunRow a = row(0), b = row(1);
    BOOST_TEST(journal.open_run(a, "flow").has_value());
    BOOST_TEST(journal.open_run(b, "flow").has_value());
    const Batch a1 = batch(a.id, {change(0, TaskState::running), change(1, TaskState::running)});
    const Batch b1 = batch(b.id, {change(0, TaskState::running)});
    const Batch a2 =
        batch(a.id, {ended(0, TaskState::success, 5, 5)}, run_is(RunState::success, 6));
    BOOST_TEST(*journal.append(std::vector{a1, b1}) == 3u);
    BOOST_TEST(*journal.append(std::vector{batch(a.id, {}), a2}) == 5u);
    BOOST_TEST(*journal.append({}) == 5u);

    auto entries = journal.read(a.id, 0);
    BOOST_REQUIRE(entries);
    BOOST_REQUIRE(entries->size() == 2u);
    BOOST_TEST((*entries)[0].first == 1u);
    BOOST_TEST(((*entries)[0].batch == a1));
    BOOST_TEST((*entries)[1].first == 4u);
    BOOST_TEST(((*entries)[1].batch == a2));
    BOOST_TEST(firsts(journal.read(b.id, 0)) == std::vector<Offset>{3});
  });
}

BOOST_AUTO_TEST_CASE(reading_goes_on_after_an_offset_and_stops_at_a_limit) {
  each([](Journal& journal) {
    const RunRow a = row(0);
    BOOST_TEST(journal.open_run(a, "flow").has_value());
    for (int i = 0; i < 4; ++i)  // offsets 1-2, 3-4, 5-6, 7-8
      BOOST_TEST(journal
                     .append(std::vector{
                         batch(a.id, {change(0, TaskState::ready), change(1, TaskState::ready)})})
                     .has_value());
    using Offsets = std::vector<Offset>;
    BOOST_TEST(firsts(journal.read(a.id, 0)) == (Offsets{1, 3, 5, 7}));
    BOOST_TEST(firsts(journal.read(a.id, 3)) ==
               (Offsets{3, 5, 7}));  // 4 is after 3 and batches are not split
    BOOST_TEST(firsts(journal.read(a.id, 4)) == (Offsets{5, 7}));
    BOOST_TEST(firsts(journal.read(a.id, 8)) == Offsets{});
    BOOST_TEST(firsts(journal.read(a.id, UINT64_MAX)) == Offsets{});
    BOOST_TEST(firsts(journal.read(a.id, 0, 4)) == (Offsets{1, 3}));
    BOOST_TEST(firsts(journal.read(a.id, 0, 5)) == (Offsets{1, 3}));
    BOOST_TEST(firsts(journal.read(a.id, 2, 1)) == (Offsets{3}));  // at least one
  });
}

BOOST_AUTO_TEST_CASE(a_run_change_shows_in_the_runs_row) {
  each([](Journal& journal) {
    const RunRow a = row(0);
    BOOST_TEST(journal.open_run(a, "flow").has_value());
    BOOST_TEST(journal.append(std::vector{batch(a.id, {}, run_is(RunState::failed, 7, "no luck"))})
                   .has_value());
    RunRow now = (*journal.runs({}))[0];
    BOOST_TEST((now.state == RunState::failed));
    BOOST_TEST(now.message == "no luck");
    BOOST_TEST((now.finished == later(7)));
    BOOST_TEST(
        journal.append(std::vector{batch(a.id, {}, run_is(RunState::running, 8))}).has_value());
    now = (*journal.runs({}))[0];
    BOOST_TEST((now.state == RunState::running));
    BOOST_TEST((now.finished == std::nullopt));
    const Summary summary{10, 5, 4, 1, 2, 3};
    BOOST_TEST(journal.set_summary(a.id, summary).has_value());
    BOOST_TEST(((*journal.runs({}))[0].summary == summary));
  });
}

BOOST_AUTO_TEST_CASE(what_concerns_an_unknown_run_is_refused_and_leaves_nothing) {
  each([](Journal& journal) {
    const RunRow a = row(0), unknown = row(1);
    BOOST_TEST(journal.open_run(a, "flow").has_value());
    const auto refused =
        journal.append(std::vector{batch(a.id, {change(0, TaskState::ready)}),
                                   batch(unknown.id, {change(0, TaskState::ready)})});
    BOOST_TEST((refused.error().code == ErrorCode::not_found));
    BOOST_TEST(firsts(journal.read(a.id, 0)).empty());
    BOOST_TEST((journal.read(unknown.id, 0).error().code == ErrorCode::not_found));
    BOOST_TEST((journal.set_summary(unknown.id, {}).error().code == ErrorCode::not_found));
    BOOST_TEST((journal.remove(unknown.id).error().code == ErrorCode::not_found));
    BOOST_TEST(*journal.append(std::vector{batch(a.id, {change(0, TaskState::ready)})}) == 1u);
  });
}

BOOST_AUTO_TEST_CASE(runs_are_listed_newest_first_and_by_every_question) {
  each([](Journal& journal) {
    RunRow a = row(0, "align"), b = row(1000, "merge"), c = row(2000, "align", "other flow");
    c.parameters_digest = sha256("other parameters");
    for (const RunRow& each : {a, b, c}) BOOST_TEST(journal.open_run(each, "flow").has_value());
    BOOST_TEST(journal.append(std::vector{batch(b.id, {}, run_is(RunState::success))}).has_value());
    const auto asked = [&](auto change_query) {
      RunQuery query;
      change_query(query);
      return ids(journal.runs(query));
    };
    using Ids = std::vector<RunId>;
    BOOST_TEST((asked([](RunQuery&) {}) == Ids{c.id, b.id, a.id}));
    BOOST_TEST((asked([](RunQuery& q) { q.limit = 2; }) == Ids{c.id, b.id}));
    BOOST_TEST((asked([](RunQuery& q) { q.flow_name = "align"; }) == Ids{c.id, a.id}));
    BOOST_TEST((asked([](RunQuery& q) { q.state = RunState::success; }) == Ids{b.id}));
    BOOST_TEST((asked([&](RunQuery& q) { q.flow = a.flow; }) == Ids{b.id, a.id}));
    BOOST_TEST(
        (asked([&](RunQuery& q) { q.parameters_digest = c.parameters_digest; }) == Ids{c.id}));
    BOOST_TEST((asked([&](RunQuery& q) {
                  q.flow = a.flow, q.parameters_digest = c.parameters_digest;
                }) == Ids{}));
    BOOST_TEST((asked([&](RunQuery& q) { q.since = b.submitted; }) == Ids{c.id, b.id}));
    BOOST_TEST((asked([&](RunQuery& q) { q.id_prefix = ""; }) == Ids{c.id, b.id, a.id}));
    for (std::size_t length :
         {10u, 13u, 26u})  // of the 10 characters that hold the time on, each id differs
      BOOST_TEST(
          (asked([&](RunQuery& q) { q.id_prefix = b.id.text().substr(0, length); }) == Ids{b.id}));
    BOOST_TEST((asked([&](RunQuery& q) { q.id_prefix = "ZZ"; }) == Ids{}));
    BOOST_TEST((asked([&](RunQuery& q) { q.id_prefix = "!"; }) == Ids{}));
    BOOST_TEST((asked([&](RunQuery& q) { q.id_prefix = b.id.text() + "0"; }) == Ids{}));
  });
}

BOOST_AUTO_TEST_CASE(each_epoch_is_one_higher_and_the_first_names_the_journal) {
  each([](Journal& journal) {
    BOOST_TEST((*journal.begin_epoch(7, "one", later(0)) == Epoch{1, 7, 7}));
    BOOST_TEST((*journal.begin_epoch(UINT64_MAX, "two", later(1)) == Epoch{2, UINT64_MAX, 7}));
  });
}

BOOST_AUTO_TEST_CASE(a_removed_run_takes_its_flow_along_but_offsets_are_not_used_again) {
  each([](Journal& journal) {
    const RunRow a = row(0), b = row(1), c = row(2, "align", "own flow");
    for (const RunRow& each : {a, b, c})
      BOOST_TEST(journal.open_run(each, each.id == c.id ? "own flow" : "flow").has_value());
    BOOST_TEST(*journal.append(std::vector{batch(a.id, {change(0, TaskState::ready)}),
                                           batch(c.id, {change(0, TaskState::ready)})}) == 2u);
    BOOST_TEST(journal.remove(c.id).has_value());
    BOOST_TEST((journal.flow(c.flow).error().code == ErrorCode::not_found));
    BOOST_TEST(journal.remove(a.id).has_value());
    BOOST_TEST(journal.flow(b.flow).has_value());  // b still has it
    BOOST_TEST((journal.read(a.id, 0).error().code == ErrorCode::not_found));
    BOOST_TEST(*journal.append(std::vector{batch(b.id, {change(0, TaskState::ready)})}) == 3u);
    BOOST_TEST(firsts(journal.read(b.id, 0)) == std::vector<Offset>{3});
    BOOST_TEST(journal.remove(b.id).has_value());
    BOOST_TEST(journal.runs({})->empty());
    BOOST_TEST(!journal.flow(b.flow).has_value());
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(SqliteJournal_)

BOOST_AUTO_TEST_CASE(everything_is_there_after_opening_again) {
  TemporaryFolder folder;
  const auto path = folder / "journal.db";
  const RunRow a = row(0);
  const Batch changes =
      batch(a.id, {ended(0, TaskState::success, 5, 5)}, run_is(RunState::success, 6));
  {
    auto journal = open_journal(path);
    BOOST_TEST(journal->open_run(a, "flow").has_value());
    BOOST_TEST(journal->flush().has_value());
    BOOST_TEST(*journal->append(std::vector{changes}) == 2u);
  }
  for (const bool read_only : {false, true}) {
    auto journal = SqliteJournal::open({.path = path, .read_only = read_only});
    BOOST_REQUIRE(journal);
    auto entries = (*journal)->read(a.id, 0);
    BOOST_REQUIRE(entries);
    BOOST_REQUIRE(entries->size() == 1u);
    BOOST_TEST(((*entries)[0].batch == changes));
    if (read_only)
      BOOST_TEST((((*journal)->append(std::vector{changes}).error().code) == ErrorCode::denied));
  }
}

// A child appends without end and is killed in the middle of it; what it was told is written must
// be there.
BOOST_AUTO_TEST_CASE(a_killed_process_loses_nothing_that_it_was_told_is_written) {
  TemporaryFolder folder;
  const auto path = folder / "journal.db";
  const RunRow a = row(0);
  BOOST_TEST(open_journal(path)->open_run(a, "flow").has_value());
  for (int round = 0; round < 5; ++round) {
    int told[2];
    BOOST_REQUIRE(::pipe(told) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto journal = SqliteJournal::open({.path = path});
      for (std::uint32_t i = 0; journal; ++i) {
        const auto offset = (*journal)->append(std::vector{
            batch(a.id, {change(i, TaskState::running), change(i, TaskState::failed)})});
        if (!offset || ::write(told[1], &*offset, sizeof *offset) != sizeof *offset) break;
      }
      ::_exit(1);
    }
    ::close(told[1]);
    Offset last = 0;
    for (int i = 0; i < 20 + 13 * round; ++i)
      BOOST_REQUIRE(::read(told[0], &last, sizeof last) == sizeof last);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(told[0], &last, sizeof last) == sizeof last) {
    }
    ::close(told[0]);

    auto journal = open_journal(path);
    auto entries = journal->read(a.id, 0);
    BOOST_REQUIRE(entries);
    Offset expected = 1;
    for (const auto& entry : *entries) {
      BOOST_TEST(entry.first == expected);
      BOOST_TEST(entry.batch.count() == 2u);  // whole batches only
      expected += entry.batch.count();
    }
    BOOST_TEST(expected > last);
  }
}

BOOST_AUTO_TEST_CASE(processes_that_append_at_once_share_one_numbering) {
  TemporaryFolder folder;
  const auto path = folder / "journal.db";
  constexpr std::uint32_t processes = 4, appends = 100;
  std::vector<RunRow> rows;
  {
    auto journal = open_journal(path);
    for (std::uint32_t i = 0; i < processes; ++i) {
      rows.push_back(row(i));
      BOOST_TEST(journal->open_run(rows.back(), "flow").has_value());
    }
  }
  std::vector<pid_t> children;
  for (const RunRow& own : rows) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto journal = SqliteJournal::open({.path = path, .durable = false});
      Offset before = 0;
      for (std::uint32_t i = 0; i < appends; ++i) {
        if (!journal) ::_exit(1);
        const auto offset =
            (*journal)->append(std::vector{batch(own.id, {change(i, TaskState::ready)}),
                                           batch(own.id, {change(i, TaskState::running)})});
        if (!offset || *offset < before + 2) ::_exit(2);
        before = *offset;
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  std::vector<bool> seen(processes * appends * 2 + 1, false);
  auto journal = open_journal(path);
  for (const RunRow& own : rows) {
    auto entries = journal->read(own.id, 0);
    BOOST_REQUIRE(entries);
    BOOST_TEST(entries->size() == appends * 2);
    Offset before = 0;
    for (std::size_t i = 0; i < entries->size(); ++i) {
      const auto& entry = (*entries)[i];
      BOOST_REQUIRE(entry.first < seen.size());
      BOOST_TEST(!seen[entry.first]);
      seen[entry.first] = true;
      BOOST_TEST(entry.first > before);
      BOOST_TEST(entry.batch.tasks[0].task.value ==
                 i / 2);  // in the order in which it appended them
      before = entry.first;
    }
  }
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error_and_what_was_written_before_stays) {
  TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "size=1m");
  if (!disk.works()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  auto journal = open_journal(folder / "disk" / "journal.db");
  const RunRow a = row(0);
  BOOST_TEST(journal->open_run(a, "flow").has_value());
  TaskChange large = change(0, TaskState::failed);
  large.detail.emplace();
  large.detail->message = std::string(20'000, 'x');
  std::size_t written = 0;
  Result<Offset> last;
  while (written < 1000 && (last = journal->append(std::vector{batch(a.id, {large})}))) ++written;
  BOOST_REQUIRE(!last);
  BOOST_TEST((last.error().code == ErrorCode::exhausted), last.error().message);
  BOOST_TEST(written > 0u);
  auto entries = journal->read(a.id, 0);
  BOOST_REQUIRE(entries);
  BOOST_TEST(entries->size() == written);
}

// The same without root: a limit on the size of files, in a child because it cannot be lifted
// again.
BOOST_AUTO_TEST_CASE(a_file_size_limit_counts_as_a_full_disk) {
  TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    auto journal = SqliteJournal::open({.path = folder / "journal.db"});
    const RunRow a = row(0);
    if (!journal || !(*journal)->open_run(a, "flow")) ::_exit(1);
    const struct rlimit limit { 300'000, 300'000 };
    ::setrlimit(RLIMIT_FSIZE, &limit);
    TaskChange large = change(0, TaskState::failed);
    large.detail.emplace();
    large.detail->message = std::string(20'000, 'x');
    Result<Offset> last;
    for (int i = 0; i < 1000 && (last = (*journal)->append(std::vector{batch(a.id, {large})}));
         ++i) {
    }
    ::_exit(!last && last.error().code == ErrorCode::exhausted ? 0 : 2);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(a_damaged_batch_is_an_error_not_a_wrong_run) {
  TemporaryFolder folder;
  const auto path = folder / "journal.db";
  const RunRow a = row(0);
  {
    auto journal = open_journal(path);
    BOOST_TEST(journal->open_run(a, "flow").has_value());
    BOOST_TEST(
        journal->append(std::vector{batch(a.id, {change(0, TaskState::ready)})}).has_value());
  }
  sqlite3* handle = nullptr;
  BOOST_REQUIRE(sqlite3_open(path.c_str(), &handle) == SQLITE_OK);
  BOOST_REQUIRE(sqlite3_exec(handle, "UPDATE batch SET bytes = x'01ff'", nullptr, nullptr,
                             nullptr) == SQLITE_OK);
  sqlite3_close(handle);
  BOOST_TEST((open_journal(path)->read(a.id, 0).error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(a_leader_that_was_superseded_writes_nothing_any_more) {
  TemporaryFolder folder;
  const RunRow known = row(0);
  const auto older = open_journal(folder / "journal.db");
  BOOST_REQUIRE(older->begin_epoch(1, "older", later(0)));
  BOOST_REQUIRE(older->open_run(known, "flow"));
  const Batch first = batch(known.id, {change(0, TaskState::running)});
  BOOST_REQUIRE(older->append({&first, 1}));

  const auto newer = open_journal(folder / "journal.db");
  BOOST_REQUIRE(newer->begin_epoch(2, "newer", later(1)));
  const auto refused = older->append({&first, 1});
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == ErrorCode::denied));
  BOOST_TEST(refused.error().message ==
             "another server leads here since: \"newer\", epoch 2; this was epoch 1");
  BOOST_TEST((older->append({}).error().code == ErrorCode::denied));
  BOOST_TEST((older->set_summary(known.id, {}).error().code == ErrorCode::denied));
  BOOST_TEST((older->open_run(row(1), "flow").error().code == ErrorCode::denied));
  BOOST_TEST((older->remove(known.id).error().code == ErrorCode::denied));
  BOOST_TEST(newer->read(known.id, 0)->size() == 1u);
  BOOST_TEST(newer->append({&first, 1}).has_value());

  // Who never led, as a process with runs of its own, is not concerned.
  const auto embedded = open_journal(folder / "journal.db");
  BOOST_TEST(embedded->append({&first, 1}).has_value());
}

BOOST_AUTO_TEST_CASE(the_cache_file_is_no_journal) {
  TemporaryFolder folder;
  sqlite3* handle = nullptr;
  BOOST_REQUIRE(sqlite3_open((folder / "journal.db").c_str(), &handle) == SQLITE_OK);
  BOOST_REQUIRE(sqlite3_exec(handle, "PRAGMA application_id=0x52504331; CREATE TABLE t(x)", nullptr,
                             nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(handle);
  auto journal = SqliteJournal::open({.path = folder / "journal.db"});
  BOOST_REQUIRE(!journal);
  BOOST_TEST(journal.error().message.find("not a journal") != std::string::npos,
             journal.error().message);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::journal
