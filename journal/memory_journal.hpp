// A journal that is gone with its process: for tests and for runs without a data directory.
#pragma once

#include <unordered_map>

#include "journal/journal.hpp"

namespace reprise::journal {

class MemoryJournal final : public Journal {
 public:
  [[nodiscard]] Result<Epoch> begin_epoch(std::uint64_t nonce, const std::string& server,
                                          Time now) override;
  Status open_run(const RunRow& row, std::string_view flow_bytes) override;
  [[nodiscard]] Result<Offset> append(std::span<const Batch> batches) override;
  Status flush() override { return {}; }
  Status set_summary(const RunId& run, const Summary& summary) override;
  [[nodiscard]] Result<std::vector<RunRow>> runs(const RunQuery& query) override;
  [[nodiscard]] Result<std::string> flow(const Digest& digest) override;
  [[nodiscard]] Result<std::vector<Entry>> read(const RunId& run, Offset after,
                                                std::size_t limit = SIZE_MAX) override;
  Status remove(const RunId& run) override;

 private:
  struct Run {
    RunRow row;
    std::vector<Entry> entries;
  };
  std::map<RunId, Run> runs_;  // by time of submission, because ids are
  std::map<Digest, std::string> flows_;
  Offset last_ = 0;
  Epoch epoch_;
};

/// What a run change does to the run's row, in every implementation.
void apply(const RunChange& change, RunRow& row);

}  // namespace reprise::journal
