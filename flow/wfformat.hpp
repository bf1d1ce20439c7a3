// Importer of workflow traces in WfFormat 1.5 and 1.6 (https://github.com/wfcommons/WfFormat).
//
// Edges are the union of what tasks say about their parents and their children, which must agree.
// Files and execution data are checked, too, because a trace that contradicts itself there is no
// recording of anything. What WfFormat requires of the workflow must be there, but for
// `executedAt`, which recordings write in four ways and nothing here reads.
#pragma once

#include <string>
#include <string_view>

#include "flow/json_text.hpp"
#include "flow/trace.hpp"

namespace reprise {

/// The task graph of a trace.
///
/// @param text  the JSON text
/// @error all mistakes found in one pass; code RP2101 to RP2121, see docs/errors.md
[[nodiscard]] Checked<Trace> read_wfformat(std::string_view text);

/// The same for a text that was parsed before, whole or up to its first mistake.
[[nodiscard]] Checked<Trace> read_wfformat(const ParsedJson& json, std::string_view text);

/// read_wfformat() and to_flow().
[[nodiscard]] Checked<FlowSpec> import_wfformat(std::string_view text, const TraceOptions& options);

/// What is wrong with a text that is not JSON.
[[nodiscard]] std::vector<Diagnostic> json_mistake(const JsonError& error, std::string_view text);

}  // namespace reprise
