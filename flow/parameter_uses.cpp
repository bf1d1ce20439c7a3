#include "flow/parameter_uses.hpp"

#include <map>
#include <string_view>

#include "flow/expression.hpp"
#include "flow/template.hpp"

namespace reprise {
namespace {

class Collector {
 public:
  explicit Collector(const FlowSpec& flow) : flow_(flow) {}

  void add(std::uint32_t parameter, const SourceSpan& span) {
    const auto [use, is_new] =
        uses_.try_emplace(parameter, ParameterUse{parameter, span, for_elements});
    if (is_new || for_elements || !use->second.only_for_elements) return;
    use->second = {parameter, span, false};
  }

  bool for_elements = false;  // what is added now is

  void add(const expression::Tree& tree, const SourceSpan& span) {
    for (const expression::Term& term : tree.terms()) {
      if (term.kind != expression::Term::Kind::parameter) continue;
      for (std::uint32_t p = 0; p < flow_.parameters.size(); ++p)
        if (flow_.parameters[p].name == term.text) add(p, span);
    }
  }

  void add_expression(std::string_view text, const SourceSpan& span) {
    if (const auto tree = expression::Tree::parse(text)) add(*tree, span);
  }

  void add(const Template& text) {
    const auto parsed = TemplateText::parse(text.text);
    if (!parsed) return;
    for (const TemplateText::Part& part : parsed->parts())
      for (const expression::Tree& tree : part.tree) add(tree, text.span);
  }

  void add(const CommandBody& body) {
    for (const Template& argument : body.argv) add(argument);
    add(body.script);
    for (const Template& file : body.input_files) add(file);
    for (const auto& [name, value] : body.environment) add(value);
  }

  [[nodiscard]] std::vector<ParameterUse> take() const {
    std::vector<ParameterUse> uses;
    for (const auto& [parameter, use] : uses_) uses.push_back(use);
    return uses;
  }

 private:
  const FlowSpec& flow_;
  std::map<std::uint32_t, ParameterUse> uses_;
};

}  // namespace

std::vector<ParameterUse> parameters_read(const FlowSpec& flow, NodeId node) {
  Collector collector(flow);
  const TaskKind& kind = flow.kind_of(node);
  for (const Input& input : flow.inputs_of(node)) {
    collector.for_elements = input.mapped;
    if (input.source == Input::Source::parameter)
      collector.add(input.index, flow.nodes[node.value].span);
    if (input.source == Input::Source::expression)
      collector.add_expression(flow.expressions[input.index].text,
                               flow.expressions[input.index].span);
  }
  collector.for_elements = false;
  for (const auto& [name, given] : kind.cache.hashes) collector.add(given.hash);
  if (const auto* command = std::get_if<CommandBody>(&kind.body)) collector.add(*command);
  if (!kind.when.empty()) collector.add_expression(kind.when, kind.when_span);
  const CachePolicy& cache = kind.cache;
  if (cache.enabled && (cache.per_parameters || cache.validator == Validator::all_parameters))
    for (std::uint32_t p = 0; p < flow.parameters.size(); ++p)
      collector.add(p, flow.nodes[node.value].span);
  if (cache.enabled && cache.validator == Validator::partial_parameters && cache.validate_on)
    for (std::uint32_t p = 0; p < flow.parameters.size(); ++p)
      for (const std::string& name : *cache.validate_on)
        if (flow.parameters[p].name == name) collector.add(p, flow.nodes[node.value].span);
  return collector.take();
}

}  // namespace reprise
