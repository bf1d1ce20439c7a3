#include "scheduler/flow_graph.hpp"

#include <algorithm>

namespace reprise::scheduler {

FlowGraph::FlowGraph(const FlowSpec& flow, const std::vector<float>& usual_seconds)
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
  compute_ranks(flow, usual_seconds);
}

// A node of which nothing is known takes as long as the others on average; a second when nothing is
// known of any. One that is said to take no time at all has its word for it when others are known.
void FlowGraph::compute_ranks(const FlowSpec& flow, const std::vector<float>& usual_seconds) {
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
  const bool any_expected = std::any_of(flow.nodes.begin(), flow.nodes.end(),
                                        [](const Node& node) { return node.expected_seconds > 0; });
  const auto usual = [&](std::uint32_t n) {
    return n < usual_seconds.size() ? usual_seconds[n] : 0.0F;
  };
  double sum = 0;
  std::size_t known = 0;
  for (std::uint32_t n = 0; n < count; ++n) {
    if (usual(n) <= 0) continue;
    sum += static_cast<double>(usual(n));
    ++known;
  }
  const auto otherwise = any_expected ? 0.0F
                         : known > 0  ? static_cast<float>(sum / static_cast<double>(known))
                                      : 1.0F;
  for (std::size_t i = order.size(); i-- > 0;) {
    const std::uint32_t n = order[i];
    float longest = 0;
    for (const Edge& edge : downstream(NodeId{n}))
      longest = std::max(longest, rank_[edge.to.value]);
    const float own = flow.nodes[n].expected_seconds;
    rank_[n] = longest + (own > 0 ? own : usual(n) > 0 ? usual(n) : otherwise);
  }
}

}  // namespace reprise::scheduler
