// What a task may ask for instead of an ordinary end, by name: `reprise signal KIND`, `exit:` in
// flow files, and the file that a command leaves (docs/semantics.md, "Signals").
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "flow/state.hpp"

namespace reprise {

/// "skip", "fail", "success", "retry", "pause", "loop", "trigger-fail", "validation-fail".
[[nodiscard]] std::span<const std::string> signal_names();
/// The state in which a signal ends an attempt. nullopt: there is no such signal.
[[nodiscard]] std::optional<TaskState> signal_from(std::string_view name);
/// Whether some signal ends an attempt in this state.
[[nodiscard]] bool is_signal(TaskState state);

}  // namespace reprise
