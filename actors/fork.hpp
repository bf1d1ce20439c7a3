// A run that begins with what another one made: its finished results are taken as given, and only
// what was asked for, what changed, and what follows from that is done again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actors/engine.hpp"
#include "cache/blob_store.hpp"
#include "flow/flow_spec.hpp"
#include "journal/run_view.hpp"

namespace reprise {

struct ForkRequest {
  std::vector<std::string> at;  // tasks to do again, by name: "align", or "align[s3]"
  Parameters parameters;        // of the new run, with defaults filled in
  // The flow to run instead: its tasks that are not as they were are done again. null = the same
  std::shared_ptr<const FlowSpec> flow = nullptr;
};

struct Fork {
  RunOptions run;           // shape and parameters; `parent` is the old run
  std::uint64_t given = 0;  // tasks whose results are taken
  std::uint64_t again = 0;  // tasks of the old run that are done again
};

/// Done again are: `at`; tasks that read a parameter that changed, or are not as they were; tasks
/// that did not succeed; and all that is downstream of one of them, for elements of mapped tasks
/// only their own way down.
/// @error not_found: no such task, or a result that is to be taken is not kept any more;
/// invalid_argument: nothing would be done; corrupt, io
[[nodiscard]] Result<Fork> make_fork(const journal::RunRow& row, const journal::RunView& view,
                                     const ForkRequest& request, cache::BlobStore& blobs);

/// Whether these tasks, by name, can go on while other paused ones of the run stay: each is paused,
/// or has an element that is.
/// @error not_found: no such task; conflict: nothing of it is paused
[[nodiscard]] Status check_resume(const journal::RunRow& row, const journal::RunView& view,
                                  const std::vector<std::string>& tasks);

/// Tasks of a finished run that get a new attempt in the same run: those that failed (or were
/// cancelled), or those named, with what is downstream of them.
struct RetryRequest {
  bool failed = true;
  bool cancelled = true;
  std::vector<std::string> tasks;  // only these; empty = all
};

/// The changes that turn the run back: to be appended to its journal, after which it is resumed.
/// @error not_found: no such task; conflict: there is nothing to be tried again
[[nodiscard]] Result<journal::Batch> make_retry(const journal::RunRow& row,
                                                const journal::RunView& view,
                                                const RetryRequest& request, Time now);

}  // namespace reprise
