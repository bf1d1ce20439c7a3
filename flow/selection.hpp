// Parts of flows.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {

/// The part of a flow that these tasks need: they, and everything that is upstream of them, with
/// the outputs that this part can make. Keys of results do not depend on the flow around a task, so
/// the part shares results with the whole.
/// @param flow   checked
/// @param tasks  names; at least one
/// @error invalid_argument: no task of the flow has such a name; the message suggests one
[[nodiscard]] Result<FlowSpec> only(const FlowSpec& flow, const std::vector<std::string>& tasks);

}  // namespace reprise
