// The journal of a server that shares it with others: what happens goes to the log first, then into
// the server's own journal.db, which is what is read. Another server follows the log into a
// journal.db of its own, and goes on from there when this one is gone.
//
//   RedisLog log(client);
//   LogFollower follower(local, log);
//   … follower.catch_up() now and then; follower.try_to_lead(…) …       a standby
//   SharedJournal journal(std::move(local), log, seat, options);       the leader
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_set>

#include "journal/redis_log.hpp"
#include "journal/sqlite_journal.hpp"

namespace reprise::journal {

/// The right to append, and from where on.
struct Seat {
  Leadership leader;
  std::uint64_t sequence = 0;  // of the last record
};

/// Brings a journal to where the log is. One thread at a time.
class LogFollower {
 public:
  LogFollower(SqliteJournal& journal, RedisLog& log) : journal_(journal), log_(log) {}

  /// Takes in what is new, at most `limit` records. A log that was written anew is taken in from
  /// its beginning.
  /// @return whether there may be more
  /// @error as RedisLog::read and SqliteJournal::take_log; conflict: the journal holds what the log
  ///        does not (the server lost it): it can lead, but not follow
  [[nodiscard]] Result<bool> catch_up(std::uint32_t limit = 512);

  struct Attempt {
    std::optional<Seat> seat;  // none: somebody else leads
    std::string holder;        // who
    Duration left{0};          // and for how long at least
  };
  /// Leads, if nobody else does, and comes to where the log is; or, where the journal holds more
  /// than the log, writes the log anew.
  /// @param nonce  of this life of this server; with the same one it may be repeated
  /// @error as RedisLog::bid, catch_up() and publish()
  [[nodiscard]] Result<Attempt> try_to_lead(const std::string& name, const std::string& nonce,
                                            Duration term);

  /// Writes the log anew: everything that the journal holds, from the number after `after` on.
  /// @return the last number used. @error as RedisLog::draft and replace_by_draft, SqliteJournal
  [[nodiscard]] Result<std::uint64_t> publish(const Leadership& leader, std::uint64_t after);

 private:
  [[nodiscard]] Result<std::uint64_t> begin_to_lead(const Leadership& leader);

  SqliteJournal& journal_;
  RedisLog& log_;
};

/// What is appended is durable once the log and the own journal have it. While the log cannot be
/// reached, append() waits: nothing is acknowledged meanwhile, and what runs goes on. Appending
/// nothing renews the lease.
class SharedJournal final : public Journal {
 public:
  struct Options {
    Duration term{std::chrono::seconds{5}};      // of the lease
    std::stop_token stop{};                      // ends waiting for the log
    std::function<void(std::string)> warn{};     // one line for people; may be empty
    std::shared_ptr<std::atomic<bool>> waits{};  // set while it waits for the log; may be null
  };
  SharedJournal(std::unique_ptr<SqliteJournal> local, std::shared_ptr<RedisLog> log, Seat seat,
                Options options);

  /// That of the seat.
  [[nodiscard]] Result<Epoch> begin_epoch(std::uint64_t nonce, const std::string& server,
                                          Time now) override;
  /// Of the log; renews the lease.
  [[nodiscard]] Status check() override;
  Status open_run(const RunRow& row, std::string_view flow_bytes) override;
  [[nodiscard]] Result<Offset> append(std::span<const Batch> batches) override;
  /// Of the own journal; the log is written by its server as that is set up.
  Status flush() override { return local_->flush(); }
  Status set_summary(const RunId& run, const Summary& summary) override;
  [[nodiscard]] Result<std::vector<RunRow>> runs(const RunQuery& query) override {
    return local_->runs(query);
  }
  [[nodiscard]] Result<std::string> flow(const Digest& digest) override {
    return local_->flow(digest);
  }
  [[nodiscard]] Result<std::vector<Entry>> read(const RunId& run, Offset after,
                                                std::size_t limit = SIZE_MAX) override {
    return local_->read(run, after, limit);
  }
  Status remove(const RunId& run) override;

 private:
  template <class Action>
  Status insist(Action action);
  Status renew_when_due();
  [[nodiscard]] Result<Offset> add(LogEntry entry);
  void shorten();

  std::unique_ptr<SqliteJournal> local_;
  std::shared_ptr<RedisLog> log_;
  Seat seat_;  // goes on with every record
  Options options_;
  std::unordered_set<RunId> known_runs_;
  std::uint64_t since_shortened_ = 0;
  bool is_waiting_ = false;
  std::optional<Error> behind_;  // the own journal lacks what the log has: nothing may follow here
  std::chrono::steady_clock::time_point renewed_ = std::chrono::steady_clock::now();
};

/// Records after which the log is written anew from the journal and shortened to that.
inline constexpr std::uint64_t log_records_kept = 100'000;

}  // namespace reprise::journal
