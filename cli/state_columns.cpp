#include "cli/state_columns.hpp"

#include <algorithm>

namespace reprise::cli {

StateColumns columns_of(const journal::StateCounts& states, std::uint64_t cached) {
  StateColumns c;
  for (int i = 0; i < task_state_count; ++i) {
    const auto state = static_cast<TaskState>(i);
    const std::uint64_t n = states[static_cast<std::size_t>(i)];
    if (state == TaskState::skipped)
      c.skipped += n;
    else if (state == TaskState::cancelled)
      c.cancelled += n;
    else if (is_success(state))
      c.success += n;
    else if (is_failed(state))
      c.failed += n;
    else if (is_running(state))
      c.running += n;
    else
      c.waiting += n;
  }
  c.cached = std::min(cached, c.success);
  c.success -= c.cached;
  return c;
}

Json columns_json(const StateColumns& c) {
  return {{"success", c.success}, {"cached", c.cached},   {"failed", c.failed},
          {"running", c.running}, {"waiting", c.waiting}, {"cancelled", c.cancelled},
          {"skipped", c.skipped}};
}

}  // namespace reprise::cli
