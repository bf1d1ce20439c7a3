// A plan in one line.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/plan.hpp"
#include "cache/blob_store.hpp"
#include "cli/options.hpp"

namespace reprise::cli {

/// "plan: 8 tasks · 5 cached (saves ~6m 10s) · 3 to run".
[[nodiscard]] std::string plan_line(const Plan& plan);

/// What a plan asks, as a run of this invocation would ask it: the cache of the data folder, and
/// the server that nodes share, within its budgets. Nothing is changed in either.
struct PlanSource {
  std::unique_ptr<cache::Store> store;
  std::shared_ptr<cache::BlobStore> blobs;  // null: nothing was ever kept here

  /// For PlanRequest::has_file.
  [[nodiscard]] std::function<std::optional<bool>(const FileValue&)> file_check(
      worker::FileHasher& hasher) const;
};
/// @param warn  takes a line when the shared server does not answer; may be empty
/// @error as open_cache, but for not_found; invalid_argument, io: settings of the server
[[nodiscard]] Result<PlanSource> plan_source(const GlobalOptions& options,
                                             std::function<void(std::string)> warn);

/// The line for the head of a run, if it can be told at once: nothing for large flows and for
/// those with large input files, which would be read twice.
[[nodiscard]] std::optional<std::string> quick_plan_line(
    const std::shared_ptr<const FlowSpec>& flow, const Parameters& parameters,
    const GlobalOptions& options);

}  // namespace reprise::cli
