#include "flow/signal.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace reprise {

namespace {

// In the order in which messages list them.
const std::array<std::string, 8> names{"skip",  "fail", "success",      "retry",
                                       "pause", "loop", "trigger-fail", "validation-fail"};
constexpr std::array states{
    TaskState::skipped, TaskState::failed, TaskState::success,        TaskState::retrying,
    TaskState::paused,  TaskState::looped, TaskState::trigger_failed, TaskState::validation_failed};

}  // namespace

std::span<const std::string> signal_names() {
  return names;
}

std::optional<TaskState> signal_from(std::string_view name) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return states[i];
  return std::nullopt;
}

bool is_signal(TaskState state) {
  return std::find(states.begin(), states.end(), state) != states.end();
}

}  // namespace reprise
