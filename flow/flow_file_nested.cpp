// Checking `flow`: which flow a task runs, and which values become its parameters.
//
// A flow that stands in a file beside this one is read here and becomes part of the whole, so that
// all its mistakes are known before anything runs and a server needs no second file. One that an
// expression gives is known when its task runs, and checked then.
#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_file_check.hpp"

namespace reprise::flow_file {

using expression::Type;
using Kind = Type::Kind;

namespace {

// A file that runs two others, which run two others each, soon is many flows.
constexpr std::size_t flows_beside_max = 256;

/// Why a name is none of a file beside this one; empty: it is one.
std::string_view name_problem(std::string_view name) {
  if (name.find('/') != std::string_view::npos) return "lies in another folder";
  if (name.find('\0') != std::string_view::npos) return "contains a NUL";
  if (name == "." || name == "..") return "is a folder";
  return {};
}

std::string way_of(const std::vector<std::string>& way, const std::string& last) {
  std::string text;
  for (const std::string& name : way) text += escape_for_terminal(name) + " → ";
  return text + escape_for_terminal(last);
}

}  // namespace

void Checker::nested(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  TaskFacts& facts = facts_.tasks[at];
  if (task.flow.text.empty()) return;  // a complaint exists
  if (task.flow.text.find("${{") == std::string::npos) {
    facts.nested = flow_beside(task.flow);
    return parameters_of(at, facts.nested ? facts_.nested[*facts.nested].get() : nullptr);
  }
  Source source = argument(at, *task.flow.node);
  const Kind kind = source.type.kind;
  if (source.kind != Source::Kind::none && kind != Kind::any && kind != Kind::text &&
      kind != Kind::bytes && kind != Kind::file)
    complaints_.add(
        "RP1214", *task.flow.node,
        fmt::format("task '{}' runs a flow, and this is {}", task.name, source.type.describe()),
        {.suggestion = {},
         .label = {},
         .help = {"an output file, as in ${{ plan.outputs['flow.yaml'] }}, or a text "
                  "in the format of flow files"}});
  facts.arguments.push_back({.name = std::string(flow_argument), .source = std::move(source)});
  parameters_of(at, nullptr);
}

/// Index of the flow in the file; complains, once for each file, when it is none.
std::optional<std::uint32_t> Checker::flow_beside(const Text& file) {
  std::string name = file.text;
  while (name.starts_with("./")) name.erase(0, 2);
  const auto [known, is_new] = flows_beside_.try_emplace(name);
  if (!is_new) return known->second;
  if (auto flow = read_flow(file, name)) {
    known->second = static_cast<std::uint32_t>(facts_.nested.size());
    facts_.nested.push_back(std::move(flow));
  }
  return known->second;
}

std::shared_ptr<const FlowSpec> Checker::read_flow(const Text& file, const std::string& name) {
  const auto refuse = [&](std::string message, std::vector<std::string> help = {}) {
    complaints_.add("RP1214", *file.node, std::move(message),
                    {.suggestion = {}, .label = {}, .help = std::move(help)});
    return nullptr;
  };
  if (const std::string_view why = name_problem(name); !why.empty())
    return refuse(fmt::format("the flow file '{}' {}", file.text, why),
                  {"it is looked for beside this file, in the same folder"});
  if (!options_.beside)
    return refuse(fmt::format("the flow file '{}' cannot be read here", file.text),
                  {"a flow that was made while another one ran has no files beside it"});
  FilesBeside& beside = *options_.beside;
  if (std::ranges::find(beside.way, name) != beside.way.end())
    return refuse(
        fmt::format("flow files run each other in a circle: {}", way_of(beside.way, name)),
        {"such a run would never end"});
  if (beside.way.size() > nesting_limit)
    return refuse(fmt::format("flow files run each other more than {} deep", nesting_limit));
  if (++beside.count > flows_beside_max)
    return refuse(fmt::format("more than {} flow files are needed", flows_beside_max));
  const Result<std::string> text = beside.read(name);
  if (!text)
    return refuse(fmt::format("the flow file '{}' cannot be read: {}", name, text.error().message),
                  {"it is looked for beside this file, in the same folder"});
  beside.way.push_back(name);
  FlowFile decoded = decode_flow_file(*text, name, options_);
  beside.way.pop_back();
  if (!decoded.flow)
    return refuse(
        fmt::format("the flow file '{}' has mistakes: {}", name, describe(decoded.diagnostics, 1)),
        {fmt::format("`reprise check {}` tells all of them", name)});
  for (const Diagnostic& warning : decoded.diagnostics)
    complaints_
        .add(warning.code, *file.node,
             fmt::format("{}:{}:{}: {}", name, warning.span.line, warning.span.column,
                         warning.message),
             {.suggestion = {}, .label = {}, .help = warning.help})
        .severity = Diagnostic::Severity::warning;
  return std::make_shared<const FlowSpec>(*std::move(decoded.flow));
}

/// @param flow  nullptr: it is not known yet, or unusable
void Checker::parameters_of(std::uint32_t at, const FlowSpec* flow) {
  const TaskDraft& task = flow_.tasks[at];
  if (task.params != nullptr && !task.params->is_mapping()) return;  // a complaint exists
  std::vector<Argument> given;
  if (task.params != nullptr)
    for (const yaml::Entry& entry : task.params->entries)
      given.push_back({.name = entry.key->text, .source = argument(at, *entry.value)});
  if (flow != nullptr) check_parameters(task, *flow, given);
  std::vector<Argument>& arguments = facts_.tasks[at].arguments;
  arguments.insert(arguments.end(), std::make_move_iterator(given.begin()),
                   std::make_move_iterator(given.end()));
}

void Checker::check_parameters(const TaskDraft& task, const FlowSpec& flow,
                               std::vector<Argument>& given) {
  std::vector<std::string> names;
  for (const Parameter& parameter : flow.parameters) names.push_back(parameter.name);
  const std::string form = names.empty() ? "it has none" : "its parameters: " + listed(names);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const Argument& argument = given[i];
    const yaml::Entry& entry = task.params->entries[i];
    const auto parameter = std::ranges::find(flow.parameters, argument.name, &Parameter::name);
    if (parameter == flow.parameters.end()) {
      complaints_.add(
          "RP1215", *entry.key,
          fmt::format("'{}' has no parameter '{}'", task.flow.text, argument.name),
          {.suggestion = complaints_.near(argument.name, names), .label = {}, .help = {form}});
      continue;
    }
    const Type wanted = parameter_type(parameter->type);
    const bool fits = argument.source.kind == Source::Kind::none ||
                      expression::may_be(argument.source.type, wanted) ||
                      // Whole numbers become floats where the run begins.
                      (wanted.kind == Kind::number && argument.source.type.kind == Kind::integer);
    if (!fits)
      complaints_.add(
          "RP1215", *entry.value,
          fmt::format("parameter '{}' of '{}' must be {}, not {}", argument.name, task.flow.text,
                      wanted.describe(), argument.source.type.describe()));
  }
  for (const Parameter& parameter : flow.parameters) {
    if (parameter.default_value ||
        std::ranges::find(given, parameter.name, &Argument::name) != given.end())
      continue;
    complaints_.add("RP1215", task.params != nullptr ? *task.params->key : *task.flow.node,
                    fmt::format("'{}' lacks the parameter '{}'", task.flow.text, parameter.name),
                    {.suggestion = {}, .label = {}, .help = {form}});
  }
}

}  // namespace reprise::flow_file
