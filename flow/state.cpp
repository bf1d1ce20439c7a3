#include "flow/state.hpp"

#include <array>

namespace reprise {
namespace {

struct Names {
  std::string_view plain, class_name;
};

constexpr std::array<Names, task_state_count> task_names = {{
    {"pending", "Pending"},
    {"ready", "Ready"},
    {"scheduled", "Scheduled"},
    {"retrying", "Retrying"},
    {"paused", "Paused"},
    {"resume", "Resume"},
    {"queued", "Queued"},
    {"submitted", "Submitted"},
    {"running", "Running"},
    {"cancelling", "Cancelling"},
    {"success", "Success"},
    {"cached", "Cached"},
    {"mapped", "Mapped"},
    {"skipped", "Skipped"},
    {"looped", "Looped"},
    {"failed", "Failed"},
    {"trigger_failed", "TriggerFailed"},
    {"timed_out", "TimedOut"},
    {"validation_failed", "ValidationFailed"},
    {"cancelled", "Cancelled"},
    {"lost", "Lost"},
}};

constexpr std::array<std::string_view, 8> run_names = {
    "queued", "running", "paused", "success", "failed", "cancelling", "cancelled", "interrupted",
};

static_assert(static_cast<int>(TaskState::lost) + 1 == task_state_count);
static_assert(static_cast<std::size_t>(RunState::interrupted) + 1 == run_names.size());

}  // namespace

std::string_view name(TaskState state) {
  return task_names[static_cast<std::size_t>(state)].plain;
}

std::string_view name(RunState state) {
  return run_names[static_cast<std::size_t>(state)];
}

std::string_view class_name(TaskState state) {
  return task_names[static_cast<std::size_t>(state)].class_name;
}

std::optional<TaskState> task_state_from(std::string_view name) {
  for (std::size_t i = 0; i < task_names.size(); ++i)
    if (task_names[i].plain == name || task_names[i].class_name == name)
      return static_cast<TaskState>(i);
  return std::nullopt;
}

std::optional<RunState> run_state_from(std::string_view name) {
  for (std::size_t i = 0; i < run_names.size(); ++i)
    if (run_names[i] == name) return static_cast<RunState>(i);
  return std::nullopt;
}

}  // namespace reprise
