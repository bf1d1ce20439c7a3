// What follows from some tasks of a run, down to single elements of mapped ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/result.hpp"
#include "core/text.hpp"
#include "journal/run_view.hpp"
#include "scheduler/flow_graph.hpp"

namespace reprise {

/// Some tasks of a run and all that follows from them. A mapped node is either in it as a whole,
/// its list included, or some of its elements are.
class Downstream {
 public:
  explicit Downstream(const journal::RunView& view)
      : view_(view),
        graph_(view.flow()),
        whole_(view.flow().nodes.size()),
        elements_(view.flow().nodes.size()) {}

  /// @error not_found
  Status add(const std::string& name) {
    const auto task = view_.find_task(name);
    if (!task)
      return fail(ErrorCode::not_found,
                  fmt::format("the run has no task \"{}\"{}", escape_for_terminal(name),
                              view_.did_you_mean_task(name)));
    add(*task);
    return {};
  }
  void add(TaskId task) {
    const std::int32_t index = view_.map_index(task);
    if (index < 0)
      add_node(view_.node_of(task));
    else
      add_element(view_.node_of(task), static_cast<std::uint32_t>(index));
  }
  void add_node(NodeId node) {
    if (whole_[node.value]) return;
    whole_[node.value] = true;
    open_.emplace_back(node, std::nullopt);
  }

  /// Follows the edges downstream.
  void close() {
    while (!open_.empty()) {
      const auto [node, index] = open_.back();
      open_.pop_back();
      for (const scheduler::Edge& edge : graph_.downstream(node)) {
        if (index && edge.elementwise && view_.elements_of(edge.to) != nullptr)
          add_element(edge.to, *index);
        else
          add_node(edge.to);
      }
    }
  }

  [[nodiscard]] bool is_whole(NodeId node) const { return whole_[node.value]; }
  [[nodiscard]] bool has(NodeId node, std::uint32_t index) const {
    return whole_[node.value] ||
           (index < elements_[node.value].size() && elements_[node.value][index]);
  }
  [[nodiscard]] bool has(TaskId task) const {
    const std::int32_t index = view_.map_index(task);
    return index < 0 ? whole_[view_.node_of(task).value]
                     : has(view_.node_of(task), static_cast<std::uint32_t>(index));
  }

 private:
  void add_element(NodeId node, std::uint32_t index) {
    // A reduction is one computation, however many elements it has.
    if (view_.flow().kind_of(node).reduce_fanin > 0) return add_node(node);
    std::vector<bool>& elements = elements_[node.value];
    if (elements.size() <= index) elements.resize(index + 1);
    if (whole_[node.value] || elements[index]) return;
    elements[index] = true;
    open_.emplace_back(node, index);
  }

  const journal::RunView& view_;
  scheduler::FlowGraph graph_;
  std::vector<bool> whole_;
  std::vector<std::vector<bool>> elements_;
  std::vector<std::pair<NodeId, std::optional<std::uint32_t>>> open_;
};

}  // namespace reprise
