// In what two runs differ: parameters, the flow, and task by task what became of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flow/task_difference.hpp"
#include "journal/run_view.hpp"

namespace reprise::journal {

struct ParameterDiff {
  std::string name;
  std::optional<Payload> left, right;  // none: that run has no such parameter
};

/// A task of both runs, or of one.
struct TaskDiff {
  enum class Kind : std::uint8_t {
    same,
    only_left,
    only_right,
    state,   // one succeeded and the other did not, or they failed in different ways
    key,     // what the results depend on differs; the results may be equal
    result,  // the same key, or none, and yet another result
  };
  Kind kind = Kind::same;
  std::string task;
  std::optional<TaskId> left, right;
  bool key_differs = false;
  bool result_differs = false;
  std::vector<TaskDifference> text;  // what the flow says about it, told at its first element
};

struct RunDiff {
  std::vector<ParameterDiff> parameters;  // only those that differ
  bool flow_differs = false;              // in anything, be it where a line stands
  std::vector<TaskDiff> tasks;            // in order of the left run, then what only the right has
  std::uint64_t same = 0;

  /// Something differs besides how long things took.
  [[nodiscard]] bool is_different() const;
};

/// Successes are equal whether the result was made, stored or served from the cache.
[[nodiscard]] RunDiff diff_runs(const RunRow& left_row, const RunView& left,
                                const RunRow& right_row, const RunView& right);

}  // namespace reprise::journal
