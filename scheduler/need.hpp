// What a task needs of the worker that runs it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "flow/flow_spec.hpp"

namespace reprise::scheduler {

struct Need {
  Resources resources;
  std::map<std::string, std::string> labels;
  std::vector<std::string> functions;  // "name@version"; sorted, distinct
  // Not a worker, but a run of its own is to begin: so many runs it is nested in. 0 = a worker.
  std::uint32_t nesting = 0;

  /// Nothing but a slot, and a processor at most: there may be more of those at a worker than run.
  [[nodiscard]] bool is_plain() const {
    return resources.cpu_milli <= 1000 && resources.memory_bytes == 0 && resources.custom.empty();
  }
  bool operator==(const Need&) const = default;
  friend bool operator<(const Need& a, const Need& b);
};

/// Of the bodies of a kind's tasks, but for `nesting`; and of the questions about them, which take
/// a slot alone.
[[nodiscard]] Need need_of(const TaskKind& kind);
[[nodiscard]] Need need_of_questions(const TaskKind& kind);
[[nodiscard]] Need need_of_questions(const std::vector<Hook>& run_hooks);

}  // namespace reprise::scheduler
