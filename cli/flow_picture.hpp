// A flow as a graph of its groups, for `reprise graph` and the report: as JSON, for dot, or drawn.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/state_columns.hpp"
#include "flow/flow_spec.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

struct FlowPicture {
  struct Box {
    std::string name;  // not escaped
    std::string_view body = "pass";
    bool is_mapped = false;
    std::optional<StateColumns> states;  // of a run
  };
  struct Line {
    std::uint32_t from = 0, to = 0;  // indices of boxes
    bool has_value = false;          // else the lower one only waits for the upper one
    bool is_elementwise = false;     // element i waits for element i alone
    bool operator==(const Line&) const = default;
  };
  std::string flow;
  std::vector<Box> boxes;   // in the flow's order
  std::vector<Line> lines;  // by `to`, then `from`; at most one for a pair
};

[[nodiscard]] FlowPicture picture_of(const FlowSpec& flow);
/// With the states of the tasks.
[[nodiscard]] FlowPicture picture_of(const journal::RunView& view);

/// reprise.graph/1. @param run  its id, and its state; null: it is a flow
[[nodiscard]] Json graph_json(const FlowPicture& picture, Json run, Json state);
[[nodiscard]] std::string to_dot(const FlowPicture& picture);

/// For each box the column in which it is drawn: right of all that it waits for.
[[nodiscard]] std::vector<std::uint32_t> columns_of(const FlowPicture& picture);
/// An SVG element that stands alone, or within a page.
[[nodiscard]] std::string to_svg(const FlowPicture& picture);

}  // namespace reprise::cli
