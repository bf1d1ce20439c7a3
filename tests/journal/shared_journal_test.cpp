// Several servers, one log in a real Redis: who may write, who comes after, and what a server that
// forgets cannot make them forget.
#include <future>
#include <thread>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "journal/shared_journal.hpp"
#include "tests/journal/journal_support.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::journal {

BOOST_AUTO_TEST_SUITE(shared_journal_tests)
namespace {

using namespace testing;
using reprise::testing::RedisServer;
using reprise::testing::TemporaryFolder;

constexpr Duration term = std::chrono::seconds{30};

// A server, as far as its journal goes.
struct Member {
  Member(const redis::Settings& settings, std::string who)
      : log(std::make_shared<RedisLog>(std::make_shared<redis::Client>(settings, log_functions()))),
        me{0, "nonce of " + who, who} {
    open();
  }

  void open() {
    auto opened = SqliteJournal::open({.path = folder / "journal.db"});
    if (!opened) BOOST_FAIL(opened.error().message);
    local = *std::move(opened);
  }
  [[nodiscard]] bool catch_up() {
    LogFollower follower(*local, *log);
    for (;;) {
      const auto more = follower.catch_up(3);  // few at a time, to come to every kind of end
      if (!more) BOOST_TEST_MESSAGE(more.error().message);
      if (!more || !*more) return more.has_value();
    }
  }
  /// Leads, when it may.
  [[nodiscard]] bool lead() {
    LogFollower follower(*local, *log);
    const auto attempt = follower.try_to_lead(me.name, me.nonce, term);
    BOOST_REQUIRE_MESSAGE(attempt, (attempt ? "" : attempt.error().message));
    if (!attempt->seat) return false;
    me = attempt->seat->leader;
    sequence = attempt->seat->sequence;
    sit(*attempt->seat);
    return true;
  }
  void sit(Seat seat) {
    SharedJournal::Options options;
    options.stop = stop.get_token();
    options.waits = waits;
    journal = std::make_unique<SharedJournal>(std::move(local), log, std::move(seat), options);
  }
  void step_down() {
    journal.reset();
    open();
  }
  [[nodiscard]] Journal& reading() { return journal ? *journal : static_cast<Journal&>(*local); }

  TemporaryFolder folder;
  std::unique_ptr<SqliteJournal> local;
  std::shared_ptr<RedisLog> log;
  Leadership me;
  std::uint64_t sequence = 0;
  std::stop_source stop;
  std::shared_ptr<std::atomic<bool>> waits = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<SharedJournal> journal;
};

struct Pair {
  RedisServer server{{"--appendonly", "yes", "--appendfsync", "everysec"}};
  Member a{server.settings(), "a"}, b{server.settings(), "b"};
};

// What both hold is the same, to the byte.
void check_same(Journal& left, Journal& right) {
  const auto here = left.runs({}), there = right.runs({});
  BOOST_REQUIRE(here);
  BOOST_REQUIRE(there);
  BOOST_REQUIRE((*here == *there));
  for (const RunRow& row : *here) {
    BOOST_TEST(*left.flow(row.flow) == *right.flow(row.flow));
    const auto mine = left.read(row.id, 0), yours = right.read(row.id, 0);
    BOOST_REQUIRE(mine);
    BOOST_REQUIRE(yours);
    BOOST_REQUIRE(mine->size() == yours->size());
    for (std::size_t i = 0; i < mine->size(); ++i)
      BOOST_TEST(((*mine)[i].batch == (*yours)[i].batch));
  }
}

Status write_run(Journal& journal, const RunRow& row, int batches) {
  if (const Status opened = journal.open_run(row, "flow"); !opened) return opened;
  for (int i = 0; i < batches; ++i) {
    const auto appended = journal.append(std::vector{
        batch(row.id, {ended(static_cast<std::uint32_t>(i), TaskState::success, i, 1)})});
    if (!appended) return tl::unexpected(appended.error());
  }
  return {};
}

BOOST_FIXTURE_TEST_SUITE(SharedJournal_, Pair)

BOOST_AUTO_TEST_CASE(a_follower_comes_to_the_same_and_goes_on_when_the_leader_is_gone) {
  BOOST_REQUIRE(a.lead());
  BOOST_TEST(!b.lead());
  const RunRow first = row(0);
  BOOST_REQUIRE(write_run(*a.journal, first, 10));
  BOOST_REQUIRE(a.journal->set_summary(first.id, {10, 10, 0, 0, 0, 0}));
  BOOST_REQUIRE(b.catch_up());
  check_same(*a.journal, *b.local);

  BOOST_REQUIRE(a.log->resign(a.me));
  BOOST_REQUIRE(b.lead());
  BOOST_TEST(b.me.epoch == a.me.epoch + 1);
  BOOST_REQUIRE(write_run(*b.journal, row(1), 3));
  a.step_down();
  BOOST_REQUIRE(a.catch_up());
  check_same(*b.journal, *a.local);
  // Nobody's place is used twice.
  BOOST_TEST(*a.local->append({}) == *b.journal->append({}));
}

BOOST_AUTO_TEST_CASE(a_leader_that_was_replaced_appends_nothing) {
  BOOST_REQUIRE(a.lead());
  const RunRow run = row(0);
  BOOST_REQUIRE(write_run(*a.journal, run, 1));
  server("DEL", "{rp1:journal}:lease");  // as if it had run out while a slept
  BOOST_REQUIRE(b.lead());
  const auto answer =
      a.journal->append(std::vector{batch(run.id, {change(1, TaskState::running)})});
  BOOST_TEST((answer.error().code == ErrorCode::denied));
  BOOST_TEST((a.log->renew(a.me, term).error().code == ErrorCode::conflict));
  BOOST_TEST(b.journal->read(run.id, 0)->size() == 1u);
  a.step_down();
  BOOST_REQUIRE(a.catch_up());
  check_same(*b.journal, *a.local);
}

BOOST_AUTO_TEST_CASE(an_append_whose_answer_was_lost_may_be_repeated) {
  BOOST_REQUIRE(a.lead());
  const std::uint64_t after = a.sequence;
  const std::vector<std::string> records{encode(LogRecord{RunRemoved{row(0).id}}),
                                         encode(LogRecord{RunRemoved{row(1).id}})};
  BOOST_REQUIRE(a.log->append(a.me, after, records));
  BOOST_TEST(a.log->append(a.me, after, records).has_value());
  BOOST_TEST(a.log->read({a.me.epoch, after}, 10)->size() == 2u);
  // Something else at the same place is no repetition.
  const std::vector<std::string> others{encode(LogRecord{RunRemoved{row(2).id}}), records[1]};
  BOOST_TEST((a.log->append(a.me, after, others).error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(a_server_that_forgot_the_end_of_the_log_is_found_out) {
  BOOST_REQUIRE(a.lead());
  const RunRow run = row(0);
  BOOST_REQUIRE(write_run(*a.journal, run, 3));
  // As after a fail-over to a replica that lagged: the last record is gone.
  server("XDEL", "{rp1:journal}:log", fmt::format("{}-4", a.me.epoch));
  const auto answer =
      a.journal->append(std::vector{batch(run.id, {change(9, TaskState::running)})});
  BOOST_TEST((answer.error().code == ErrorCode::denied));
  // What was acknowledged is in the leader's own journal, and from there it comes back.
  a.step_down();
  a.me.nonce = "next life of a";
  server("DEL", "{rp1:journal}:lease");
  BOOST_REQUIRE(a.lead());
  BOOST_REQUIRE(b.catch_up());
  BOOST_TEST(b.local->read(run.id, 0)->size() == 3u);
  check_same(*a.journal, *b.local);
}

BOOST_AUTO_TEST_CASE(a_flushed_server_is_filled_again_by_who_knows_more) {
  BOOST_REQUIRE(a.lead());
  const RunRow run = row(0);
  BOOST_REQUIRE(write_run(*a.journal, run, 5));
  BOOST_REQUIRE(b.catch_up());
  server("FLUSHALL");
  BOOST_TEST((a.log->renew(a.me, term).error().code == ErrorCode::conflict));
  BOOST_TEST(!b.catch_up());  // it knows more than the log: it may lead, not follow
  a.journal.reset();
  BOOST_REQUIRE(b.lead());
  a.open();
  BOOST_REQUIRE(a.catch_up());
  BOOST_TEST(a.local->read(run.id, 0)->size() == 5u);
  check_same(*a.local, *b.journal);
  BOOST_REQUIRE(write_run(*b.journal, row(1), 1));
  BOOST_REQUIRE(a.catch_up());
  check_same(*a.local, *b.journal);
}

BOOST_AUTO_TEST_CASE(a_journal_that_was_a_servers_own_is_shared_from_its_beginning) {
  const RunRow run = row(0);
  BOOST_REQUIRE(write_run(*a.local, run, 4));
  BOOST_REQUIRE(a.lead());
  BOOST_REQUIRE(b.catch_up());
  BOOST_TEST(b.local->read(run.id, 0)->size() == 4u);
  check_same(*a.journal, *b.local);
}

BOOST_AUTO_TEST_CASE(a_log_written_anew_serves_who_was_away_and_who_was_there) {
  BOOST_REQUIRE(a.lead());
  BOOST_REQUIRE(write_run(*a.journal, row(0), 5));
  BOOST_REQUIRE(b.catch_up());
  const RunRow removed = row(1);
  BOOST_REQUIRE(write_run(*a.journal, removed, 5));
  BOOST_REQUIRE(a.journal->remove(removed.id));
  const std::uint64_t last = a.log->last_before({UINT64_MAX, UINT64_MAX}).value()->sequence;
  a.step_down();
  LogFollower follower(*a.local, *a.log);
  const auto published = follower.publish(a.me, last);
  BOOST_REQUIRE(published);
  BOOST_TEST(a.log->read({0, 0}, 100)->size() < last);
  Member c{server.settings(), "c"};
  for (Member* each : {&b, &c}) {
    BOOST_REQUIRE(each->catch_up());
    check_same(*a.local, *each->local);
  }
  a.sit({a.me, *published});
  BOOST_REQUIRE(write_run(*a.journal, row(2), 2));
  BOOST_REQUIRE(b.catch_up());
  check_same(*a.journal, *b.local);
}

BOOST_AUTO_TEST_CASE(an_append_waits_while_the_server_is_away) {
  BOOST_REQUIRE(a.lead());
  const RunRow run = row(0);
  BOOST_REQUIRE(write_run(*a.journal, run, 1));
  server.kill();
  auto answer = std::async(std::launch::async, [&] {
    return a.journal->append(std::vector{batch(run.id, {change(1, TaskState::running)})});
  });
  BOOST_TEST((answer.wait_for(std::chrono::milliseconds{300}) == std::future_status::timeout));
  server.start();
  BOOST_REQUIRE((answer.wait_for(std::chrono::seconds{60}) == std::future_status::ready));
  const auto done = answer.get();
  if (!done) BOOST_TEST_MESSAGE(done.error().message);
  BOOST_TEST(done.has_value());
  BOOST_REQUIRE(b.catch_up());
  check_same(*a.journal, *b.local);
}

// Whoever asked for something waited with the journal, as long as the server was away.
BOOST_AUTO_TEST_CASE(whether_it_can_be_written_is_told_at_once) {
  BOOST_REQUIRE(a.lead());
  BOOST_TEST(a.journal->check().has_value());
  server("CONFIG", "SET", "maxmemory", "1");
  BOOST_TEST((a.journal->check().error().code == ErrorCode::unavailable));
  server("CONFIG", "SET", "maxmemory", "0");
  BOOST_TEST(a.journal->check().has_value());
  BOOST_REQUIRE(a.log->resign(a.me));
  BOOST_REQUIRE(b.lead());
  const Status replaced = a.journal->check();
  BOOST_REQUIRE(!replaced);
  BOOST_TEST((replaced.error().code == ErrorCode::unavailable));
  BOOST_TEST(replaced.error().message.find("another server leads now") != std::string::npos);
  server.kill();
  const auto begin = std::chrono::steady_clock::now();
  BOOST_TEST((b.journal->check().error().code == ErrorCode::unavailable));
  BOOST_TEST((std::chrono::steady_clock::now() - begin < std::chrono::seconds{5}));
}

BOOST_AUTO_TEST_CASE(that_an_append_waits_is_told_to_others) {
  BOOST_REQUIRE(a.lead());
  const RunRow run = row(0);
  BOOST_REQUIRE(write_run(*a.journal, run, 1));
  BOOST_TEST(!*a.waits);
  server.kill();
  auto answer = std::async(std::launch::async, [&] {
    return a.journal->append(std::vector{batch(run.id, {change(1, TaskState::running)})});
  });
  while (!*a.waits) std::this_thread::yield();
  server.start();
  BOOST_REQUIRE((answer.wait_for(std::chrono::seconds{60}) == std::future_status::ready));
  BOOST_TEST(!*a.waits);
}

BOOST_AUTO_TEST_CASE(waiting_for_a_server_that_stays_away_can_be_ended) {
  BOOST_REQUIRE(a.lead());
  const RunRow run = row(0);
  BOOST_REQUIRE(write_run(*a.journal, run, 1));
  server.kill();
  auto answer = std::async(std::launch::async, [&] {
    return a.journal->append(std::vector{batch(run.id, {change(1, TaskState::running)})});
  });
  a.stop.request_stop();
  BOOST_REQUIRE((answer.wait_for(std::chrono::seconds{60}) == std::future_status::ready));
  BOOST_TEST((answer.get().error().code == ErrorCode::unavailable));
}

BOOST_AUTO_TEST_CASE(appending_nothing_keeps_the_lease) {
  BOOST_REQUIRE(a.lead());
  a.journal.reset();
  a.open();
  SharedJournal::Options options;
  options.term = std::chrono::milliseconds{300};  // renewed when a third of it is over
  a.journal = std::make_unique<SharedJournal>(std::move(a.local), a.log, Seat{a.me, a.sequence},
                                              std::move(options));
  server("DEL", "{rp1:journal}:lease");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  const auto is_kept = [&] { return server("EXISTS", "{rp1:journal}:lease").integer == 1; };
  while (!is_kept() && std::chrono::steady_clock::now() < deadline)
    BOOST_REQUIRE(a.journal->append({}));
  BOOST_TEST((std::chrono::steady_clock::now() < deadline));
  server("DEL", "{rp1:journal}:lease");
  BOOST_REQUIRE(b.lead());
  Result<Offset> answer = 0;
  while (answer && std::chrono::steady_clock::now() < deadline) answer = a.journal->append({});
  BOOST_REQUIRE(!answer);
  BOOST_TEST((answer.error().code == ErrorCode::denied));
}

BOOST_AUTO_TEST_CASE(a_large_flow_travels_in_parts) {
  BOOST_REQUIRE(a.lead());
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{512} << 10, (std::size_t{1} << 21) + 7}) {
    const std::string flow(size, 'f');
    const RunRow run = row(0, "large", flow);
    BOOST_REQUIRE(a.journal->open_run(run, flow));
    BOOST_REQUIRE(b.catch_up());
    BOOST_TEST((*b.local->flow(run.flow) == flow));
    BOOST_REQUIRE(a.journal->remove(run.id));
    BOOST_TEST((a.log->flow(run.flow).error().code == ErrorCode::not_found));
  }
}

BOOST_AUTO_TEST_CASE(a_server_that_may_lose_things_holds_no_journal) {
  BOOST_TEST(a.log->check_policy().has_value());
  server("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
  BOOST_TEST((a.log->check_policy().error().code == ErrorCode::denied));
  server("CONFIG", "SET", "maxmemory-policy", "noeviction");
  server("CONFIG", "SET", "appendonly", "no");
  BOOST_TEST((a.log->check_policy().error().code == ErrorCode::denied));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(records_of_the_log_come_back_as_they_were) {
  const RunRow run = row(5);
  const std::vector<LogRecord> records{Barrier{"server 1"},
                                       Restart{},
                                       RunOpened{run},
                                       Appended{{batch(run.id, {change(0, TaskState::ready)}),
                                                 batch(run.id, {}, run_is(RunState::success))}},
                                       Summarised{run.id, {1, 2, 3, 4, 5, 6}},
                                       RunRemoved{run.id}};
  for (const LogRecord& record : records) {
    const std::string bytes = encode(record);
    const auto back = decode_log_record(bytes);
    BOOST_REQUIRE(back);
    BOOST_TEST((*back == record));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
      BOOST_TEST(!decode_log_record(std::string_view(bytes).substr(0, cut)));
  }
  BOOST_TEST(!decode_log_record("\x92\x07\xc0"));
}

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::journal
