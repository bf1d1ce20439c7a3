// Running a flow in this process and following it to its end: what `run` and `resume` share.
#pragma once

#include <memory>
#include <string>

#include "actors/engine.hpp"
#include "cli/console.hpp"

namespace reprise::cli {

struct FollowOptions {
  std::shared_ptr<const FlowSpec> flow;
  std::string flow_name;  // as typed, for messages
  EngineOptions engine;
  RunOptions run;
  std::string out;        // directory for output files
  bool is_retry = false;  // of a run that was finished
};

/// Runs and follows; prints everything; returns the exit code.
int follow(FollowOptions options, Console& console);

/// Exit code for an error that came before anything was started: whatever is wrong with the file
/// system or the configuration is the caller's to put right.
[[nodiscard]] int start_error_code(ErrorCode code);

}  // namespace reprise::cli
