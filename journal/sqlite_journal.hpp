// The journal of a data directory: journal.db, one row per batch, shared by any number of
// processes.
#pragma once

#include <filesystem>
#include <memory>

#include "journal/journal.hpp"

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

  Status open_run(const RunRow& row, std::string_view flow_bytes) override;
  [[nodiscard]] Result<Offset> append(std::span<const Batch> batches) override;
  Status set_summary(const RunId& run, const Summary& summary) override;
  /// Waits until everything written so far would survive a power cut.
  Status flush();

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
