// A run as a trace for other programs: Chrome's trace viewer and Perfetto, or OpenTelemetry. Pure:
// attempts in, bytes out, piece by piece.
//
// Chrome (the trace event format): a process for each worker that the journal names, and one for
// the rest; a thread for each slot, so that nothing overlaps on one; thread 0 has what took no time
// (from the cache, skipped). OTLP/JSON: a trace for the run, a span for each attempt.
#pragma once

#include <functional>
#include <string_view>

#include "cli/origins.hpp"
#include "cli/recorded_run.hpp"

namespace reprise::cli {

using Write = std::function<void(std::string_view)>;

void write_chrome_trace(const RecordedRun& run, const Write& write);
void write_otlp_trace(const RecordedRun& run, Origins& origins, const Write& write);

}  // namespace reprise::cli
