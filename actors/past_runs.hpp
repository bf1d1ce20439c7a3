// What the journal has of earlier runs that a new one goes on from or learns from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "actors/engine.hpp"
#include "cache/blob_store.hpp"
#include "journal/data_folder.hpp"
#include "journal/journal.hpp"

namespace reprise::actors {

/// A run that some process left unfinished, and that is this process's from now on.
struct InterruptedRun {
  RunId id;
  journal::RunLock lock;
  std::vector<journal::Batch> past;
  RunOptions options;  // that it began with
};

/// Refers to what it is made of; used on the journal's thread.
class PastRuns {
 public:
  PastRuns(journal::Journal& journal, const journal::DataFolder& folder, cache::BlobStore& blobs)
      : journal_(journal), folder_(folder), blobs_(blobs) {}

  /// The run that `options.resume` names, else the newest interrupted one of this flow, these
  /// parameters and the same shape; nullopt: there is none.
  /// @error not_found, conflict: of the named run; corrupt, io
  [[nodiscard]] Result<std::optional<InterruptedRun>> find_interrupted(const Digest& flow,
                                                                       const Digest& parameters,
                                                                       const RunOptions& options);

  /// The run that was begun for an attempt, however far it came; nullopt: it was not.
  /// @error conflict: another process runs it; corrupt, io
  [[nodiscard]] Result<std::optional<InterruptedRun>> find_nested(const RunId& id);

  /// The flow of a run as it was then; null: there is no such run.
  [[nodiscard]] Result<std::shared_ptr<const FlowSpec>> flow_of(const RunId& id);

  /// The parameters that a run began with, its files by content; nullopt: there is no such run.
  [[nodiscard]] Result<std::optional<Parameters>> parameters_of(const RunId& id);

  /// What the flow's nodes took lately, by node; of a few newest changes, since a run waits for
  /// them to be read. Empty: nothing is known.
  [[nodiscard]] std::vector<float> usual_seconds(const FlowSpec& flow);

 private:
  [[nodiscard]] Result<std::vector<journal::Batch>> read(const RunId& run);

  journal::Journal& journal_;
  const journal::DataFolder& folder_;
  cache::BlobStore& blobs_;
};

/// The nodes that became many tasks, in that order, which is the order of those tasks' numbers, and
/// how many each. @param nodes  of the flow
[[nodiscard]] std::vector<std::pair<NodeId, std::uint32_t>> expanded_in(
    const std::vector<journal::Batch>& past, std::size_t nodes);

}  // namespace reprise::actors
