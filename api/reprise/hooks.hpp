// User code that is asked about tasks and runs besides their bodies: hooks, triggers, key
// functions. It runs on a slot, for at most 30 seconds, and never holds up other tasks; what takes
// longer, or throws an ordinary exception, fails the task it was asked about.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "reprise/context.hpp"
#include "reprise/state.hpp"

namespace reprise {

/// Is told a state before the task enters it: running, what the body made of it, cached when the
/// result was kept, retrying when it runs again, or the one state of a task whose body does not run
/// (skipped, trigger_failed, paused, a hit). nullopt: the state stands; else the task enters the
/// state that is given back. It may throw a reprise::signal: a pause is final, others are the state
/// to enter without asking further hooks.
using hook = std::function<std::optional<state>(const state& before, const state& after, context&)>;

/// May the task run? Gets the states of the tasks above it, of mapped ones those of the elements.
/// It may throw a reprise::signal; any other exception counts as no, with its message.
using trigger_function = std::function<bool(std::span<const state> upstreams, context&)>;

/// What the result is kept under; stands for name, types and arguments. nullopt: it is not cached.
using key_function =
    std::function<std::optional<std::string>(std::span<const value> arguments, context&)>;

/// What a hook of the whole run is told, and may give back: running when it is about to begin, and
/// success, failed or cancelled when it is about to end.
struct run_change {
  run_state state;
  std::string message{};
};
using run_hook = std::function<std::optional<run_change>(const run_change& after, context&)>;

}  // namespace reprise
