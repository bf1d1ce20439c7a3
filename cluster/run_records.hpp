// What a server tells of runs, those that are over as well: from the journal, the folders of the
// runs and the blobs, without asking the engine.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cache/blob_store.hpp"
#include "cluster/blob_transfer.hpp"
#include "cluster/run_queries.hpp"
#include "cluster/wire.hpp"
#include "core/result.hpp"
#include "journal/data_folder.hpp"
#include "journal/journal.hpp"

namespace reprise::cluster {

/// Blocks for the disk; not safe for concurrent use.
class RunRecords {
 public:
  /// @error as DataFolder, SqliteJournal and BlobStore say
  [[nodiscard]] static Result<std::unique_ptr<RunRecords>> open(const std::filesystem::path& data);

  [[nodiscard]] journal::Journal& journal() { return *journal_; }
  [[nodiscard]] const journal::DataFolder& folder() const { return folder_; }
  [[nodiscard]] cache::BlobStore& blobs() { return *blobs_; }
  [[nodiscard]] const std::shared_ptr<cache::BlobStore>& shared_blobs() const { return blobs_; }
  [[nodiscard]] Result<std::optional<journal::RunRow>> row(const RunId& run);

  /// Answers "runs", "flow", "changes" and "blob". nullopt: the op is another.
  [[nodiscard]] std::optional<Result<std::string>> answer(const std::string& op,
                                                          const std::string& body);
  /// What a node of a run that is over gave. @error not_found: it gave nothing, or that is not kept
  /// any more; else as the journal says
  [[nodiscard]] Result<Payload> result(const RunId& run, NodeId node);
  /// Keeps a long value, so that it can be asked for as a blob. @error as BlobStore::put_value()
  [[nodiscard]] Status keep(const Payload& value);

 private:
  RunRecords(journal::DataFolder folder, std::unique_ptr<journal::Journal> journal,
             std::shared_ptr<cache::BlobStore> blobs);
  [[nodiscard]] Result<std::string> runs(std::string_view body);
  [[nodiscard]] Result<std::string> changes(std::string_view body);

  journal::DataFolder folder_;
  std::unique_ptr<journal::Journal> journal_;  // for reading what the engine has written
  std::shared_ptr<cache::BlobStore> blobs_;
  BlobSource source_;
};

}  // namespace reprise::cluster
