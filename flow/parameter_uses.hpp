// Which parameters a task reads, and where: its inputs, expressions, templates and condition.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flow/flow_spec.hpp"

namespace reprise {

struct ParameterUse {
  std::uint32_t parameter = 0;     // index into FlowSpec::parameters
  SourceSpan span;                 // of the text that reads it; line 0 = not from a file
  bool only_for_elements = false;  // for nothing but the list that a mapped task goes over

  bool operator==(const ParameterUse&) const = default;
};

/// Each parameter once, with its first use, in the order of the flow's parameters. Upstreams are
/// not followed. What a task's cache policy makes of all parameters counts as reading them.
[[nodiscard]] std::vector<ParameterUse> parameters_read(const FlowSpec& flow, NodeId node);

}  // namespace reprise
