#include "cli/recorded_outputs.hpp"

#include <unordered_map>
#include <vector>

#include "flow/chain_digest.hpp"
#include "flow/template.hpp"

namespace reprise::cli {
namespace {

/// The result of a node; none: it has none.
Payload result_of(const journal::RunView& view, NodeId node) {
  if (!is_success(view.state(TaskId{node.value}))) return {};
  const auto* elements = view.elements_of(node);
  const Payload& kept = view.result(TaskId{node.value});
  if (elements == nullptr || !kept.is_none()) return kept.is_none() ? Payload::nil() : kept;
  const auto element = [&](std::uint32_t i) { return TaskId{elements->first.value + i}; };
  if (view.flow().kind_of(node).reduce_fanin > 0 && elements->width > 0)
    return view.result(element(elements->width - 1));
  List values;
  for (std::uint32_t i = 0; i < elements->width; ++i) {
    const Payload& result = view.result(element(i));
    if (!is_success(view.state(element(i))) || !result.is_at_hand()) return {};
    const auto value = result.is_none() ? Value() : result.value();
    if (!value) return {};
    values.push_back(*value);
  }
  return Payload::of(Value(std::move(values))).value_or(Payload{});
}

/// The value of a template; none: something that it reads is not there.
Payload value_of(const Template& text, const journal::RunView& view, const Parameters& parameters,
                 const std::unordered_map<std::string_view, NodeId>& nodes) {
  const auto parsed = TemplateText::parse(text.text);
  if (!parsed) return {};
  expression::MapScope scope;
  for (const auto& [name, payload] : parameters)
    if (payload.is_at_hand())
      if (const auto value = payload.value()) scope.parameters.emplace(name, *value);
  for (const std::string& read : parsed->reads().names) {
    const auto node = nodes.find(read);
    if (node == nodes.end()) continue;
    const Payload result = result_of(view, node->second);
    if (result.is_none() || !result.is_at_hand()) return {};
    if (const auto value = result.value()) scope.names.emplace(read, *value);
  }
  const auto value = parsed->value(scope);
  return value ? Payload::of(value->value).value_or(Payload{}) : Payload{};
}

Payload digest_of_chain(const journal::RunView& view) {
  std::vector<Payload> results;
  results.reserve(view.flow().nodes.size());
  for (std::uint32_t n = 0; n < view.flow().nodes.size(); ++n) {
    results.push_back(result_of(view, NodeId{n}));
    if (results.back().is_none()) return {};
  }
  const auto digest = chain_digest(view.flow(), results);
  return digest ? Payload::of(Value{digest->hex()}).value_or(Payload{}) : Payload{};
}

}  // namespace

std::map<std::string, Payload> recorded_outputs(const journal::RunView& view,
                                                const Parameters& parameters) {
  const FlowSpec& flow = view.flow();
  std::unordered_map<std::string_view, NodeId> nodes;
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n)
    nodes.emplace(flow.nodes[n].name, NodeId{n});
  std::map<std::string, Payload> outputs;
  for (const Output& output : flow.outputs) {
    Payload value;
    switch (output.kind) {
      case Output::Kind::node:
        value = result_of(view, output.node);
        break;
      case Output::Kind::chain_digest:
        value = digest_of_chain(view);
        break;
      case Output::Kind::expression:
        value = value_of(output.text, view, parameters, nodes);
        break;
    }
    if (!value.is_none()) outputs.emplace(output.name, std::move(value));
  }
  return outputs;
}

}  // namespace reprise::cli
