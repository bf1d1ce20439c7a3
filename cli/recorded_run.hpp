// A run as the journal has it, with its attempts: what traces and reports are made of.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/attempt_history.hpp"
#include "cli/console.hpp"
#include "cli/run_place.hpp"

namespace reprise::cli {

struct RecordedRun {
  RecordedRun(journal::RunRow of, RunState is, AttemptHistory with, Time up_to)
      : row(std::move(of)),
        state(is),
        history(std::move(with)),
        until(up_to),
        attempts(history.attempts(until)) {}

  journal::RunRow row;
  RunState state;
  AttemptHistory history;
  Time until;                         // the end of what has not ended
  std::vector<PastAttempt> attempts;  // by the time they began

  [[nodiscard]] const journal::RunView& view() const { return history.view(); }
};

/// The run that `selector` means, as it is now. @return the exit code, once people were told why
/// not
[[nodiscard]] tl::expected<RecordedRun, int> load_recorded(RunPlace& place,
                                                           const std::string& selector,
                                                           Console& console);

}  // namespace reprise::cli
