#include "flow/selection.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/template.hpp"

namespace reprise {

namespace {

constexpr std::uint32_t left_out = UINT32_MAX;

Result<std::vector<NodeId>> nodes_named(const FlowSpec& flow,
                                        const std::vector<std::string>& tasks) {
  std::unordered_map<std::string_view, NodeId> by_name;
  for (std::uint32_t i = 0; i < flow.nodes.size(); ++i)
    by_name.emplace(flow.nodes[i].name, NodeId{i});
  std::vector<NodeId> nodes;
  for (const std::string& task : tasks) {
    const auto found = by_name.find(task);
    if (found == by_name.end()) {
      std::vector<std::string> names;
      for (const Node& node : flow.nodes) names.push_back(node.name);
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" is no task of flow \"{}\"{}", escape_for_terminal(task),
                              escape_for_terminal(flow.name), did_you_mean(task, names)));
    }
    nodes.push_back(found->second);
  }
  return nodes;
}

/// For each node whether it, or one downstream of it, is among `open`.
std::vector<bool> with_upstream(const FlowSpec& flow, std::vector<NodeId> open) {
  std::vector<bool> needed(flow.nodes.size());
  const auto need = [&](NodeId node) {
    if (!needed[node.value]) open.push_back(node);
    needed[node.value] = true;
  };
  for (const NodeId node : std::exchange(open, {})) need(node);
  while (!open.empty()) {
    const NodeId node = open.back();
    open.pop_back();
    for (const Input& input : flow.inputs_of(node)) {
      if (input.source == Input::Source::upstream || input.source == Input::Source::state_only)
        need(NodeId{input.index});
      if (input.source == Input::Source::expression)
        for (const NodeId read : flow.expressions[input.index].reads) need(read);
    }
  }
  return needed;
}

/// New indices of what stays, in the old order.
class Renumbering {
 public:
  explicit Renumbering(const std::vector<bool>& stays) : numbers_(stays.size(), left_out) {
    for (std::size_t i = 0; i < stays.size(); ++i)
      if (stays[i]) numbers_[i] = count_++;
  }
  [[nodiscard]] std::uint32_t of(std::uint32_t old) const { return numbers_[old]; }
  [[nodiscard]] bool has(std::uint32_t old) const { return numbers_[old] != left_out; }
  /// Leaves out what does not stay.
  [[nodiscard]] std::vector<NodeId> of(const std::vector<NodeId>& nodes) const {
    std::vector<NodeId> kept;
    for (const NodeId node : nodes)
      if (has(node.value)) kept.push_back(NodeId{of(node.value)});
    return kept;
  }

 private:
  std::vector<std::uint32_t> numbers_;
  std::uint32_t count_ = 0;
};

bool can_be_made(const Output& output, const FlowSpec& flow, const Renumbering& nodes) {
  if (output.kind == Output::Kind::chain_digest) return true;  // of the tasks that there are
  if (output.kind == Output::Kind::node) return nodes.has(output.node.value);
  const expression::Reads reads = template_reads(output.text.text);
  const auto is_missing = [&](const std::string& name) {
    const auto node = std::ranges::find(flow.nodes, name, &Node::name);
    return node != flow.nodes.end() &&
           !nodes.has(static_cast<std::uint32_t>(node - flow.nodes.begin()));
  };
  return std::ranges::none_of(reads.names, is_missing) &&
         std::ranges::none_of(reads.own, is_missing);
}

}  // namespace

Result<FlowSpec> only(const FlowSpec& flow, const std::vector<std::string>& tasks) {
  auto named = nodes_named(flow, tasks);
  if (!named) return tl::unexpected(std::move(named.error()));
  const std::vector<bool> needed = with_upstream(flow, *std::move(named));
  const Renumbering nodes(needed);
  std::vector<bool> is_evaluated(flow.expressions.size());
  for (std::uint32_t i = 0; i < flow.nodes.size(); ++i)
    if (needed[i])
      for (const Input& input : flow.inputs_of(NodeId{i}))
        if (input.source == Input::Source::expression) is_evaluated[input.index] = true;
  const Renumbering expressions(is_evaluated);

  FlowSpec part = flow;
  part.nodes.clear();
  part.inputs.clear();
  for (std::uint32_t i = 0; i < flow.nodes.size(); ++i) {
    if (!needed[i]) continue;
    Node& node = part.nodes.emplace_back(flow.nodes[i]);
    node.first_input = static_cast<std::uint32_t>(part.inputs.size());
    for (Input input : flow.inputs_of(NodeId{i})) {
      if (input.source == Input::Source::upstream || input.source == Input::Source::state_only)
        input.index = nodes.of(input.index);
      if (input.source == Input::Source::expression) input.index = expressions.of(input.index);
      part.inputs.push_back(input);
    }
  }
  part.expressions.clear();
  for (std::uint32_t i = 0; i < flow.expressions.size(); ++i) {
    if (!expressions.has(i)) continue;
    Expression& expression = part.expressions.emplace_back(flow.expressions[i]);
    expression.reads = nodes.of(expression.reads);
  }
  std::erase_if(part.outputs,
                [&](const Output& output) { return !can_be_made(output, flow, nodes); });
  for (Output& output : part.outputs)
    if (output.kind == Output::Kind::node) output.node = NodeId{nodes.of(output.node.value)};
  // Without those that decided, the last tasks of the part do.
  part.reference_nodes = nodes.of(flow.reference_nodes);
  if (auto fine = check(part); !fine) return tl::unexpected(std::move(fine.error()));
  return part;
}

}  // namespace reprise
