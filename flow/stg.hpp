// Importer of standard task graphs, "STG without communication costs"
// (https://www.kasahara.cs.waseda.ac.jp/schedule/):
//
//   3                    number of tasks n, without the two dummies
//   0  0  0              one row for each of n + 2 tasks: id, processing time, number of
//   predecessors, predecessors 1  9  1  0 … # comments           until the end of the line,
//   anywhere
//
// Task 0 and task n + 1 are dummies of no duration, source and sink of the graph. They are tasks
// like the others here.
#pragma once

#include <string_view>

#include "flow/trace.hpp"

namespace reprise {

/// The task graph of an STG file. Ids are the numbers as text; a time unit is a second.
/// @error all mistakes found in one pass; code RP2201 to RP2211, see docs/errors.md
[[nodiscard]] Checked<Trace> read_stg(std::string_view text, std::string_view name);

/// read_stg() and to_flow().
[[nodiscard]] Checked<FlowSpec> import_stg(std::string_view text, std::string_view name,
                                           const TraceOptions& options);

/// The first line that is neither empty nor a comment holds exactly one whole number.
[[nodiscard]] bool looks_like_stg(std::string_view text);

}  // namespace reprise
