#include "flow/flow_file_check.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::flow_file {

using expression::Problem;
using expression::Tree;
using expression::Type;
using Kind = Type::Kind;

namespace {

/// Why a path cannot be an output; empty: it can.
std::string_view path_problem(std::string_view path) {
  if (path.starts_with('/')) return "is absolute";
  if (path.ends_with('/')) return "is a folder, not a file";
  if (path.find('\0') != std::string_view::npos) return "contains a NUL";
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part == "..") return "leaves the task's directory";
    if (part.empty() || part == ".") return "has an empty or '.' part";
    if (part.size() > 255) return "has a part of more than 255 bytes";
    at = end + 1;
  }
  return {};
}

}  // namespace

Type parameter_type(std::string_view type) {
  if (type == "string") return Type::of(Kind::text);
  if (type == "int") return Type::of(Kind::integer);
  if (type == "float") return Type::of(Kind::number);
  if (type == "bool") return Type::of(Kind::boolean);
  if (type == "list") return Type::of(Kind::list);
  return {};  // a file is given as a path and may become a file
}

std::optional<Value> parameter_constant(std::string_view type, const yaml::Node& node) {
  Value value = yaml::to_value(node);
  const Kind kind = Type::of_value(value).kind;
  if (type == "float" && kind == Kind::integer) {
    const auto* small = value.get_if<std::int64_t>();
    return small != nullptr ? Value(static_cast<double>(*small))
                            : Value(static_cast<double>(std::get<std::uint64_t>(value.data)));
  }
  const bool fits =
      (type == "string" && kind == Kind::text) || (type == "int" && kind == Kind::integer) ||
      (type == "float" && kind == Kind::number) || (type == "bool" && kind == Kind::boolean) ||
      (type == "list" && kind == Kind::list) || (type == "file" && kind == Kind::text);
  if (!fits) return std::nullopt;
  return value;
}

std::optional<std::string> local_program(const TaskDraft& task) {
  if (task.run.empty() || task.in_flow_folder || !task.run[0].text.starts_with("./"))
    return std::nullopt;
  if (task.run[0].text.find("${{") != std::string::npos) return std::nullopt;
  return task.run[0].text.substr(2);
}

Checker::Checker(const FlowDraft& flow, const FlowFileOptions& options, Complaints& complaints)
    : flow_(flow), options_(options), complaints_(complaints) {
  for (std::uint32_t i = 0; i < flow.tasks.size(); ++i) {
    task_index_.emplace(flow.tasks[i].name, i);
    task_names_.push_back(flow.tasks[i].name);
  }
  for (std::uint32_t i = 0; i < flow.parameters.size(); ++i) {
    parameter_index_.emplace(flow.parameters[i].name, i);
    parameter_names_.push_back(flow.parameters[i].name);
  }
  for (std::uint32_t i = 0; i < flow.tasks.size(); ++i) types_.push_back(type_of_task(i));
  facts_.tasks.resize(flow.tasks.size());
}

FlowFacts Checker::check() {
  parameters();
  element_names();
  for (std::uint32_t i = 0; i < flow_.tasks.size(); ++i) task(i);
  flow_outputs();
  cycles();
  last_tasks();
  reference();
  hooks(flow_.hooks, "the run");
  return std::move(facts_);
}

void Checker::last_tasks() {
  std::vector<bool> needed(flow_.tasks.size(), false);
  for (const TaskFacts& facts : facts_.tasks) {
    for (const TaskFacts::Edge& edge : facts.edges) needed[edge.to] = true;
  }
  const TaskDraft* forgiven = nullptr;
  bool decided = false;
  for (std::uint32_t i = 0; i < flow_.tasks.size(); ++i) {
    if (needed[i]) continue;
    facts_.last_tasks.push_back(i);
    if (!flow_.tasks[i].allow_failure)
      decided = true;
    else if (forgiven == nullptr)
      forgiven = &flow_.tasks[i];
  }
  if (decided || forgiven == nullptr || !flow_.reference.empty()) return;
  complaints_.add(
      "RP1114", *forgiven->node->find("allow_failure")->key,
      "every last task has 'allow_failure', so nothing decides whether the run succeeds",
      {.suggestion = {},
       .label = {},
       .help = {"leave it out at one task that no other task needs"}});
}

void Checker::reference() {
  for (const Text& name : flow_.reference) {
    const auto found = task_index_.find(name.text);
    if (found == task_index_.end()) {
      complaints_.add("RP1203", *name.node,
                      fmt::format("unknown task '{}' in 'reference'", name.text),
                      {.suggestion = complaints_.near(name.text, task_names_),
                       .label = {},
                       .help = {"tasks in this file: " + listed(task_names_)}});
      continue;
    }
    facts_.reference.push_back(found->second);
    const TaskDraft& task = flow_.tasks[found->second];
    if (!task.allow_failure) continue;
    Diagnostic& diagnostic = complaints_.add(
        "RP1114", *name.node,
        fmt::format("task '{}' has 'allow_failure' and cannot decide whether the run succeeds",
                    name.text),
        {.suggestion = {}, .label = {}, .help = {"keep one of them"}});
    diagnostic.related.push_back(
        {complaints_.document().span(*task.node->find("allow_failure")->key), "here"});
  }
}

// What stands in hooks is evaluated whatever became of the tasks, so it reads parameters only.
void Checker::hooks(const std::vector<HookDraft>& hooks, std::string_view whose) {
  only_parameters_ = true;
  for (const HookDraft& hook : hooks) {
    if (hook.broken) continue;
    for (const Text& argument : hook.run) program_text(argument, std::nullopt);
    if (hook.shell && !hook.shell.text.empty()) program_text(hook.shell, std::nullopt);
    for (const auto& [name, value] : hook.environment) program_text(value, std::nullopt);
    if (!hook.call) continue;
    if (!hook.environment.empty() || hook.in_flow_folder)
      complaints_.add("RP1114", *hook.call.node->key,
                      "'env' and 'cwd' go with 'run' and 'shell' only",
                      {.suggestion = {},
                       .label = {},
                       .help = {"a function is given the states before and after"}});
    const Signature* signature = find_function(hook.call, fmt::format("'on' of {}", whose));
    if (signature != nullptr && signature->inputs.size() != 2)
      complaints_.add("RP1205", *hook.call.node,
                      fmt::format("'{}' takes {} arguments; a hook is given two: the states before "
                                  "and after",
                                  hook.call.text, signature->inputs.size()));
  }
  only_parameters_ = false;
}

void Checker::parameters() {
  for (const ParameterDraft& parameter : flow_.parameters) {
    if (!expression::is_identifier(parameter.name)) {
      std::string better = parameter.name;
      for (char& c : better) {
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
      }
      complaints_.add("RP1111", *parameter.key,
                      fmt::format("'{}' cannot be the name of a parameter", parameter.name),
                      {.suggestion = expression::is_identifier(better) ? better : "",
                       .label = {},
                       .help = {"letters, digits and '_', not beginning with a digit"}});
    }
    if (parameter.broken) continue;
    if (parameter.default_value != nullptr && !parameter.default_value->broken) {
      parameter_value(parameter, *parameter.default_value, "default");
    }
    if (parameter.choices == nullptr) continue;
    const std::size_t before = complaints_.count();
    for (const yaml::Node* choice : parameter.choices->items) {
      if (!choice->broken) parameter_value(parameter, *choice, "choice");
    }
    if (complaints_.count() > before || parameter.default_value == nullptr) continue;
    const auto chosen = parameter_constant(parameter.type.text, *parameter.default_value);
    const bool allowed =
        std::ranges::any_of(parameter.choices->items, [&](const yaml::Node* choice) {
          return parameter_constant(parameter.type.text, *choice) == chosen;
        });
    if (chosen && !allowed) {
      complaints_.add(
          "RP1308", *parameter.default_value,
          fmt::format("the default of parameter '{}' is not among its choices", parameter.name));
    }
  }
}

void Checker::parameter_value(const ParameterDraft& parameter, const yaml::Node& node,
                              std::string_view what) {
  if (parameter_constant(parameter.type.text, node)) return;
  Advice advice;
  const std::string& type = parameter.type.text;
  if (node.is_scalar() && (type == "string" || type == "file") && !node.text.empty()) {
    advice = {.suggestion = fmt::format("\"{}\"", node.text),
              .label = "in quotes it is text",
              .help = {}};
  } else if (node.is_scalar() && type == "bool") {
    for (const char* yes : {"yes", "on", "Yes", "On"})
      if (node.text == yes) advice.suggestion = "true";
    for (const char* no : {"no", "off", "No", "Off"})
      if (node.text == no) advice.suggestion = "false";
    advice.help = {"a bool is true or false; yes, no, on and off are plain text in a flow file"};
  } else if (node.is_scalar() && (type == "int" || type == "float") && node.text.size() > 1 &&
             node.text[0] == '0') {
    advice.help = {"a number with leading zeros is text: nobody knows whether 010 is 8 or 10"};
  } else if (node.is_scalar() && type == "list" && !node.text.empty()) {
    advice.suggestion = fmt::format("[{}]", node.text);
  }
  complaints_.add("RP1308", node,
                  fmt::format("the {} of parameter '{}' must be of type {}, not {}", what,
                              parameter.name, type, describe(node)),
                  std::move(advice));
}

Type Checker::type_of_task(std::uint32_t at) const {
  const TaskDraft& task = flow_.tasks[at];
  Type single;
  if (task.is_nested() && !task.broken) {
    single = Type::of(Kind::map);
  } else if (task.is_command() && !task.broken) {
    single = Type::of(Kind::command);
    auto outputs = std::make_shared<std::vector<std::string>>();
    for (const Text& output : task.outputs) outputs->push_back(output.text);
    single.outputs = std::move(outputs);
  } else if (task.call && options_.functions) {
    const auto found = options_.functions->find(task.call.text);
    if (found != options_.functions->end() && found->second.outputs.size() == 1) {
      single = Type::from_signature(found->second.outputs[0].second);
    }
  }
  return task.map ? Type::list_of(std::move(single)) : single;
}

std::string Checker::map_variable(std::uint32_t at) const {
  const TaskDraft& task = flow_.tasks[at];
  return task.map ? task.map->as.text : std::string();
}

void Checker::add_edge(std::uint32_t from, std::uint32_t to, SourceSpan span) {
  if (seen_.emplace(nullptr, to).second) facts_.tasks[from].edges.push_back({to, span});
}

void Checker::add_once(std::vector<std::uint32_t>& list, std::uint32_t element) {
  if (seen_.emplace(&list, element).second) list.push_back(element);
}

std::optional<std::uint32_t> Checker::find_task(const Text& name, const TaskDraft& task,
                                                std::string_view key) {
  const auto found = task_index_.find(name.text);
  if (found != task_index_.end()) return found->second;
  Advice advice{.suggestion = complaints_.near(name.text, task_names_), .label = {}, .help = {}};
  if (complaints_.can_afford(task_names_.size()))
    advice.help = {"tasks in this file: " + listed(task_names_)};
  if (parameter_index_.contains(name.text)) {
    advice.suggestion.clear();
    advice.help = {fmt::format(
        "'{}' is a parameter: it is there from the start and read as ${{{{ params.{} }}}}",
        name.text, name.text)};
  }
  complaints_.add("RP1203", *name.node,
                  fmt::format("unknown task '{}' in '{}' of task '{}'", name.text, key, task.name),
                  std::move(advice));
  return std::nullopt;
}

void Checker::task(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  seen_.clear();
  combinations(task);
  needs(at);
  map(at);
  reduce(at);
  if (task.when) {
    // Both `when: params.x > 1` and `when: "${{ params.x > 1 }}"`.
    if (task.when.text.find("${{") != std::string::npos) {
      (void)text(task.when, at, Use::condition);
    } else if (const auto parsed = Tree::parse(task.when.text); !parsed) {
      problem(parsed.error(), *task.when.node, 0);
    } else {
      (void)tree(*parsed, *task.when.node, 0, at, Use::condition);
    }
  }
  if (task.target) target(at);
  if (task.is_command())
    command(at);
  else if (task.call && !task.broken)
    call(at);
  else if (task.is_nested() && !task.broken)
    nested(at);
  ignored_inputs(at);
  hooks(task.hooks, fmt::format("task '{}'", task.name));
}

void Checker::combinations(const TaskDraft& task) {
  if (!task.node->is_mapping()) return;
  if (task.map && task.reduce) {
    complaints_.add("RP1114", *task.node->find("reduce")->key,
                    fmt::format("task '{}' has both 'map' and 'reduce'", task.name),
                    {.suggestion = {},
                     .label = {},
                     .help = {"map in one task, reduce its results in the next"}});
  }
  if (task.broken) return;
  const bool called = static_cast<bool>(task.call);
  const char* advice = task.is_nested() ? "the flow's own tasks have what they need"
                       : called         ? "a function gets everything it works with by 'args'"
                                        : "a command's arguments stand in 'run' itself";
  const auto refuse = [&](std::initializer_list<const char*> keys, std::string_view owner) {
    for (const char* name : keys) {
      const yaml::Node* value = task.node->find(name);
      if (value == nullptr) continue;
      complaints_.add("RP1114", *value->key, fmt::format("'{}' goes with {} only", name, owner),
                      {.suggestion = {}, .label = {}, .help = {advice}});
    }
  };
  if (!task.is_command()) refuse({"inputs", "outputs", "env", "cwd", "exit"}, "'run' and 'shell'");
  if (!called) refuse({"args"}, "'call'");
  if (task.is_nested())
    refuse({"cache", "preset", "target", "reduce", "timeout", "resources", "require", "limit",
            "isolation", "version"},
           "'run', 'shell' and 'call'");
  else
    refuse({"params"}, "'flow'");
  if (task.version && task.policy.cache_version &&
      task.version.text != task.policy.cache_version.text) {
    Diagnostic& diagnostic =
        complaints_.add("RP1114", *task.policy.cache_version.node,
                        fmt::format("task '{}' has two versions", task.name),
                        {.suggestion = {}, .label = "here", .help = {"keep one of them"}});
    diagnostic.related.push_back({complaints_.document().span(*task.version.node), "and here"});
  }
}

// "a[0]" is what the first element of a mapped task "a" is called everywhere.
void Checker::element_names() {
  for (const TaskDraft& task : flow_.tasks) {
    if (!task.name.ends_with(']')) continue;
    for (std::size_t open = task.name.find('['); open != std::string::npos;
         open = task.name.find('[', open + 1)) {
      const auto found = task_index_.find(std::string_view(task.name).substr(0, open));
      if (found == task_index_.end()) continue;
      const TaskDraft& whole = flow_.tasks[found->second];
      if (!whole.map && !whole.reduce) continue;
      Diagnostic& diagnostic = complaints_.add(
          "RP1111", *task.key,
          fmt::format("'{}' is what a part of task '{}' is called", task.name, whole.name),
          {.suggestion = {}, .label = {}, .help = {"choose another name"}});
      diagnostic.related.push_back({complaints_.document().span(*whole.key), "this task"});
    }
  }
}

// A name that no variable can have gives way to one that is spelt like its variable.
void Checker::variables_of_needs(const TaskDraft& task) {
  std::map<std::string, const Text*> owners;
  for (const Text& name : task.needs)
    if (as_variable(name.text) == name.text) owners.emplace(name.text, &name);
  for (const Text& name : task.needs) {
    const auto [owner, is_free] = owners.emplace(as_variable(name.text), &name);
    if (is_free || owner->second->text == name.text || !task_index_.contains(name.text)) continue;
    complaints_
        .add("RP1114", *name.node,
             fmt::format("the result of '{}' is in no variable: REPRISE_INPUT_{} has that of '{}'",
                         name.text, owner->first, owner->second->text),
             {.suggestion = {},
              .label = {},
              .help = {fmt::format("read it in an expression, as {}, or rename one of the two",
                                   expression::reference_to(name.text))}})
        .severity = Diagnostic::Severity::warning;
  }
}

void Checker::needs(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  for (const Text& name : task.needs) {
    const auto upstream = find_task(name, task, "needs");
    if (!upstream) continue;
    if (*upstream == at) {
      complaints_.add("RP1202", *name.node, fmt::format("task '{}' needs itself", task.name));
      continue;
    }
    add_once(facts_.tasks[at].needs, *upstream);
    add_edge(at, *upstream, complaints_.document().span(*name.node));
  }
  if (task.is_command()) variables_of_needs(task);
}

void Checker::map(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  TaskFacts& facts = facts_.tasks[at];
  if (!task.map) return;
  const MapDraft& map = *task.map;
  if (map.as && !expression::is_identifier(map.as.text)) {
    complaints_.add("RP1111", *map.as.node,
                    fmt::format("'{}' cannot be the name of a map variable", map.as.text),
                    {.suggestion = {},
                     .label = {},
                     .help = {"letters, digits and '_', not beginning with a digit, none of: "
                              "params tasks in true false null and or not"}});
  }
  if (task_index_.contains(map.as.text)) {
    const yaml::Node& where = map.as ? *map.as.node : *task.node->find("map")->key;
    complaints_.add("RP1111", where,
                    fmt::format("the map variable of task '{}' is called '{}' like a task",
                                task.name, map.as.text),
                    {.suggestion = {},
                     .label = {},
                     .help = {map.as ? "choose another name" : "give it another name with 'as:'"}});
  }
  if (map.over == nullptr || map.over->broken) return;
  const yaml::Node& over = *map.over;
  const SourceSpan span = complaints_.document().span(over);
  const auto wrong = [&](std::string message, Advice advice = {}) {
    complaints_.add("RP1207", over, std::move(message), std::move(advice));
  };
  if (over.is_mapping()) {
    wrong(fmt::format("task '{}' cannot be mapped over a map", task.name),
          {.suggestion = {}, .label = {}, .help = {"write a list: [a, b, c]"}});
    return;
  }
  if (over.is_sequence()) {
    facts.over = argument(at, over, false);
    if (facts.over.type.element) facts.element = *facts.over.type.element;
    return;
  }
  if (yaml::scalar_value(over).get_if<std::string>() == nullptr) {
    wrong(fmt::format("task '{}' cannot be mapped over {}", task.name, describe(over)),
          {.suggestion = {},
           .label = {},
           .help = {"over: a list, a mapped task, or ${{ }} that gives a list"}});
    return;
  }
  const Text name{.text = over.text, .node = &over};
  const auto parsed = parse(name);
  if (!parsed) return;
  if (!parsed->has_expressions()) {
    if (const auto found = task_index_.find(over.text); found != task_index_.end()) {
      if (found->second == at) {
        complaints_.add("RP1202", over, fmt::format("task '{}' is mapped over itself", task.name));
        return;
      }
      facts.over = {.kind = Source::Kind::task,
                    .index = found->second,
                    .constant = {},
                    .expression = {},
                    .span = span,
                    .type = types_[found->second]};
      add_edge(at, found->second, span);
    } else if (parameter_index_.contains(over.text)) {
      wrong(
          fmt::format("'{}' is a parameter; as it stands here it is only text", over.text),
          {.suggestion = fmt::format("${{{{ params.{} }}}}", over.text), .label = {}, .help = {}});
      return;
    } else {
      wrong(fmt::format("task '{}' cannot be mapped over the text '{}'", task.name,
                        shorten(escape_for_terminal(over.text), 40)),
            {.suggestion = complaints_.near(over.text, task_names_),
             .label = {},
             .help = {"over: a list, a mapped task, or ${{ }} that gives a list"}});
      return;
    }
  } else if (const Tree* single = parsed->single()) {
    const TemplateText::Part& part = parsed->parts().front();
    const auto type = tree(*single, over, part.begin, at, Use::value, false);
    if (!type) return;
    facts.over = source_of(*single, *type, at, span);
    facts.over.type = *type;
  } else {
    wrong(fmt::format("text with ${{{{ }}}} in it is text, and task '{}' needs a list", task.name));
    return;
  }
  const Type& type = facts.over.type;
  if (type.kind != Kind::list && type.kind != Kind::any) {
    Advice advice{.suggestion = {},
                  .label = {},
                  .help = {"over: a list, a mapped task, or ${{ }} that gives a list"}};
    if (type.kind == Kind::command)
      advice.help = {"only the result of a mapped task is a list",
                     "a command's text can be a list: declare a called function that makes one, or "
                     "a parameter"};
    wrong(fmt::format("task '{}' needs a list to be mapped over, and this is {}", task.name,
                      type.describe()),
          std::move(advice));
  }
  if (type.element) facts.element = *type.element;
}

void Checker::reduce(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  if (!task.reduce || !task.reduce->over) return;
  Text over = task.reduce->over;
  if (over.text.find("${{") != std::string::npos) {
    const auto parsed = parse(over);
    if (!parsed) return;
    const Tree* single = parsed->single();
    if (single == nullptr || single->terms()[single->root()].kind != expression::Term::Kind::name) {
      complaints_.add("RP1208", *over.node, "'reduce.over' must be the name of a task",
                      {.suggestion = {},
                       .label = {},
                       .help = {"to combine another list, make it the result of a mapped task"}});
      return;
    }
    over.text = single->terms()[single->root()].text;
  }
  const auto upstream = find_task(over, task, "reduce.over");
  if (!upstream) return;
  const SourceSpan span = complaints_.document().span(*over.node);
  if (*upstream == at) {
    complaints_.add("RP1202", *over.node, fmt::format("task '{}' reduces itself", task.name));
    return;
  }
  add_edge(at, *upstream, span);
  facts_.tasks[at].reduced = *upstream;
  const Type& type = types_[*upstream];
  if (type.kind != Kind::list && type.kind != Kind::any) {
    complaints_.add(
        "RP1208", *over.node,
        fmt::format("task '{}' is not mapped, so there is nothing to reduce", over.text),
        {.suggestion = {},
         .label = {},
         .help = {fmt::format("its result is {}; read it with 'needs: [{}]'", type.describe(),
                              over.text)}});
  }
}

void Checker::command(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  for (const Text& argument : task.run) program_text(argument, at);
  if (task.shell && !task.shell.text.empty()) program_text(task.shell, at);
  for (const Text& input : task.inputs) {
    if (text(input, at, Use::text)) input_file(task, input);
  }
  for (const auto& [name, value] : task.policy.environment) program_text(value, at);
  for (const HashDraft& given : task.policy.cache_hashes) (void)text(given.hash, at, Use::text);
  if (const auto program = local_program(task)) {
    input_file(task, {.text = *program, .node = task.run[0].node});
  }
  output_paths(task);
}

void Checker::program_text(const Text& given, std::optional<std::uint32_t> at) {
  if (given.text.find('\0') != std::string::npos)
    complaints_.add("RP1115", *given.node,
                    fmt::format("{} holds a NUL, which no program can be given",
                                complaints_.name_of(*given.node)));
  else
    (void)text(given, at, Use::text);
}

void Checker::target(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  (void)text(task.target, at, Use::text);
  const yaml::Node& key = *task.target.node->key;
  if (task.reduce)
    complaints_.add(
        "RP1114", key, "'target' does not go with 'reduce', which calls the task often",
        {.suggestion = {}, .label = {}, .help = {"give it to a task that takes the result"}});
  if (task.is_command() && task.outputs.size() != 1)
    complaints_.add(
        "RP1114", key,
        fmt::format("a command with a target has exactly one output, and task '{}' has {}",
                    task.name, task.outputs.size()),
        {.suggestion = {}, .label = {}, .help = {"the target is that output's content"}});
  const yaml::Node* cache = task.node->find("cache");
  if (cache != nullptr && task.policy.cache && task.policy.cache->enabled) {
    Diagnostic& diagnostic =
        complaints_.add("RP1114", key, "'target' stands for the cache and does not go with 'cache'",
                        {.suggestion = {}, .label = {}, .help = {"keep one of them"}});
    diagnostic.related.push_back({complaints_.document().span(*cache->key), "here"});
  }
}

void Checker::output_paths(const TaskDraft& task) {
  std::map<std::string_view, const yaml::Node*> known;
  for (const Text& output : task.outputs) {
    const std::string_view path = output.text;
    if (path.find("${{") != std::string_view::npos) {
      complaints_.add(
          "RP1209", *output.node, "an output has a fixed name; '${{ }}' cannot be used in it",
          {.suggestion = {},
           .label = {},
           .help = {"every run of a task has a directory of its own, so names need not differ"}});
      continue;
    }
    if (const std::string_view why = path_problem(path); !why.empty()) {
      complaints_.add("RP1209", *output.node,
                      fmt::format("output '{}' of task '{}' {}", path, task.name, why),
                      {.suggestion = path.starts_with("./") && path_problem(path.substr(2)).empty()
                                         ? std::string(path.substr(2))
                                         : std::string(),
                       .label = {},
                       .help = {"an output is a file below the task's working directory, such as "
                                "result.csv or out/result.csv"}});
      continue;
    }
    if (path.find_first_of("*?") != std::string_view::npos) {
      complaints_.add(
          "RP1209", *output.node,
          fmt::format("output '{}' of task '{}' is a pattern", path, task.name),
          {.suggestion = {}, .label = {}, .help = {"name each file, or pack them into one"}});
      continue;
    }
    known.emplace(path, output.node);
  }
  for (const auto& [path, node] : known) {
    for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
      const auto folder = known.find(path.substr(0, slash));
      if (folder == known.end()) continue;
      Diagnostic& diagnostic = complaints_.add(
          "RP1210", *node,
          fmt::format("'{}' cannot be below '{}', which is a file", path, folder->first));
      diagnostic.related.push_back(
          {complaints_.document().span(*folder->second), "an output of the same task"});
    }
  }
}

void Checker::input_file(const TaskDraft& task, const Text& file) {
  if (file.text.find("${{") != std::string::npos) return;
  if (file.text.find('\0') != std::string::npos) {
    complaints_.add("RP1212", *file.node,
                    fmt::format("the input of task '{}' contains a NUL", task.name));
    return;
  }
  if (options_.folder.empty() || !options_.check_files) return;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::path(options_.folder) / file.text;
  const auto status = std::filesystem::status(path, error);
  // A folder is put in place under its name, so it needs one.
  const std::filesystem::path normal = std::filesystem::path(file.text + "/").lexically_normal();
  const std::string name = normal.parent_path().filename().string();
  const bool is_named = !name.empty() && name != "." && name != "..";
  if (std::filesystem::is_regular_file(status)) return;
  if (std::filesystem::is_directory(status) && is_named) return;
  const bool exists = std::filesystem::exists(status);
  complaints_.add("RP1212", *file.node,
                  exists
                      ? fmt::format("input '{}' of task '{}' is not a file", file.text, task.name)
                      : fmt::format("input '{}' of task '{}' does not exist", file.text, task.name),
                  {.suggestion = {},
                   .label = {},
                   .help = {"input files are looked for in the flow file's folder"}});
}

void Checker::ignored_inputs(std::uint32_t at) {
  const TaskDraft& task = flow_.tasks[at];
  const TaskFacts& facts = facts_.tasks[at];
  if (task.broken || task.is_nested() || (task.call && facts.signature == nullptr) ||
      (task.policy.cache_ignored.empty() && task.policy.cache_hashes.empty() &&
       task.policy.cache_compared.empty()))
    return;
  std::vector<std::string> names;
  if (facts.signature != nullptr) {
    for (const auto& input : facts.signature->inputs) names.push_back(input.first);
  } else {
    if (task.map) names.push_back(task.map->as.text);
    for (const auto& list : {facts.needs, facts.reads, facts.own}) {
      for (const std::uint32_t index : list) names.push_back(flow_.tasks[index].name);
    }
    if (facts.reduced) names.push_back(flow_.tasks[*facts.reduced].name);
  }
  for (const Text& ignored : task.policy.cache_ignored) {
    if (std::ranges::find(names, ignored.text) != names.end()) continue;
    complaints_.add(
        "RP1213", *ignored.node,
        fmt::format("task '{}' has no input '{}' to ignore", task.name, ignored.text),
        {.suggestion = complaints_.near(ignored.text, names),
         .label = {},
         .help = {names.empty() ? "it has no inputs" : "its inputs: " + listed(names)}});
  }
  hashed_inputs(task, std::move(names));
}

void Checker::hashed_inputs(const TaskDraft& task, std::vector<std::string> names) {
  for (const Text& file : task.inputs) {
    // Which file that will be is not known yet.
    if (file.text.find("${{") != std::string::npos) return;
    names.push_back(file.text);
  }
  for (const HashDraft& given : task.policy.cache_hashes) {
    if (std::ranges::find(names, given.input.text) != names.end()) continue;
    complaints_.add(
        "RP1213", *given.input.node,
        fmt::format("task '{}' has no input '{}' to give a hash for", task.name, given.input.text),
        {.suggestion = complaints_.near(given.input.text, names),
         .label = {},
         .help = {names.empty() ? "it has no inputs" : "its inputs: " + listed(names)}});
  }
  compared_inputs(task, std::move(names));
}

// Of the partial validators: a name that nothing has would leave nothing to compare.
void Checker::compared_inputs(const TaskDraft& task, std::vector<std::string> names) {
  const bool is_of_flow =
      task.policy.cache && task.policy.cache->validator == Validator::partial_parameters;
  if (is_of_flow) {
    names.clear();
    for (const auto& parameter : flow_.parameters) names.push_back(parameter.name);
  } else if (task.is_command()) {
    names.insert(names.end(), {"command", "cwd"});
  }
  for (const Text& compared : task.policy.cache_compared) {
    if (std::ranges::find(names, compared.text) != names.end()) continue;
    complaints_.add(
        "RP1213", *compared.node,
        is_of_flow
            ? fmt::format("the flow has no parameter '{}' to compare", compared.text)
            : fmt::format("task '{}' has no input '{}' to compare", task.name, compared.text),
        {.suggestion = complaints_.near(compared.text, names),
         .label = {},
         .help = {names.empty() ? "there are none" : "there are: " + listed(names)}});
  }
}

void Checker::flow_outputs() {
  for (const OutputDraft& output : flow_.outputs) {
    std::optional<std::uint32_t> whole;
    (void)text(output.value, std::nullopt, Use::value);
    if (const auto parsed = TemplateText::parse(output.value.text)) {
      if (const Tree* single = parsed->single()) {
        const expression::Term& root = single->terms()[single->root()];
        if (root.kind == expression::Term::Kind::name) {
          if (const auto found = task_index_.find(root.text); found != task_index_.end())
            whole = found->second;
        }
      } else if (!parsed->has_expressions() && task_index_.contains(output.value.text)) {
        complaints_.add("RP1307", *output.value.node,
                        fmt::format("output '{}' is the text '{}', not the task's result",
                                    output.name, output.value.text),
                        {.suggestion = fmt::format("${{{{ {} }}}}",
                                                   expression::reference_to(output.value.text)),
                         .label = {},
                         .help = {}});
      }
    }
    facts_.output_tasks.push_back(whole);
  }
}

}  // namespace reprise::flow_file
