#include "flow/flow_file_build.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_builder.hpp"

namespace reprise::flow_file {

namespace {

class Builder {
 public:
  Builder(const FlowDraft& draft, const FlowFacts& facts, const yaml::Document& document)
      : draft_(draft), facts_(facts), document_(document), builder_(draft.name.text) {}

  Result<FlowSpec> build() && {
    for (const ParameterDraft& parameter : draft_.parameters) {
      if (auto added = add_parameter(parameter); !added) return tl::unexpected(added.error());
    }
    for (std::uint32_t i = 0; i < draft_.tasks.size(); ++i) {
      if (auto added = add_task(i); !added) return tl::unexpected(added.error());
    }
    for (std::size_t i = 0; i < draft_.outputs.size(); ++i) add_output(i);
    choose_reference_nodes();
    for (const HookDraft& hook : draft_.hooks) builder_.add_run_hook(hook_of(hook));
    builder_.spec().nested = facts_.nested;
    return std::move(builder_).finish();
  }

 private:
  [[nodiscard]] Template template_of(const Text& text) const {
    return {.text = text.text,
            .span = text.node != nullptr ? document_.span(*text.node) : SourceSpan{}};
  }

  Status add_parameter(const ParameterDraft& draft) {
    Parameter parameter;
    parameter.name = draft.name;
    parameter.type = draft.type.text;
    parameter.description = draft.description;
    parameter.span = document_.span(*draft.key);
    const auto payload = [&](const yaml::Node& node) {
      return Payload::of(parameter_constant(draft.type.text, node).value_or(Value()));
    };
    if (draft.default_value != nullptr) {
      auto value = payload(*draft.default_value);
      if (!value) return tl::unexpected(value.error());
      parameter.default_value = *std::move(value);
    }
    if (draft.choices != nullptr) {
      for (const yaml::Node* choice : draft.choices->items) {
        auto value = payload(*choice);
        if (!value) return tl::unexpected(value.error());
        parameter.choices.push_back(*std::move(value));
      }
    }
    builder_.add_parameter(std::move(parameter));
    return {};
  }

  // ---- kinds ----

  [[nodiscard]] CommandBody command(const TaskDraft& task, const PolicyDraft& policy) const {
    CommandBody body;
    for (const Text& argument : task.run) body.argv.push_back(template_of(argument));
    if (task.shell) body.script = template_of(task.shell);
    for (const Text& input : task.inputs) body.input_files.push_back(template_of(input));
    if (const auto program = local_program(task)) {
      const bool listed = std::ranges::any_of(
          task.inputs, [&](const Text& input) { return input.text == *program; });
      if (!listed)
        body.input_files.push_back(template_of({.text = *program, .node = task.run[0].node}));
    }
    for (const Text& output : task.outputs) body.outputs.push_back(output.text);
    for (const auto& [name, value] : policy.environment)
      body.environment[name] = template_of(value);
    body.in_flow_folder = task.in_flow_folder;
    body.exits = task.exits;
    return body;
  }

  [[nodiscard]] Hook hook_of(const HookDraft& draft) const {
    Hook hook;
    hook.on = {draft.state};
    if (draft.call) {
      hook.body = FunctionBody{.function = draft.call.text};
      return hook;
    }
    CommandBody body;
    for (const Text& argument : draft.run) body.argv.push_back(template_of(argument));
    if (draft.shell) body.script = template_of(draft.shell);
    for (const auto& [name, value] : draft.environment) body.environment[name] = template_of(value);
    body.in_flow_folder = draft.in_flow_folder;
    hook.body = std::move(body);
    return hook;
  }

  /// A path as input files are called once they are in place: "./data/" is "data".
  static std::string as_staged(std::string name) {
    while (name.starts_with("./")) name.erase(0, 2);
    while (name.size() > 1 && name.ends_with('/')) name.pop_back();
    return name;
  }

  static void take_preset(PolicyDraft& policy) {
    if (!policy.preset) return;
    if (!policy.resources) policy.resources = policy.preset;
    if (policy.cache) return;
    policy.cache = CachePolicy{};
    policy.cache->enabled = true;
  }

  /// The task's own policies over the defaults; environment variables one by one.
  [[nodiscard]] PolicyDraft policy_of(const TaskDraft& task) const {
    PolicyDraft policy = task.policy;
    take_preset(policy);
    PolicyDraft defaults = draft_.defaults;
    take_preset(defaults);
    if (!policy.timeout) policy.timeout = defaults.timeout;
    if (!policy.retry) policy.retry = defaults.retry;
    if (!policy.resources) policy.resources = defaults.resources;
    if (!policy.require) policy.require = defaults.require;
    if (!policy.limits) policy.limits = defaults.limits;
    if (!policy.priority) policy.priority = defaults.priority;
    if (!policy.cache) {
      policy.cache = defaults.cache;
      policy.cache_version = defaults.cache_version;
      policy.cache_hashes = defaults.cache_hashes;
    }
    policy.environment = defaults.environment;
    policy.environment.insert(policy.environment.end(), task.policy.environment.begin(),
                              task.policy.environment.end());
    return policy;
  }

  /// Of a task that runs a flow. Where and how long it works, and what of it is kept, is said by
  /// the flow's own tasks: of the defaults only some are for it.
  static void take_nested(const TaskDraft& task, const TaskFacts& facts, PolicyDraft& policy,
                          TaskKind& kind) {
    policy.timeout.reset();
    policy.cache.reset();
    policy.cache_version = {};
    policy.cache_hashes.clear();
    policy.resources.reset();
    policy.require.reset();
    policy.limits.reset();
    NestedBody body{.flow = facts.nested, .source = {}, .output = {}};
    for (const Argument& argument : facts.arguments) {
      if (argument.name == flow_argument)
        body.source = argument.name;
      else
        kind.signature.inputs.emplace_back(argument.name, "any");
    }
    kind.cache_name = task.name;
    kind.body = std::move(body);
    kind.signature.outputs = {{"result", "any"}};
  }

  [[nodiscard]] TaskKind kind_of(std::uint32_t at) const {
    const TaskDraft& task = draft_.tasks[at];
    const TaskFacts& facts = facts_.tasks[at];
    PolicyDraft policy = policy_of(task);
    TaskKind kind;
    if (task.is_nested()) {
      take_nested(task, facts, policy, kind);
    } else if (task.is_command()) {
      kind.cache_name = task.name;
      kind.body = command(task, policy);
      kind.signature.outputs = {{"result", "any"}};
    } else {
      const std::size_t sign = task.call.text.find('@');
      kind.cache_name = task.call.text.substr(0, sign);
      kind.version = task.call.text.substr(sign + 1);
      kind.body = FunctionBody{.function = task.call.text};
      if (facts.signature != nullptr) {
        kind.signature = *facts.signature;
      } else {
        for (const Argument& argument : facts.arguments)
          kind.signature.inputs.emplace_back(argument.name, "any");
        kind.signature.outputs = {{"result", "any"}};
      }
    }
    if (policy.cache_version) kind.version = policy.cache_version.text;
    if (task.version) kind.version = task.version.text;
    if (task.trigger) kind.trigger = *task.trigger;
    kind.skip_on_upstream_skip = task.skip_on_upstream_skip;
    if (policy.retry) kind.retry = *policy.retry;
    if (policy.timeout) kind.timeout = *policy.timeout;
    if (policy.cache) kind.cache = *policy.cache;
    for (const HashDraft& given : policy.cache_hashes)
      kind.cache.hashes[as_staged(given.input.text)] = {given.method.text, template_of(given.hash)};
    if (policy.resources) kind.resources = *policy.resources;
    if (policy.require) kind.require = *policy.require;
    if (policy.limits) kind.limits = *policy.limits;
    kind.priority = policy.priority.value_or(0);
    kind.isolated = task.isolated;
    if (task.when) {
      kind.when = condition(task.when.text);
      kind.when_span = document_.span(*task.when.node);
    }
    if (task.map) kind.max_parallel = task.map->max_parallel;
    if (task.reduce) kind.reduce_fanin = task.reduce->fanin;
    for (const HookDraft& hook : task.hooks) kind.hooks.push_back(hook_of(hook));
    if (task.target) kind.target = template_of(task.target);
    return kind;
  }

  /// The bare expression of `when`.
  static std::string condition(const std::string& text) {
    std::string bare = text;
    if (text.find("${{") != std::string::npos) {
      const auto parsed = TemplateText::parse(text);
      if (parsed && parsed->single() != nullptr) bare = parsed->single()->source();
    }
    const std::size_t first = bare.find_first_not_of(" \t\r\n");
    return first == std::string::npos
               ? bare
               : bare.substr(first, bare.find_last_not_of(" \t\r\n") - first + 1);
  }

  // ---- nodes and inputs ----

  Status add_task(std::uint32_t at) {
    const TaskDraft& task = draft_.tasks[at];
    const TaskFacts& facts = facts_.tasks[at];
    task_ = at;
    taken_.clear();
    renamed_.clear();
    TaskKind kind = kind_of(at);
    const bool called = !task.is_command();
    const Scope scope = scope_of(at);
    if (called) {
      // A task whose name a function's parameter has, too, is seen by expressions under another
      // one.
      for (const std::uint32_t read : scope.reads) rename_if_taken(draft_.tasks[read].name, facts);
      for (const std::uint32_t own : scope.own) rename_if_taken(draft_.tasks[own].name, facts);
      if (task.map) rename_if_taken(task.map->as.text, facts);
      kind.when = renamed(kind.when);
      kind.target.text = renamed_template(kind.target.text);
      for (auto& [name, given] : kind.cache.hashes)
        given.hash.text = renamed_template(given.hash.text);
    } else {
      // Known before the inputs are added: the signature is part of the kind.
      for (const std::string& name : command_inputs(at))
        kind.signature.inputs.emplace_back(name, "any");
    }
    builder_.add_node(task.name, builder_.add_kind(std::move(kind)), 0, document_.span(*task.key));

    bool mapped = false;
    for (const Argument& argument : facts.arguments) {
      const bool element = argument.source.kind == Source::Kind::map_variable;
      mapped = mapped || element;
      if (auto added = add_source(argument.name, element ? facts.over : argument.source, element);
          !added)
        return added;
    }
    if (task.map && (!called || !mapped || scope.map_variable)) {
      if (auto added = add_source(scope_name(task.map->as.text), facts.over, true); !added)
        return added;
    }
    if (facts.reduced && !called) add_upstream(*facts.reduced);
    for (const std::uint32_t need : facts.needs) {
      // `needs` waits for all of a mapped task, its own element is an input of its own; a function
      // gets what `args` says.
      const bool only_own = contains(facts.own, need) && !contains(facts.reads, need);
      const bool by_value = called ? contains(scope.reads, need) : !only_own;
      if (by_value)
        add_upstream(need);
      else if (only_own || !contains(facts.reads, need))
        builder_.add_state_only(NodeId{need});
    }
    for (const std::uint32_t read : scope.reads) add_upstream(read);
    for (const std::uint32_t own : scope.own) {
      const std::string name = scope_name(draft_.tasks[own].name) + "[]";
      if (!taken_.insert(name).second) return clash(name);
      builder_.add_upstream(name, NodeId{own},
                            {.mapped = true, .flattened = false, .gathered = false});
    }
    return {};
  }

  /// What a node's expressions and templates read, beside its arguments.
  struct Scope {
    std::vector<std::uint32_t> reads, own;
    bool map_variable = false;
  };

  /// Of a command everything; of a call what expressions read: a task that is a whole argument is
  /// an input already.
  [[nodiscard]] Scope scope_of(std::uint32_t at) const {
    const TaskDraft& task = draft_.tasks[at];
    const TaskFacts& facts = facts_.tasks[at];
    if (task.is_command()) return {.reads = facts.reads, .own = facts.own, .map_variable = true};
    const std::string variable = task.map ? task.map->as.text : std::string();
    Scope scope;
    std::set<std::string> reads;
    std::set<std::string> own;
    const auto look = [&](const std::string& text) {
      const auto tree = expression::Tree::parse(text);
      if (!tree) return;
      const expression::Reads found = tree->reads(variable);
      reads.insert(found.names.begin(), found.names.end());
      own.insert(found.own.begin(), found.own.end());
    };
    for (const Argument& argument : facts.arguments) {
      if (argument.source.kind == Source::Kind::expression) look(argument.source.expression);
    }
    if (facts.over.kind == Source::Kind::expression) look(facts.over.expression);
    if (task.when) look(condition(task.when.text));
    const auto look_into = [&](const std::string& text) {
      if (const auto parsed = TemplateText::parse(text))
        for (const TemplateText::Part& part : parsed->parts())
          for (const expression::Tree& tree : part.tree) look(tree.source());
    };
    look_into(task.target.text);
    for (const HashDraft& given : task.policy.cache_hashes) look_into(given.hash.text);
    for (const std::uint32_t read : facts.reads) {
      if (reads.contains(draft_.tasks[read].name)) scope.reads.push_back(read);
    }
    for (const std::uint32_t read : facts.own) {
      if (own.contains(draft_.tasks[read].name)) scope.own.push_back(read);
    }
    // fetch[s] needs no `s`: its own element is an input. Anything else that says `s` does.
    scope.map_variable = !variable.empty() && reads.contains(variable);
    return scope;
  }

  static bool contains(const std::vector<std::uint32_t>& list, std::uint32_t wanted) {
    return std::ranges::find(list, wanted) != list.end();
  }

  [[nodiscard]] std::vector<std::string> command_inputs(std::uint32_t at) const {
    const TaskDraft& task = draft_.tasks[at];
    const TaskFacts& facts = facts_.tasks[at];
    std::vector<std::string> names;
    std::set<std::string> seen;
    const auto add = [&](const std::string& name) {
      if (seen.insert(name).second) names.push_back(name);
    };
    if (task.map) add(task.map->as.text);
    if (facts.reduced) add(draft_.tasks[*facts.reduced].name);
    for (const std::uint32_t need : facts.needs) {
      if (!contains(facts.own, need) || contains(facts.reads, need)) add(draft_.tasks[need].name);
    }
    for (const std::uint32_t read : facts.reads) add(draft_.tasks[read].name);
    for (const std::uint32_t own : facts.own) add(draft_.tasks[own].name + "[]");
    return names;
  }

  void rename_if_taken(const std::string& name, const TaskFacts& facts) {
    for (const Argument& argument : facts.arguments) {
      if (argument.name == name) renamed_[name] = name + " (task)";
    }
  }

  [[nodiscard]] std::string scope_name(const std::string& name) const {
    const auto found = renamed_.find(name);
    return found == renamed_.end() ? name : found->second;
  }

  /// The expression with names as this node's inputs have them.
  [[nodiscard]] std::string renamed(const std::string& text) const {
    if (renamed_.empty()) return text;
    const auto tree = expression::Tree::parse(text);
    if (!tree) return text;
    return tree->print([&](std::uint32_t at) -> std::optional<std::string> {
      const expression::Term& term = tree->terms()[at];
      if (term.kind != expression::Term::Kind::name) return std::nullopt;
      const auto found = renamed_.find(term.text);
      if (found == renamed_.end()) return std::nullopt;
      return expression::reference_to(found->second);
    });
  }

  [[nodiscard]] std::string renamed_template(const std::string& text) const {
    const auto parsed = TemplateText::parse(text);
    if (renamed_.empty() || !parsed) return text;
    std::string result;
    for (const TemplateText::Part& part : parsed->parts()) {
      result += escape_template(part.literal);
      for (const expression::Tree& tree : part.tree)
        result += "${{ " + renamed(tree.source()) + " }}";
    }
    return result;
  }

  void add_upstream(std::uint32_t upstream) {
    const std::string name = scope_name(draft_.tasks[upstream].name);
    if (taken_.insert(name).second) builder_.add_upstream(name, NodeId{upstream});
  }

  Status add_source(const std::string& name, const Source& source, bool mapped) {
    const FlowBuilder::Flags flags{.mapped = mapped, .flattened = false, .gathered = false};
    if (!taken_.insert(name).second) return clash(name);
    switch (source.kind) {
      case Source::Kind::none:
        taken_.erase(name);
        return {};
      case Source::Kind::constant: {
        auto payload = Payload::of(source.constant);
        if (!payload) return tl::unexpected(payload.error());
        builder_.add_constant(name, *std::move(payload), flags);
        return {};
      }
      case Source::Kind::parameter:
        builder_.add_parameter_input(name, source.index, flags);
        return {};
      case Source::Kind::task:
        builder_.add_upstream(name, NodeId{source.index}, flags);
        return {};
      case Source::Kind::own_element:
        builder_.add_upstream(name, NodeId{source.index},
                              {.mapped = true, .flattened = false, .gathered = false});
        return {};
      case Source::Kind::map_variable:
        return {};  // replaced by what is mapped over
      case Source::Kind::expression: {
        Expression expression;
        expression.text = renamed(source.expression);
        expression.span = source.span;
        if (const auto tree = expression::Tree::parse(source.expression)) {
          const TaskDraft& task = draft_.tasks[task_];
          const expression::Reads reads = tree->reads(
              task.map && !mapped ? std::string_view(task.map->as.text) : std::string_view());
          for (const auto& list : {facts_.tasks[task_].reads, facts_.tasks[task_].own}) {
            for (const std::uint32_t read : list) {
              const std::string& read_name = draft_.tasks[read].name;
              const bool used = std::ranges::find(reads.names, read_name) != reads.names.end() ||
                                std::ranges::find(reads.own, read_name) != reads.own.end();
              if (used &&
                  std::ranges::find(expression.reads, NodeId{read}) == expression.reads.end()) {
                expression.reads.push_back(NodeId{read});
              }
            }
          }
        }
        builder_.add_expression(name, std::move(expression), flags);
        return {};
      }
    }
    return {};
  }

  [[nodiscard]] Status clash(const std::string& name) const {
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("task '{}' would have two inputs named '{}'",
                    escape_for_terminal(draft_.tasks[task_].name), escape_for_terminal(name)));
  }

  void add_output(std::size_t at) {
    const OutputDraft& draft = draft_.outputs[at];
    Output output;
    output.name = draft.name;
    output.text = template_of(draft.value);
    if (const auto& task = facts_.output_tasks[at]) {
      output.kind = Output::Kind::node;
      output.node = NodeId{*task};
    }
    builder_.add_output(std::move(output));
  }

  /// With `allow_failure` somewhere the tasks that decide the run's state are named; else the flow
  /// leaves it at the default.
  void choose_reference_nodes() {
    for (const std::uint32_t task : facts_.reference) builder_.add_reference(NodeId{task});
    if (!facts_.reference.empty()) return;
    if (std::ranges::none_of(draft_.tasks, &TaskDraft::allow_failure)) return;
    for (const std::uint32_t last : facts_.last_tasks) {
      if (!draft_.tasks[last].allow_failure)
        builder_.spec().reference_nodes.push_back(NodeId{last});
    }
  }

  const FlowDraft& draft_;
  const FlowFacts& facts_;
  const yaml::Document& document_;
  FlowBuilder builder_;
  std::uint32_t task_ = 0;
  std::set<std::string> taken_;  // names of the inputs of the task being added
  std::map<std::string, std::string>
      renamed_;  // names that differ in the expressions of the task being added
};

}  // namespace

Result<FlowSpec> build(const FlowDraft& draft, const FlowFacts& facts,
                       const yaml::Document& document, const FlowFileOptions&) {
  return Builder(draft, facts, document).build();
}

}  // namespace reprise::flow_file
