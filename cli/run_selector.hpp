// Which run a person means by what was typed: an id, the beginning of one, "last", or "last:FLOW".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "journal/journal.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

/// What was typed, taken apart. Pure.
struct RunSelector {
  enum class Kind { last, prefix };
  Kind kind = Kind::last;
  std::string flow;    // of last:FLOW; empty = any
  std::string prefix;  // upper case, with I, L and O read as 1, 1 and 0

  /// @error invalid_argument: neither; the message says what a run looks like
  [[nodiscard]] static Result<RunSelector> parse(std::string_view text);
  bool operator==(const RunSelector&) const = default;
};

/// The one run that `text` selects.
/// @error not_found: no such run, with a suggestion, or several, which are listed; else what the
/// journal says
[[nodiscard]] Result<journal::RunRow> find_run(std::string_view text, journal::Journal& journal);
/// A task of a run by its name. @error not_found: with the name that may be meant
[[nodiscard]] Result<TaskId> find_task(const std::string& text, const journal::RunRow& row,
                                       const journal::RunView& view);

/// All of them, each once, in the order given.
[[nodiscard]] Result<std::vector<journal::RunRow>> find_runs(const std::vector<std::string>& texts,
                                                             journal::Journal& journal);

}  // namespace reprise::cli
