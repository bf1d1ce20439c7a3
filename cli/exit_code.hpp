// How the program ends: one table, used by every command (docs/cli.md, "Exit codes").
#pragma once

#include "core/result.hpp"
#include "flow/state.hpp"

namespace reprise::cli {

enum ExitCode : int {
  exit_ok = 0,
  exit_failed = 1,       // the run, or doctor, finished and found or is a failure
  exit_invalid = 2,      // usage, flow or configuration; nothing was started
  exit_unreachable = 3,  // a store or server did not answer
  exit_denied = 4,
  exit_not_found = 5,  // no such run, task or entry, or an ambiguous prefix
  exit_conflict = 6,   // in a state that does not allow this
  exit_timeout = 7,    // --timeout passed; the run goes on
  exit_cancelled = 8,
  exit_waiting = 9,  // the run waits for a person
  exit_differences = 10,
  exit_internal = 70,
  exit_interrupted = 130,  // Ctrl-C
};

[[nodiscard]] ExitCode exit_code_of(ErrorCode code);
/// Of the state in which `run` and `wait` left a run.
[[nodiscard]] ExitCode exit_code_of(RunState state);

/// HTTP status that the problem object carries for `code`.
[[nodiscard]] int status_of(ErrorCode code);

}  // namespace reprise::cli
