// User code that is asked about tasks and runs besides their bodies: hooks, triggers, key
// functions, validators. It runs on a slot, for at most 30 seconds, and never holds up other tasks;
// what takes longer, or throws an ordinary exception, fails the task it was asked about.
#pragma once

#include <chrono>
#include <functional>
#include <map>
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

/// A result that is kept under the name of the task, or under its shared key, by whatever run.
struct earlier_result {
  value result{};
  std::string run{};  // that made it
  std::chrono::system_clock::time_point committed{};
  std::optional<std::chrono::system_clock::time_point> expires{};
  std::map<std::string, std::string> inputs{};  // digests of what its task was given, by name
  /// Digests of the run's parameters. nullopt: its task did not keep them, because its validator
  /// does not look at them.
  std::optional<std::map<std::string, std::string>> parameters{};
};
/// What the task is given now. Digests are those of earlier_result where values are the same.
struct present_inputs {
  std::map<std::string, value> inputs{};
  std::map<std::string, value> parameters{};
  std::map<std::string, std::string> input_digests{};
  std::map<std::string, std::string> parameter_digests{};
};
/// Is an earlier result valid now? It is asked about one after the other, newest first, until one
/// is. It sees results of the same name, version, types, code, salt and declared environment that
/// are not over, at most 100. It may throw a reprise::signal; any other exception fails the task.
using validator_function =
    std::function<bool(const earlier_result& earlier, const present_inputs& now, context&)>;

/// What a hook of the whole run is told, and may give back: running when it is about to begin, and
/// success, failed or cancelled when it is about to end.
struct run_change {
  run_state state;
  std::string message{};
};
using run_hook = std::function<std::optional<run_change>(const run_change& after, context&)>;

}  // namespace reprise
