// How `run`, `resume`, `retry` and `fork` end, wherever the run was run: what they print, and the
// exit code.
#pragma once

#include <map>
#include <string>

#include "actors/engine.hpp"
#include "cli/console.hpp"
#include "cli/progress.hpp"

namespace reprise::cli {

struct EndedRun {
  RunResult result;
  std::string flow_name;
  bool continued = false;
  std::map<std::string, std::string> files{};  // where output files were put
  Status put_status{};                         // whether they could be
};

/// Prints the outputs and how it went, after Progress::finish(). @return the exit code
int tell_ending(const EndedRun& ended, const Progress& progress, Console& console);

/// @error invalid_argument: the folder for output files is something else
[[nodiscard]] Status check_out_folder(const FlowSpec& flow, const std::string& out);

/// How a run of this flow is shown here.
[[nodiscard]] Progress::Options progress_options(const FlowSpec& flow, const std::string& flow_name,
                                                 const Console& console);

}  // namespace reprise::cli
