// Flows in a line, for tests of what happens to them: flow("a -> c; b -> c; m*3; m => n").
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "flow/flow_spec.hpp"

namespace reprise::test {

/// `a -> b`: b takes a's result as its input "a". `m*3`: a node mapped over a constant list of
/// three numbers. `m => n`: n is mapped over m's result, element by element when m is mapped
/// itself. `a` alone is a node. Nodes are in order of first mention.
/// @param kinds  by node name; other nodes get a default one whose cache name is the node's name
[[nodiscard]] std::shared_ptr<const FlowSpec> flow(
    std::string_view text, const std::map<std::string, TaskKind>& kinds = {});

}  // namespace reprise::test
