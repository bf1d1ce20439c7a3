// The journal of a data directory: journal.db, one row per batch, shared by any number of
// processes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <set>

#include "journal/log_record.hpp"

namespace reprise::journal {

/// Offsets are given inside the write transaction, so they are unique and ordered over all
/// processes, and never used again, also when runs are removed. What `open_run` and `set_summary`
/// write is durable with the next `append` or `flush`; nobody is told of a run before then, and a
/// run of one task waits for the disk twice instead of four times.
class SqliteJournal final : public Journal {
 public:
  struct Options {
    std::filesystem::path path{};
    bool durable = true;  // append waits for the disk; else a power cut may lose the last appends
                          // (a killed process not)
    bool read_only = false;  // the file must exist; nothing is written
  };
  /// @error as sqlite::Database::open
  [[nodiscard]] static Result<std::unique_ptr<SqliteJournal>> open(Options options);
  ~SqliteJournal() override;

  [[nodiscard]] Result<Epoch> begin_epoch(std::uint64_t nonce, const std::string& server,
                                          Time now) override;
  Status open_run(const RunRow& row, std::string_view flow_bytes) override;
  [[nodiscard]] Result<Offset> append(std::span<const Batch> batches) override;
  Status set_summary(const RunId& run, const Summary& summary) override;
  /// A run that happened elsewhere.
  struct Guest {
    RunRow row;              // as it is there; its state is not worked out anew
    std::string flow_bytes;  // FlowSpec::encode()
    /// The next of its batches, in order; nullopt: that was all. An error ends everything.
    std::function<Result<std::optional<Batch>>()> next_batch;
  };
  /// Adds the runs that are not there yet, all of them or none. Their changes get offsets of their
  /// own here. @param next  the next run; nullopt: that was all
  /// @return how many were new. @error of `next`; unavailable, exhausted, io
  Result<std::uint64_t> take_in(const std::function<Result<std::optional<Guest>>()>& next);
  struct Erased {
    std::uint64_t results = 0;  // that were kept with their bytes
    std::set<RunId> runs{};     // with a result that is meant, with or without bytes
    std::set<RunId> rows{};     // runs whose row holds something that is meant: rows stay
    bool is_log_clean = true;   // as Database::empty_log
  };
  /// Takes the bytes of results away, leaving their digests, sizes and everything else.
  /// @param is_meant  asked about every result, run by run
  /// @param holds     asked about every run before its results: does the row hold what is meant?
  /// @param dry_run  only counts. @error unavailable, io, exhausted, corrupt
  Result<Erased> erase(const std::function<bool(const RunId&, const TaskChange&)>& is_meant,
                       const std::function<bool(const RunRow&)>& holds, bool dry_run);
  Status flush() override;

  /// Up to where this journal holds a log that several share; zero: nothing of it.
  /// @error unavailable, io
  [[nodiscard]] Result<LogPosition> log_position();
  /// Without carrying out anything: what is held here is that. @error unavailable, exhausted, io
  Status note_log_position(LogPosition position);
  /// Forgets everything, for a log that is to be taken in from its beginning. Offsets go on.
  /// @error unavailable, exhausted, io
  Status forget_log();
  /// Carries out records of that log and notes the place of the last, all or nothing. Those at or
  /// before the place known change nothing; neither does what is said of a run that was removed
  /// here.
  /// @return offset of the last change there is. @error unavailable, exhausted, io; denied: as
  /// append()
  [[nodiscard]] Result<Offset> take_log(std::span<const LogEntry> entries);

  [[nodiscard]] Result<std::vector<RunRow>> runs(const RunQuery& query) override;
  [[nodiscard]] Result<std::string> flow(const Digest& digest) override;
  [[nodiscard]] Result<std::vector<Entry>> read(const RunId& run, Offset after,
                                                std::size_t limit = SIZE_MAX) override;
  Status remove(const RunId& run) override;

 private:
  struct State;
  explicit SqliteJournal(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::journal
