// Checking the expressions of a flow file: what they may name, what they read, what they stand for.
#include <algorithm>

#include <fmt/format.h>

#include "flow/flow_file_check.hpp"

namespace reprise::flow_file {

using expression::Problem;
using expression::Tree;
using expression::Type;
using Kind = Type::Kind;

void Checker::problem(const Problem& problem, const yaml::Node& node, std::size_t offset) {
  std::vector<std::string> help = problem.help;
  if (node.style == yaml::Node::Style::plain &&
      problem.message.starts_with("the expression ends")) {
    help.emplace_back("within { } and [ ] a comma ends text that is not in quotes");
  }
  complaints_.add_within(problem.code, node, offset + problem.begin, offset + problem.end,
                         problem.message,
                         {.suggestion = problem.suggestion, .label = {}, .help = std::move(help)});
}

std::optional<TemplateText> Checker::parse(const Text& text) {
  auto parsed = TemplateText::parse(text.text);
  if (parsed) return *std::move(parsed);
  problem(parsed.error(), *text.node, 0);
  return std::nullopt;
}

expression::Declarations Checker::declarations(std::optional<std::uint32_t> at,
                                               bool with_map_variable) const {
  const std::string variable = at && with_map_variable ? map_variable(*at) : std::string();
  return {
      .name = [this, variable, at](std::string_view name) -> std::optional<Type> {
        if (!variable.empty() && name == variable) return facts_.tasks[*at].element;
        const auto found = task_index_.find(name);
        if (found == task_index_.end() || only_parameters_) return std::nullopt;
        return types_[found->second];
      },
      .parameter = [this](std::string_view name) -> std::optional<Type> {
        const auto found = parameter_index_.find(name);
        if (found == parameter_index_.end()) return std::nullopt;
        const std::string& type = flow_.parameters[found->second].type.text;
        // Given as a path, it is the file when a task reads it.
        return type == "file" ? Type::of(Type::Kind::file) : parameter_type(type);
      },
      .known_names =
          [this, variable] {
            if (only_parameters_ || !complaints_.can_afford(task_names_.size()))
              return std::vector<std::string>{};
            std::vector<std::string> names = task_names_;
            std::ranges::sort(names);
            if (!variable.empty()) names.insert(names.begin(), variable);
            return names;
          },
      .known_parameters = [this] { return parameter_names_; },
      .map_variable = variable,
  };
}

std::optional<Type> Checker::text(const Text& text, std::optional<std::uint32_t> at, Use use) {
  const auto parsed = parse(text);
  if (!parsed) return std::nullopt;
  const Tree* single = parsed->single();
  if (use == Use::condition && single == nullptr) {
    complaints_.add("RP1303", *text.node,
                    "a condition is one expression, not text with expressions in it");
    return std::nullopt;
  }
  std::optional<Type> type = Type::of(Kind::text);
  for (const TemplateText::Part& part : parsed->parts()) {
    for (const Tree& inner : part.tree) {
      const auto inner_type = tree(inner, *text.node, part.begin, at, use);
      if (!inner_type)
        type = std::nullopt;
      else if (single != nullptr)
        type = inner_type;
    }
  }
  return type;
}

std::optional<Type> Checker::tree(const Tree& tree, const yaml::Node& node, std::size_t offset,
                                  std::optional<std::uint32_t> at, Use use,
                                  bool with_map_variable) {
  std::vector<Problem> problems;
  const Type type = expression::check(tree, declarations(at, with_map_variable), problems);
  for (Problem& found : problems) {
    if (only_parameters_ && found.code == "RP1302" && found.help.empty())
      found.help.emplace_back("what stands in 'on' can read parameters, as in params.name");
    problem(found, node, offset);
  }
  if (!problems.empty()) return std::nullopt;
  if (at) record(tree, node, offset, *at);
  const expression::Term& root = tree.terms()[tree.root()];
  const auto wrong = [&](std::string message, std::vector<std::string> help) {
    problem({.code = "RP1303",
             .message = std::move(message),
             .begin = root.begin,
             .end = root.end,
             .suggestion = {},
             .help = std::move(help)},
            node, offset);
  };
  if (use == Use::condition && type.kind != Kind::boolean && type.kind != Kind::any) {
    wrong(fmt::format("'when' needs true or false, and this is {}", type.describe()),
          {"compare it with something, as in params.quality >= 20"});
    return std::nullopt;
  }
  const bool is_command = type.kind == Kind::command;
  const bool is_commands =
      type.kind == Kind::list && type.element && type.element->kind == Kind::command;
  if (use == Use::text && (is_command || is_commands)) {
    const std::string source(tree.source_of(root));
    const auto& outputs = is_command ? type.outputs : type.element->outputs;
    const std::string example =
        outputs && !outputs->empty()
            ? fmt::format("outputs[{}]", expression::quoted(outputs->front()))
            : std::string("stdout");
    wrong(fmt::format("'{}' is {}, which has no text", source, type.describe()),
          {is_command ? fmt::format("take a part of it: {}.{}", source, example)
                      : fmt::format("take a part of each: {}.map(x, x.{})", source, example)});
    return std::nullopt;
  }
  return type;
}

void Checker::record(const Tree& tree, const yaml::Node& node, std::size_t offset,
                     std::uint32_t at) {
  TaskFacts& facts = facts_.tasks[at];
  const std::string variable = map_variable(at);
  const expression::Reads reads = tree.reads(variable);
  const auto read = [&](const std::string& name, std::vector<std::uint32_t>& list) {
    if (!variable.empty() && name == variable) return;
    const auto found = task_index_.find(name);
    if (found == task_index_.end()) return;  // a problem already reported
    SourceSpan span = complaints_.document().span(node);
    for (const expression::Term& term : tree.terms()) {
      if (term.kind != expression::Term::Kind::name || term.text != name) continue;
      span = complaints_.document().span_within(node, offset + term.begin, offset + term.end);
      if (found->second == at) {
        problem({.code = "RP1202",
                 .message = fmt::format("task '{}' reads its own result", name),
                 .begin = term.begin,
                 .end = term.end,
                 .suggestion = {},
                 .help = {}},
                node, offset);
      }
      break;
    }
    if (found->second == at) return;
    add_once(list, found->second);
    add_edge(at, found->second, span);
  };
  for (const std::string& name : reads.names) read(name, facts.reads);
  for (const std::string& name : reads.own) read(name, facts.own);
}

Source Checker::source_of(const Tree& tree, Type type, std::uint32_t at, SourceSpan span) {
  const expression::Term& root = tree.terms()[tree.root()];
  const std::string variable = map_variable(at);
  Source source{.kind = Source::Kind::expression,
                .index = 0,
                .constant = {},
                .expression = {},
                .span = span,
                .type = std::move(type)};
  using TermKind = expression::Term::Kind;
  if (root.kind == TermKind::literal) {
    source.kind = Source::Kind::constant;
    source.constant = root.value;
    return source;
  }
  if (root.kind == TermKind::parameter) {
    source.kind = Source::Kind::parameter;
    source.index = parameter_index_.at(root.text);
    return source;
  }
  if (root.kind == TermKind::name) {
    if (!variable.empty() && root.text == variable) {
      source.kind = Source::Kind::map_variable;
      return source;
    }
    source.kind = Source::Kind::task;
    source.index = task_index_.at(root.text);
    return source;
  }
  if (root.kind == TermKind::index) {
    const expression::Reads reads = tree.reads(variable);
    if (reads.own.size() == 1 && reads.names.empty() &&
        tree.terms()[root.operands[0]].kind == TermKind::name) {
      source.kind = Source::Kind::own_element;
      source.index = task_index_.at(reads.own[0]);
      return source;
    }
  }
  source.expression = tree.source();
  const std::size_t first = source.expression.find_first_not_of(" \t\r\n");
  const std::size_t last = source.expression.find_last_not_of(" \t\r\n");
  source.expression = source.expression.substr(first, last - first + 1);
  return source;
}

}  // namespace reprise::flow_file
