// The hash chain: a workload whose answer depends on nothing but the graph, so that it checks
// everything else.
//
//   D(task)      = SHA-256( line LF, then for each parent by ascending id bytes: hex(D(parent)) LF
//   ) chain digest = SHA-256( for each task by ascending id bytes: id SP hex(D(task)) LF )
//
// `line` is the task's id, or "id SP text" when it was touched. The chain digest is computed from
// the tasks' results, not by a task of its own, so that a run has as many tasks as its trace.
#pragma once

#include <span>
#include <string_view>

#include "core/digest.hpp"
#include "core/payload.hpp"
#include "core/result.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {

/// D(task). @param parents  hex digests in the order of their tasks' ids
[[nodiscard]] Digest chain_step(std::string_view line, std::span<const std::string_view> parents);

/// The chain digest of a flow whose nodes ended with `results`, in the order of the nodes.
/// @error invalid_argument: the number of results differs, or one is no text at hand
[[nodiscard]] Result<Digest> chain_digest(const FlowSpec& flow, std::span<const Payload> results);

}  // namespace reprise
