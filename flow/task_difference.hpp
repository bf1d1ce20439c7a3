// What an author changed about a task between two texts of a flow. Where things stand in the file
// does not count.
#pragma once

#include <string>
#include <vector>

#include "flow/flow_spec.hpp"

namespace reprise {

struct TaskDifference {
  std::string part;  // "run[1]", "shell", "version", "when", "needs fetch", "policy" …
  std::string before;
  std::string now;
  SourceSpan span;  // in the newer text; line 0 = not from a file

  bool operator==(const TaskDifference&) const = default;
};

/// Empty: the two are the same task. Parameters are compared by name, constants by content, other
/// tasks by name.
[[nodiscard]] std::vector<TaskDifference> task_differences(const FlowSpec& before, NodeId old_node,
                                                           const FlowSpec& now, NodeId new_node);

}  // namespace reprise
