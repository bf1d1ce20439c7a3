#include "cache/sqlite_leases.hpp"

#include <mutex>
#include <optional>

#include "cache/database.hpp"
#include "cache/lease_table.hpp"

namespace reprise::cache {
namespace {

using sqlite::Blob;
using sqlite::ResetAtEnd;
using sqlite::Statement;
using sqlite::Transaction;

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
Time time_of(std::int64_t count) {
  return Time(Duration(count));
}

}  // namespace

struct SqliteLeases::State {
  explicit State(std::unique_ptr<sqlite::Database> opened)
      : database(std::move(opened)),
        // As SqliteStore::look_up: the newest fresh version, unless a tombstone hides it.
        find_fresh(*database,
                   "SELECT 1 FROM version v WHERE key = ?1 AND status = 0 AND (expires IS NULL OR "
                   "expires > ?2) AND NOT EXISTS(SELECT 1 FROM version t WHERE t.key = v.key AND "
                   "t.number > v.number AND t.status = 2) LIMIT 1"),
        find(*database, "SELECT token, owner, since, until FROM lease WHERE key = ?1"),
        put(*database,
            "INSERT INTO lease(key, token, owner, since, until) VALUES(?1, ?2, ?3, ?4, ?5) "
            "ON CONFLICT(key) DO UPDATE SET token = excluded.token, owner = excluded.owner, "
            "since = excluded.since, until = excluded.until"),
        prolong(*database,
                "UPDATE lease SET until = ?4 WHERE key = ?1 AND owner = ?2 AND token = ?3"),
        end(*database,
            "UPDATE lease SET owner = NULL WHERE key = ?1 AND owner = ?2 AND token = ?3"),
        end_all(*database, "UPDATE lease SET owner = NULL WHERE owner = ?1"),
        forget(*database,
               "DELETE FROM lease WHERE key IN (SELECT key FROM lease WHERE until < ?1 LIMIT 16)") {
  }

  Result<LeaseAnswer> acquire_one(const LeaseWish& wish, const LeaseTerms& terms);
  template <class Change>
  Result<std::vector<bool>> change_each(std::span<const HeldLease> leases, Change change);

  std::mutex mutex;
  std::unique_ptr<sqlite::Database> database;
  Statement find_fresh, find, put, prolong, end, end_all, forget;
};

Result<LeaseAnswer> SqliteLeases::State::acquire_one(const LeaseWish& wish,
                                                     const LeaseTerms& terms) {
  const Blob key{wish.key.digest.raw()};
  if (!wish.even_if_published) {
    ResetAtEnd reset(find_fresh);
    find_fresh.start(key, nanoseconds(terms.now));
    auto found = find_fresh.next();
    if (!found) return tl::unexpected(found.error());
    if (*found) return LeaseAnswer{.kind = LeaseAnswer::Kind::published};
  }
  LeaseAnswer answer{.kind = LeaseAnswer::Kind::granted};
  std::uint64_t last = 0;
  {
    ResetAtEnd reset(find);
    find.start(key);
    auto found = find.next();
    if (!found) return tl::unexpected(found.error());
    if (*found) {
      last = static_cast<std::uint64_t>(find.integer(0));
      if (!find.is_null(1) && terms.now < time_of(find.integer(3))) {
        answer.lease.owner = find.text(1);
        answer.lease.token = last;
        answer.since = time_of(find.integer(2));
        answer.until = time_of(find.integer(3));
      }
    }
  }
  if (!answer.lease.owner.empty() && answer.lease.owner != terms.owner) {
    answer.kind = LeaseAnswer::Kind::held;
    answer.lease.token = 0;
    return answer;
  }
  if (answer.lease.owner.empty()) {
    answer.lease.owner = terms.owner;
    answer.lease.token = next_token(last, terms.now);
    answer.since = terms.now;
  }
  answer.until = terms.now + terms.term;
  if (auto done =
          put.run(key, static_cast<std::int64_t>(answer.lease.token), Blob{answer.lease.owner},
                  nanoseconds(answer.since), nanoseconds(answer.until));
      !done)
    return tl::unexpected(done.error());
  return answer;
}

SqliteLeases::SqliteLeases(std::unique_ptr<State> state) : state_(std::move(state)) {}
SqliteLeases::~SqliteLeases() = default;

Result<std::unique_ptr<SqliteLeases>> SqliteLeases::open(const std::filesystem::path& path) {
  auto database = open_database(path);
  if (!database) return tl::unexpected(database.error());
  return std::unique_ptr<SqliteLeases>(
      new SqliteLeases(std::make_unique<State>(std::move(*database))));
}

Result<std::vector<LeaseAnswer>> SqliteLeases::acquire(std::span<const LeaseWish> wishes,
                                                       const LeaseTerms& terms) {
  if (auto good = terms.check(); !good) return tl::unexpected(good.error());
  const std::lock_guard guard(state_->mutex);
  auto transaction = Transaction::begin(*state_->database);
  if (!transaction) return tl::unexpected(transaction.error());
  std::vector<LeaseAnswer> answers;
  for (const LeaseWish& wish : wishes) {
    auto answer = state_->acquire_one(wish, terms);
    if (!answer) return tl::unexpected(answer.error());
    answers.push_back(std::move(*answer));
  }
  if (auto done = state_->forget.run(nanoseconds(terms.now - LeaseTable::remembered)); !done)
    return tl::unexpected(done.error());
  if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  return answers;
}

template <class Change>
Result<std::vector<bool>> SqliteLeases::State::change_each(std::span<const HeldLease> leases,
                                                           Change change) {
  const std::lock_guard guard(mutex);
  auto transaction = Transaction::begin(*database);
  if (!transaction) return tl::unexpected(transaction.error());
  std::vector<bool> held;
  for (const HeldLease& lease : leases) {
    if (auto done = change(lease); !done) return tl::unexpected(done.error());
    held.push_back(database->changes() > 0);
  }
  if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  return held;
}

Result<std::vector<bool>> SqliteLeases::renew(std::span<const HeldLease> leases,
                                              const LeaseTerms& terms) {
  return state_->change_each(leases, [&](const HeldLease& each) {
    return state_->prolong.run(Blob{each.key.digest.raw()}, Blob{each.lease.owner},
                               static_cast<std::int64_t>(each.lease.token),
                               nanoseconds(terms.now + terms.term));
  });
}

Result<std::vector<bool>> SqliteLeases::release(std::span<const HeldLease> leases, Time) {
  return state_->change_each(leases, [&](const HeldLease& each) {
    return state_->end.run(Blob{each.key.digest.raw()}, Blob{each.lease.owner},
                           static_cast<std::int64_t>(each.lease.token));
  });
}

Status SqliteLeases::release_all_of(std::string_view owner) {
  const std::lock_guard guard(state_->mutex);
  auto done = state_->end_all.run(Blob{owner});
  if (!done) return tl::unexpected(done.error());
  return {};
}

}  // namespace reprise::cache
