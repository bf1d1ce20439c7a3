// The edges of a flow, turned around: who waits for whom. Computed once per run from the FlowSpec's
// inputs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/id.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::scheduler {

/// One edge as its upstream sees it. A pair of nodes may be joined by several.
struct Edge {
  NodeId to;
  bool elementwise =
      false;  // element i of `to` waits for element i of the upstream, not for all of it
};

class FlowGraph {
 public:
  /// @param usual_seconds  by node, for those of which the flow does not say how long they take;
  /// empty = not known
  explicit FlowGraph(const FlowSpec& flow, const std::vector<float>& usual_seconds = {});
  /// The ranks by these.
  void compute_ranks(const FlowSpec& flow, const std::vector<float>& usual_seconds);

  [[nodiscard]] std::span<const Edge> downstream(NodeId node) const {
    return {edges_.data() + begin_[node.value], begin_[node.value + 1] - begin_[node.value]};
  }
  /// Number of edges that end in `node`.
  [[nodiscard]] std::uint32_t indegree(NodeId node) const { return indegree_[node.value]; }
  /// Longest way to the end of the flow, in expected seconds (a second per node where unknown):
  /// nodes on the critical path come first.
  [[nodiscard]] float rank(NodeId node) const { return rank_[node.value]; }
  [[nodiscard]] bool is_mapped(NodeId node) const { return mapped_[node.value]; }
  [[nodiscard]] bool is_terminal(NodeId node) const { return downstream(node).empty(); }

  /// Calls `f(NodeId upstream, const Input&)` for every edge into `node`; an expression may have
  /// several.
  template <class F>
  static void for_each_upstream(const FlowSpec& flow, NodeId node, F&& f) {
    for (const Input& input : flow.inputs_of(node)) {
      switch (input.source) {
        case Input::Source::upstream:
        case Input::Source::state_only:
          f(NodeId{input.index}, input);
          break;
        case Input::Source::expression:
          for (NodeId read : flow.expressions[input.index].reads) f(read, input);
          break;
        case Input::Source::constant:
        case Input::Source::parameter:
          break;
      }
    }
  }

 private:
  std::vector<std::uint32_t> begin_;  // per node + 1, into edges_
  std::vector<Edge> edges_;
  std::vector<std::uint32_t> indegree_;
  std::vector<float> rank_;
  std::vector<bool> mapped_;
};

}  // namespace reprise::scheduler
