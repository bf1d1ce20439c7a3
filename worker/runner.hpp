// Running one attempt of a task: the interface between the worker's slots and user code.
#pragma once

#include <stop_token>
#include <variant>

#include "flow/attempt.hpp"

namespace reprise::worker {

/// Runs attempts. Thread-safe: called from many slots at once. `run` blocks until the attempt is
/// over; it never throws.
class Runner {
 public:
  virtual ~Runner() = default;

  /// @param stop  asked to stop when the attempt is cancelled or timed out; a command's tree is
  /// then ended with SIGTERM
  ///              and, after the grace time, SIGKILL; a function sees it in its context.
  [[nodiscard]] virtual Outcome run(const Attempt& attempt, std::stop_token stop) = 0;

  /// A slot calls this when it has handed over what it ran and has nothing else to do: for what may
  /// be done later.
  virtual void tidy() {}

  /// Whether `run` returns about the grace time after the stop, whatever the body does.
  [[nodiscard]] virtual bool ends_by_force(const Attempt& attempt) const {
    return !attempt.question &&
           std::holds_alternative<CommandBody>(attempt.context->flow->kind_of(attempt.node).body);
  }
};

}  // namespace reprise::worker
