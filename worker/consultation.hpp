// Questions to user code: custom triggers, key functions, validators and hooks (flow/attempt.hpp,
// Question). Like bodies they run on slots; unlike them they run nothing of the task itself.
//
// Functions get and give values:
//   trigger      (upstreams: [{name, state, message, result}…]) → bool
//   key function (the task's arguments, by name) → text, or nil: not cached
//   validator    (earlier: {result, run, committed, expires, inputs, parameters}, now: {inputs,
//                parameters, input_digests, parameter_digests}) → bool, for one earlier result
//                after the other, the newest first, until one is valid
//   hook         (before, after: {state, message, result, start_time}) → nil, or the state to enter
//                instead
// A state is a map; its "state" is the state's name, lower case. A hook of the run gets the run's
// states.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "flow/attempt.hpp"
#include "worker/environment.hpp"
#include "worker/functions.hpp"

namespace reprise::worker {

struct Consultation {
  std::function<std::shared_ptr<const Function>(const std::string& id)> find;  // nullptr: unknown
  /// Runs a command with these variables: REPRISE_STATE, REPRISE_STATE_BEFORE, REPRISE_MESSAGE.
  std::function<Outcome(const Attempt&, const CommandBody&, const Environment&)> run_command;
  std::function<void(std::string)> warn;  // one line, for people; may be empty

  /// The answer to the attempt's question (of a validator: the position of the candidate that is
  /// valid, or nil), never `executed`. Blocks as long as user code does.
  ///
  /// Of hooks: the state to enter. One that throws an ordinary exception or gives nonsense fails
  /// the task, finally; a thrown pause is final, too; any other signal is the state to enter, and
  /// the remaining hooks are not asked. A command takes note only; that it fails is a warning.
  [[nodiscard]] Outcome answer(const Attempt& attempt, const std::stop_token& stop) const;
};

}  // namespace reprise::worker
