#include "flow/task_difference.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/value.hpp"

namespace reprise {
namespace {

constexpr std::size_t constant_bytes_shown = 128;

std::string shown(const Payload& value) {
  if (value.is_none()) return {};
  if (value.is_at_hand() && value.size <= constant_bytes_shown)
    if (const auto decoded = value.value()) return to_json(*decoded);
  return value.digest.text();
}

std::string source_text(const FlowSpec& flow, const Input& input) {
  std::string text;
  switch (input.source) {
    case Input::Source::constant:
      text = shown(flow.constants[input.index]);
      break;
    case Input::Source::upstream:
      text = flow.nodes[input.index].name;
      break;
    case Input::Source::parameter:
      text = "params." + flow.parameters[input.index].name;
      break;
    case Input::Source::expression:
      text = flow.expressions[input.index].text;
      break;
    case Input::Source::state_only:
      text = flow.nodes[input.index].name;
      break;
  }
  if (input.mapped) text = "each of " + text;
  if (input.flattened) text += ", flattened";
  return text;
}

/// What the task takes, by the name under which it does.
std::map<std::string, std::string> inputs_of(const FlowSpec& flow, NodeId node) {
  std::map<std::string, std::string> inputs;
  for (const Input& input : flow.inputs_of(node)) {
    const bool is_edge = input.source == Input::Source::state_only;
    const std::string name =
        is_edge ? "needs " + flow.nodes[input.index].name : "input " + flow.names[input.name];
    std::string& text = inputs[name];
    if (!text.empty()) text += ", ";
    text += source_text(flow, input);
  }
  return inputs;
}

class Comparison {
 public:
  explicit Comparison(SourceSpan span) : span_(span) {}

  void compare(std::string part, const std::string& before, const std::string& now,
               const SourceSpan& span = {}) {
    if (before != now)
      found_.push_back({std::move(part), before, now, span.line == 0 ? span_ : span});
  }
  void compare(std::string part, const Template& before, const Template& now) {
    compare(std::move(part), before.text, now.text, now.span);
  }
  void changed(std::string part) { found_.push_back({std::move(part), {}, {}, span_}); }

  void compare(const CommandBody& before, const CommandBody& now) {
    compare("shell", before.script, now.script);
    compare_lists("run", before.argv, now.argv);
    compare_lists("inputs", before.input_files, now.input_files);
    compare("outputs", fmt::format("{}", fmt::join(before.outputs, ", ")),
            fmt::format("{}", fmt::join(now.outputs, ", ")));
    for (const auto& [name, value] : now.environment) {
      const auto old = before.environment.find(name);
      compare("env " + name, old == before.environment.end() ? Template{} : old->second, value);
    }
    for (const auto& [name, value] : before.environment)
      if (!now.environment.contains(name)) compare("env " + name, value, Template{});
    compare("cwd", before.in_flow_folder ? "flow" : "", now.in_flow_folder ? "flow" : "");
  }

  [[nodiscard]] std::vector<TaskDifference> take() { return std::move(found_); }

 private:
  void compare_lists(std::string_view what, const std::vector<Template>& before,
                     const std::vector<Template>& now) {
    for (std::size_t i = 0; i < std::max(before.size(), now.size()); ++i)
      compare(fmt::format("{}[{}]", what, i), i < before.size() ? before[i] : Template{},
              i < now.size() ? now[i] : Template{});
  }

  SourceSpan span_;
  std::vector<TaskDifference> found_;
};

std::string body_text(const Body& body) {
  if (const auto* function = std::get_if<FunctionBody>(&body)) return "call " + function->function;
  if (std::holds_alternative<NestedBody>(body)) return "flow";
  return std::holds_alternative<CommandBody>(body) ? "command" : "pass";
}

std::map<std::uint32_t, TaskState> exits_of(const TaskKind& kind) {
  const auto* command = std::get_if<CommandBody>(&kind.body);
  return command != nullptr ? command->exits : std::map<std::uint32_t, TaskState>{};
}

/// Of the flow that the task runs, where it is known; else empty.
std::string nested_bytes(const FlowSpec& flow, const TaskKind& kind) {
  const auto* nested = std::get_if<NestedBody>(&kind.body);
  return nested != nullptr && nested->flow ? flow.nested[*nested->flow]->encode() : std::string();
}

/// How the task is run rather than what it does.
bool same_policies(const TaskKind& a, const TaskKind& b) {
  return a.trigger == b.trigger && a.skip_on_upstream_skip == b.skip_on_upstream_skip &&
         a.retry == b.retry && a.timeout == b.timeout && a.cache == b.cache &&
         a.resources == b.resources && a.require == b.require && a.limits == b.limits &&
         a.priority == b.priority && a.isolated == b.isolated && a.max_parallel == b.max_parallel &&
         a.reduce_fanin == b.reduce_fanin && a.hooks.size() == b.hooks.size() &&
         a.target.text == b.target.text && exits_of(a) == exits_of(b);
}

}  // namespace

std::vector<TaskDifference> task_differences(const FlowSpec& before, NodeId old_node,
                                             const FlowSpec& now, NodeId new_node) {
  const TaskKind& was = before.kind_of(old_node);
  const TaskKind& is = now.kind_of(new_node);
  Comparison comparison(now.nodes[new_node.value].span);
  comparison.compare("body", body_text(was.body), body_text(is.body));
  const auto* old_command = std::get_if<CommandBody>(&was.body);
  const auto* new_command = std::get_if<CommandBody>(&is.body);
  if (old_command && new_command) comparison.compare(*old_command, *new_command);
  if (nested_bytes(before, was) != nested_bytes(now, is)) comparison.changed("flow");
  comparison.compare("version", was.version, is.version);
  comparison.compare("when", was.when, is.when, is.when_span);
  if (was.signature != is.signature) comparison.changed("signature");
  if (!same_policies(was, is)) comparison.changed("policy");
  const auto old_inputs = inputs_of(before, old_node);
  const auto new_inputs = inputs_of(now, new_node);
  for (const auto& [name, text] : new_inputs) {
    const auto old = old_inputs.find(name);
    comparison.compare(name, old == old_inputs.end() ? std::string() : old->second, text);
  }
  for (const auto& [name, text] : old_inputs)
    if (!new_inputs.contains(name)) comparison.compare(name, text, std::string());
  return comparison.take();
}

}  // namespace reprise
