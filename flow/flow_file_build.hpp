// Third pass over a flow file: a checked draft becomes a FlowSpec. Internal to the decoder.
#pragma once

#include "flow/flow_file_check.hpp"

namespace reprise::flow_file {

/// One node per task, in the file's order. A node's inputs are, in this order: for `call` the
/// function's arguments under its own names, else the map variable, the tasks of `needs` and the
/// tasks that templates read, each under the task's name; an own element as "fetch[]". @error
/// invalid_argument: as check() of flow/flow_spec.hpp
[[nodiscard]] Result<FlowSpec> build(const FlowDraft& draft, const FlowFacts& facts,
                                     const yaml::Document& document,
                                     const FlowFileOptions& options);

}  // namespace reprise::flow_file
