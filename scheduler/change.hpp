// The usual beginning of a change.
#pragma once

#include "journal/records.hpp"

namespace reprise::scheduler {

/// The change that brings `task` into `state`, with nothing else in it.
[[nodiscard]] inline journal::TaskChange change_to(TaskId task, TaskState state, Time at) {
  journal::TaskChange change;
  change.task = task;
  change.state = state;
  change.at = at;
  return change;
}

}  // namespace reprise::scheduler
