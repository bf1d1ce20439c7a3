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

/// All entries, sorted by name.
[[nodiscard]] Map context_values(const Attempt& attempt);

}  // namespace reprise
