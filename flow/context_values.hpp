// The context: what a task can find out about its run and attempt by name (docs/semantics.md,
// "Context").
#pragma once

#include <optional>
#include <string_view>

#include "core/value.hpp"
#include "flow/attempt.hpp"

namespace reprise {

/// An entry; nullopt: there is none. Those that are always there hold what is so, whatever the run
/// was given under their names, but for the dates; a given `date` drives today, yesterday and
/// tomorrow.
[[nodiscard]] std::optional<Value> context_value(const Attempt& attempt, std::string_view key);

/// The entries that are the same for all attempts of a run, sorted by name; what the run was given
/// is among them.
[[nodiscard]] Map run_context_values(const RunContext& run);
/// The others, sorted by name.
[[nodiscard]] Map attempt_context_values(const Attempt& attempt);
/// The name is one of those others.
[[nodiscard]] bool is_of_attempt(std::string_view key);

}  // namespace reprise
