// Runs that nobody is at work on, because they are paused or were interrupted: what is nested in
// them, and how they are cancelled.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/time.hpp"
#include "journal/data_folder.hpp"
#include "journal/journal.hpp"
#include "journal/run_view.hpp"

namespace reprise {

/// The runs that were begun for tasks of these, those begun for tasks of these in turn, and so on;
/// the oldest first. @error as Journal::runs()
[[nodiscard]] Result<std::vector<journal::RunRow>> runs_nested_in(journal::Journal& journal,
                                                                  std::set<RunId> outer);

/// The change of a run that ends it as cancelled, with all of its tasks that are not finished.
[[nodiscard]] journal::Batch make_cancel(const journal::RunRow& row, const journal::RunView& view,
                                         const std::string& reason, Time now);

/// What cancels one run, for whoever writes the journal.
struct Cancellation {
  journal::RunLock lock;  // nobody goes on with the run meanwhile
  journal::Batch batch;
  journal::Summary summary;  // of the run as it is then
};

/// Of the run and of those nested in it that are not finished, innermost first.
/// @error conflict: one of them, or one that this is nested in, is being run; else as the journal
/// says
[[nodiscard]] Result<std::vector<Cancellation>> cancel_idle(journal::Journal& journal,
                                                            const journal::DataFolder& folder,
                                                            const journal::RunRow& row,
                                                            const std::string& reason, Time now);

}  // namespace reprise
