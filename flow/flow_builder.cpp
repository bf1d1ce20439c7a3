#include "flow/flow_builder.hpp"

#include "core/assert.hpp"

namespace reprise {
namespace {

/// Appends to one of the flow's tables; the place is what others refer to.
template <class T>
std::uint32_t append(std::vector<T>& table, T element) {
  table.push_back(std::move(element));
  return static_cast<std::uint32_t>(table.size() - 1);
}

}  // namespace

FlowBuilder::FlowBuilder(std::string flow_name) {
  spec_.name = std::move(flow_name);
}

std::uint32_t FlowBuilder::add_kind(TaskKind kind) {
  return append(spec_.kinds, std::move(kind));
}

NodeId FlowBuilder::add_node(std::string name, std::uint32_t kind, float expected_seconds,
                             SourceSpan span) {
  Node node;
  node.name = std::move(name);
  node.kind = kind;
  node.first_input = static_cast<std::uint32_t>(spec_.inputs.size());
  node.expected_seconds = expected_seconds;
  node.span = span;
  return NodeId{append(spec_.nodes, std::move(node))};
}

void FlowBuilder::add(std::string_view input, Input::Source source, std::uint32_t index,
                      Flags flags) {
  REPRISE_ASSERT(!spec_.nodes.empty());
  Input made;
  if (source != Input::Source::state_only) {
    auto [entry, is_new] = name_index_.try_emplace(std::string(input), 0);
    if (is_new) entry->second = append(spec_.names, std::string(input));
    made.name = entry->second;
  }
  made.index = index;
  made.source = source;
  made.mapped = flags.mapped;
  made.flattened = flags.flattened;
  made.gathered = flags.gathered;
  spec_.inputs.push_back(made);
  ++spec_.nodes.back().input_count;
}

void FlowBuilder::add_constant(std::string_view input, Payload value, Flags flags) {
  auto [entry, is_new] = constant_index_.try_emplace(value.digest, 0);
  if (is_new) entry->second = append(spec_.constants, std::move(value));
  add(input, Input::Source::constant, entry->second, flags);
}

void FlowBuilder::add_upstream(std::string_view input, NodeId upstream, Flags flags) {
  add(input, Input::Source::upstream, upstream.value, flags);
}

void FlowBuilder::add_parameter_input(std::string_view input, std::uint32_t parameter,
                                      Flags flags) {
  add(input, Input::Source::parameter, parameter, flags);
}

void FlowBuilder::add_expression(std::string_view input, Expression expression, Flags flags) {
  add(input, Input::Source::expression, append(spec_.expressions, std::move(expression)), flags);
}

void FlowBuilder::add_state_only(NodeId upstream, Flags flags) {
  add({}, Input::Source::state_only, upstream.value, flags);
}

std::uint32_t FlowBuilder::add_parameter(Parameter parameter) {
  return append(spec_.parameters, std::move(parameter));
}

void FlowBuilder::add_output(Output output) {
  spec_.outputs.push_back(std::move(output));
}

void FlowBuilder::add_run_hook(Hook hook) {
  spec_.run_hooks.push_back(std::move(hook));
}

void FlowBuilder::add_reference(NodeId node) {
  spec_.reference_nodes.push_back(node);
}

Result<FlowSpec> FlowBuilder::finish() && {
  if (auto checked = check(spec_); !checked) return tl::unexpected(std::move(checked.error()));
  return std::move(spec_);
}

}  // namespace reprise
