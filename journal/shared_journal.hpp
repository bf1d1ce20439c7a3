// The journal of a server that shares it with others: what happens goes to the log first, then into
// the server's own journal.db, which is what is read. Another server follows the log into a
// journal.db of its own, and goes on from there when this one is gone.
//
//   RedisLog log(client);
//   LogFollower follower(local, log);
//   … follower.catch_up() now and then; follower.try_to_lead(…) …       a standby
//   SharedJournal journal(std::move(local), log, seat, warn);          the leader
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "journal/redis_log.hpp"
#include "journal/sqlite_journal.hpp"

namespace reprise::journal {

/// What the threads of a leading server know together about its leading.
class Seat {
 public:
  Seat(Leadership leader, std::uint64_t sequence)
      : leader_(std::move(leader)), sequence_(sequence) {}

  [[nodiscard]] const Leadership& leader() const { return leader_; }
  /// Of the last record appended when the seat was taken.
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }

  /// It is over: `why` is kept from the first call. Wakes wait_until_lost().
  void lose(Error why);
  [[nodiscard]] std::optional<Error> lost() const;
  /// Blocks until it is lost or `at_most` passed.
  bool wait_until_lost(Duration at_most);

  /// Nobody hears this server any more: whoever waits in the journal may go on.
  void release();
  /// Blocks until release() or `at_most` passed. @return whether it was released
  bool wait_until_released(std::optional<Duration> at_most = {});

 private:
  const Leadership leader_;
  const std::uint64_t sequence_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> lost_;
  bool released_ = false;
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
    std::shared_ptr<Seat> seat;  // null: somebody else leads
    std::string holder;          // who
    Duration left{0};            // and for how long at least
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
/// reached, append() waits: nothing is told to anybody meanwhile, and what runs goes on. When
/// another server leads, or the log lost something, the seat is lost, and append() waits until it
/// is released, because its answer must not be told to anybody either.
class SharedJournal final : public Journal {
 public:
  /// @param warn  one line for people; may be empty
  SharedJournal(std::unique_ptr<SqliteJournal> local, std::shared_ptr<RedisLog> log,
                std::shared_ptr<Seat> seat, std::function<void(std::string)> warn);

  Status open_run(const RunRow& row, std::string_view flow_bytes) override;
  [[nodiscard]] Result<Offset> append(std::span<const Batch> batches) override;
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
  [[nodiscard]] Result<Offset> add(LogEntry entry);
  void shorten();

  std::unique_ptr<SqliteJournal> local_;
  std::shared_ptr<RedisLog> log_;
  std::shared_ptr<Seat> seat_;
  std::function<void(std::string)> warn_;
  std::unordered_set<RunId> known_runs_;
  std::uint64_t sequence_;
  std::uint64_t since_shortened_ = 0;
  bool is_waiting_ = false;
};

/// Records after which the log is written anew from the journal and shortened to that.
inline constexpr std::uint64_t log_records_kept = 100'000;

}  // namespace reprise::journal
