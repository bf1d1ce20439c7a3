#include "scheduler/flow_graph.hpp"

#include <algorithm>

namespace reprise::scheduler {

FlowGraph::FlowGraph(const FlowSpec& flow)
    : begin_(flow.nodes.size() + 1, 0),
      indegree_(flow.nodes.size(), 0),
      mapped_(flow.nodes.size()) {
  const auto count = static_cast<std::uint32_t>(flow.nodes.size());
  for (std::uint32_t n = 0; n < count; ++n) {
    for (const Input& input : flow.inputs_of(NodeId{n}))
      if (input.mapped) mapped_[n] = true;
  }
  // Two passes make the compressed rows: count, then place.
  for (std::uint32_t n = 0; n < count; ++n) {
    for_each_upstream(flow, NodeId{n}, [&](NodeId from, const Input&) {
      ++begin_[from.value + 1];
      ++indegree_[n];
    });
  }
  for (std::uint32_t n = 0; n < count; ++n) begin_[n + 1] += begin_[n];
  edges_.resize(begin_[count]);
  std::vector<std::uint32_t> next(begin_.begin(), begin_.end() - 1);
  for (std::uint32_t n = 0; n < count; ++n) {
    for_each_upstream(flow, NodeId{n}, [&](NodeId from, const Input& input) {
      const bool elementwise = input.mapped && !input.flattened && mapped_[from.value] &&
                               input.source != Input::Source::expression;
      edges_[next[from.value]++] = Edge{NodeId{n}, elementwise};
    });
  }
  compute_ranks(flow);
}

void FlowGraph::compute_ranks(const FlowSpec& flow) {
  const auto count = static_cast<std::uint32_t>(flow.nodes.size());
  rank_.assign(count, 0);
  std::vector<std::uint32_t> order;
  order.reserve(count);
  std::vector<std::uint32_t> left = indegree_;
  for (std::uint32_t n = 0; n < count; ++n)
    if (left[n] == 0) order.push_back(n);
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const Edge& edge : downstream(NodeId{order[i]}))
      if (--left[edge.to.value] == 0) order.push_back(edge.to.value);
  bool any_expected = std::any_of(flow.nodes.begin(), flow.nodes.end(),
                                  [](const Node& node) { return node.expected_seconds > 0; });
  for (std::size_t i = order.size(); i-- > 0;) {
    const std::uint32_t n = order[i];
    float longest = 0;
    for (const Edge& edge : downstream(NodeId{n}))
      longest = std::max(longest, rank_[edge.to.value]);
    rank_[n] = longest + (any_expected ? flow.nodes[n].expected_seconds : 1.0F);
  }
}

}  // namespace reprise::scheduler
