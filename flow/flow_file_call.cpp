// Checking `call`: which function, and which value becomes which of its arguments.
#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_file_check.hpp"

namespace reprise::flow_file {

using expression::Tree;
using expression::Type;
using Kind = Type::Kind;

namespace {

std::string call_form(const Signature& signature) {
  std::string text;
  for (const auto& [name, type] : signature.inputs)
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name, type);
  return text.empty() ? "no arguments" : text;
}

/// `value` as an argument of this type: ints become floats and text becomes bytes where those are
/// asked for.
Value converted(Value value, std::string_view type) {
  if (type == "f64") {
    if (const auto* i = value.get_if<std::int64_t>()) return Value(static_cast<double>(*i));
  }
  if (type == "bytes") {
    if (auto* text = std::get_if<std::string>(&value.data)) return Value(Bytes{std::move(*text)});
  }
  if (type.starts_with("list<") && type.ends_with('>')) {
    if (auto* list = std::get_if<List>(&value.data)) {
      for (Value& item : *list) item = converted(std::move(item), type.substr(5, type.size() - 6));
    }
  }
  return value;
}

/// Text of a template as an expression: 'a-' + string(params.x) + '.txt'
std::string joined_expression(const TemplateText& text) {
  std::string result;
  for (const TemplateText::Part& part : text.parts()) {
    if (!part.literal.empty())
      result += (result.empty() ? "" : " + ") + expression::quoted(part.literal);
    for (const Tree& tree : part.tree)
      result += (result.empty() ? "" : " + ") + fmt::format("string({})", tree.print());
  }
  return result;
}

}  // namespace

const Signature* Checker::find_function(const Text& call, std::string_view where) {
  const std::string& id = call.text;
  if (id.empty()) return nullptr;  // no text: a complaint exists
  const std::size_t sign = id.find('@');
  std::vector<std::string> known;
  if (options_.functions) {
    for (const auto& entry : *options_.functions) known.push_back(entry.first);
  }
  const std::string name = id.substr(0, sign);
  std::vector<std::string> versions;
  for (const std::string& candidate : known) {
    if (candidate.starts_with(name + "@")) versions.push_back(candidate);
  }
  if (sign == std::string::npos || sign == 0 || sign + 1 == id.size()) {
    complaints_.add(
        "RP1204", *call.node, fmt::format("'{}' is no function: 'call' takes name@version", id),
        {.suggestion = versions.empty() ? std::string() : versions.back(),
         .label = {},
         .help = {
             "as in bam.merge@3; another version is another function, with results of its own"}});
    return nullptr;
  }
  if (!options_.functions) return nullptr;
  const auto found = options_.functions->find(id);
  if (found != options_.functions->end()) return &found->second;
  std::string help = known.empty() ? "no functions are registered" : "functions: " + listed(known);
  if (!versions.empty()) help = "known versions: " + listed(versions);
  Diagnostic& diagnostic = complaints_.add(
      "RP1204", *call.node, fmt::format("unknown function '{}' in {}", id, where),
      {.suggestion = versions.empty() ? complaints_.near(id, known) : versions.back(),
       .label = {},
       .help = {std::move(help)}});
  if (options_.missing_function == FlowFileOptions::Missing::mistake) return nullptr;
  diagnostic.severity = Diagnostic::Severity::warning;
  diagnostic.help.emplace_back(options_.missing_function == FlowFileOptions::Missing::waits
                                   ? "the task waits until a worker has it"
                                   : "on a server the task would wait until a worker has it");
  return nullptr;
}

void Checker::call(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  const Signature* signature = find_function(task.call, fmt::format("task '{}'", task.name));
  facts_.tasks[at].signature = signature;
  // With an unknown function names and types cannot be checked; what the arguments read can.
  arguments(at, signature);
}

void Checker::arguments(std::uint32_t at, const Signature* signature) {
  const TaskDraft& task = flow_.tasks[at];
  TaskFacts& facts = facts_.tasks[at];
  if (task.args != nullptr && task.args->is_scalar()) return;  // a complaint exists
  std::vector<Argument> given;
  std::vector<const yaml::Node*> nodes;
  const auto parameter_name = [&](std::size_t i) {
    return signature != nullptr && i < signature->inputs.size() ? signature->inputs[i].first
                                                                : fmt::format("{}", i);
  };
  if (task.reduce) {
    Source values{.kind = facts.reduced ? Source::Kind::task : Source::Kind::none,
                  .index = facts.reduced.value_or(0),
                  .constant = {},
                  .expression = {},
                  .span = {},
                  .type = facts.reduced ? types_[*facts.reduced] : Type{}};
    given.push_back({.name = parameter_name(0), .source = std::move(values)});
    nodes.push_back(task.reduce->over ? task.reduce->over.node : nullptr);
  }
  const std::size_t first = given.size();
  if (task.args != nullptr && task.args->is_sequence()) {
    for (const yaml::Node* item : task.args->items) {
      given.push_back({.name = parameter_name(given.size()), .source = argument(at, *item)});
      nodes.push_back(item);
    }
  } else if (task.args != nullptr) {
    for (const yaml::Entry& entry : task.args->entries) {
      given.push_back({.name = entry.key->text, .source = argument(at, *entry.value)});
      nodes.push_back(entry.value);
    }
  } else if (task.map && !task.reduce && (signature == nullptr || signature->inputs.size() == 1)) {
    // The element is the only argument there can be.
    given.push_back({.name = parameter_name(0),
                     .source = {.kind = Source::Kind::map_variable,
                                .index = 0,
                                .constant = {},
                                .expression = {},
                                .span = facts.over.span,
                                .type = facts.element}});
    nodes.push_back(task.map->over);
  }
  if (signature == nullptr) {
    // Functions are given their arguments in order, and in which one nobody knows yet.
    if (options_.missing_function == FlowFileOptions::Missing::waits && task.args != nullptr &&
        task.args->is_mapping() && given.size() > 1)
      complaints_.add("RP1205", *task.args->key,
                      fmt::format("the order of the arguments of '{}' is not known, because no "
                                  "worker has it now",
                                  task.call.text),
                      {.suggestion = {},
                       .label = {},
                       .help = {"give them as a list, in the order of the function's parameters"}});
    facts.arguments = std::move(given);
    return;
  }

  const std::size_t wanted = signature->inputs.size();
  const std::string form = fmt::format("{} takes {}", task.call.text, call_form(*signature));
  if (task.args != nullptr && task.args->is_sequence() && given.size() > wanted) {
    complaints_.add("RP1205", *nodes[wanted],
                    fmt::format("too many arguments: '{}' takes {}, not {}", task.call.text, wanted,
                                given.size()),
                    {.suggestion = {}, .label = {}, .help = {form}});
  } else if (task.reduce && wanted == 0) {
    complaints_.add("RP1205", *task.call.node,
                    fmt::format("'{}' takes no argument, so it cannot reduce", task.call.text));
  }
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < wanted; ++i) {
    const auto& [name, type] = signature->inputs[i];
    const auto argument = std::ranges::find(given, name, &Argument::name);
    if (argument == given.end()) {
      missing.push_back(name);
      continue;
    }
    const auto place = static_cast<std::size_t>(argument - given.begin());
    if (nodes[place] != nullptr) argument_type(task, *nodes[place], argument->source, name, type);
  }
  if (task.args != nullptr && task.args->is_mapping()) {
    std::vector<std::string> names;
    for (const auto& input : signature->inputs) names.push_back(input.first);
    for (std::size_t i = first; i < given.size(); ++i) {
      const yaml::Node& key = *nodes[i]->key;
      if (std::ranges::find(names, given[i].name) == names.end()) {
        const std::string meant = complaints_.near(given[i].name, names);
        std::erase(missing, meant);  // misspelt, not missing
        complaints_.add("RP1205", key,
                        fmt::format("'{}' has no argument '{}'", task.call.text, given[i].name),
                        {.suggestion = meant, .label = {}, .help = {form}});
      } else if (first == 1 && given[i].name == given[0].name) {
        complaints_.add("RP1205", key,
                        fmt::format("the argument '{}' is what is reduced", given[i].name));
      }
    }
  }
  if (!missing.empty()) {
    complaints_.add(
        "RP1205", task.args != nullptr ? *task.args->key : *task.call.node,
        fmt::format("'{}' lacks {} '{}'", task.call.text,
                    missing.size() == 1 ? "the argument" : "the arguments", listed(missing)),
        {.suggestion = {}, .label = {}, .help = {form}});
  }
  // In call order, whatever order they were written in.
  std::ranges::stable_sort(given, {}, [&](const Argument& argument) {
    return std::ranges::find(signature->inputs, argument.name,
                             &std::pair<std::string, std::string>::first) -
           signature->inputs.begin();
  });
  facts.arguments = std::move(given);
}

void Checker::argument_type(const TaskDraft& task, const yaml::Node& node, Source& source,
                            std::string_view name, std::string_view type) {
  if (source.kind == Source::Kind::none) return;
  Type wanted = Type::from_signature(type);
  if (task.reduce && source.kind == Source::Kind::task && &node == task.reduce->over.node &&
      wanted.kind != Kind::any && wanted.kind != Kind::list) {
    complaints_.add("RP1206", *task.call.node,
                    fmt::format("'{}' cannot reduce: its argument '{}' is {}, not a list",
                                task.call.text, name, wanted.describe()));
    return;
  }
  if (source.kind == Source::Kind::constant) {
    source.constant = converted(std::move(source.constant), type);
    source.type = Type::of_value(source.constant);
  }
  if (expression::may_be(source.type, wanted)) return;
  complaints_.add("RP1206", node,
                  fmt::format("argument '{}' of '{}' must be {}, not {}", name, task.call.text,
                              wanted.describe(), source.type.describe()),
                  {.suggestion = {}, .label = {}, .help = {fmt::format("its type is {}", type)}});
}

// A list or map with expressions somewhere inside becomes one expression. Nesting is limited by the
// YAML reader.
Source Checker::argument(std::uint32_t at, const yaml::Node& node, bool with_map_variable) {
  Source source{.kind = Source::Kind::none,
                .index = 0,
                .constant = {},
                .expression = {},
                .span = complaints_.document().span(node),
                .type = {}};
  if (node.broken) return source;
  if (node.is_scalar()) {
    const Value value = yaml::scalar_value(node);
    if (value.get_if<std::string>() == nullptr || node.text.find('$') == std::string::npos) {
      source.kind = Source::Kind::constant;
      source.constant = value;
      source.type = Type::of_value(value);
      return source;
    }
    const auto parsed = parse({.text = node.text, .node = &node});
    if (!parsed) return source;
    if (!parsed->has_expressions()) {
      source.kind = Source::Kind::constant;
      source.constant = Value(parsed->parts().front().literal);
      source.type = Type::of(Kind::text);
      return source;
    }
    const Tree* single = parsed->single();
    std::optional<Type> type = Type::of(Kind::text);
    for (const TemplateText::Part& part : parsed->parts()) {
      for (const Tree& inner : part.tree) {
        const auto found = tree(inner, node, part.begin, at,
                                single != nullptr ? Use::value : Use::text, with_map_variable);
        if (!found)
          type = std::nullopt;
        else if (single != nullptr)
          type = found;
      }
    }
    if (!type) return source;
    if (single != nullptr) return source_of(*single, *type, at, source.span);
    source.kind = Source::Kind::expression;
    source.expression = joined_expression(*parsed);
    source.type = *type;
    return source;
  }

  // The parts as expressions, and as constants as long as all of them are.
  bool constant = true;
  bool complete = true;
  List list;
  Map map;
  std::string text;
  std::optional<Type> element;
  const auto add = [&](const yaml::Node& part, std::string key) {
    Source inner = argument(at, part, with_map_variable);
    constant = constant && inner.kind == Source::Kind::constant;
    std::string piece;
    switch (inner.kind) {
      case Source::Kind::none:
        complete = false;
        break;
      case Source::Kind::constant:
        piece = expression::literal_text(inner.constant).value_or("null");
        break;
      case Source::Kind::parameter:
        piece = "params." + flow_.parameters[inner.index].name;
        break;
      case Source::Kind::task:
        piece = expression::reference_to(flow_.tasks[inner.index].name);
        break;
      case Source::Kind::own_element:
        piece =
            expression::reference_to(flow_.tasks[inner.index].name) + "[" + map_variable(at) + "]";
        break;
      case Source::Kind::map_variable:
        piece = map_variable(at);
        break;
      case Source::Kind::expression:
        piece = "(" + inner.expression + ")";
        break;
    }
    text += (text.empty() ? "" : ", ") + (key.empty() ? "" : key + ": ") + piece;
    if (!element)
      element = inner.type;
    else if (element->kind != inner.type.kind)
      element = Type{};
    return std::move(inner.constant);
  };
  if (node.is_sequence()) {
    for (const yaml::Node* item : node.items) list.push_back(add(*item, {}));
  } else {
    for (const yaml::Entry& entry : node.entries)
      map.emplace_back(Value(entry.key->text),
                       add(*entry.value, expression::quoted(entry.key->text)));
  }
  if (!complete) return source;
  source.type = node.is_sequence() ? Type::list_of(element.value_or(Type{})) : Type::of(Kind::map);
  if (constant) {
    source.kind = Source::Kind::constant;
    source.constant = node.is_sequence() ? Value(std::move(list)) : Value(std::move(map));
    return source;
  }
  source.kind = Source::Kind::expression;
  source.expression = node.is_sequence() ? "[" + text + "]" : "{" + text + "}";
  if (source.expression.size() > expression::max_length) {
    complaints_.add("RP1301", node, "the expressions in it make too long an expression",
                    {.suggestion = {}, .label = {}, .help = {"move fixed data into a parameter"}});
    source.kind = Source::Kind::none;
  }
  return source;
}

}  // namespace reprise::flow_file
