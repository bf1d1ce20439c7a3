// A moment in the past as people give it: to commands that show, or run with, what was true then.
#pragma once

#include <string>

#include "cli/options.hpp"
#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cli {

/// "2h" (ago), an RFC 3339 time, or a run: then the moment at which it ended, so that its own
/// results are seen and nothing later is.
/// @error invalid_argument; not_found: no such run; conflict: the run has not ended
[[nodiscard]] Result<Time> moment_of(const std::string& text, const GlobalOptions& globals);

}  // namespace reprise::cli
