// The tables of keys of tasks, parameters and the flow itself. The decoder reads files with the
// tables, print_schema() prints them.
#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_file_shared_keys.hpp"

namespace reprise::flow_file {

using yaml::Node;

constexpr std::size_t max_name_bytes = 256;

namespace {

/// A policy's key as a key of a task.
template <std::size_t index>
void read_policy(Decoder& decoder, const Node& value, TaskDraft& task) {
  policy_keys()[index].decode(decoder, value, task.policy);
}

/// A fraction and a number can be compared only once it is known how many upstreams there are.
void contradictory_bounds(Decoder& decoder, const Node& value, const Trigger& trigger) {
  const double least = trigger.at_least;
  const double most = trigger.at_most;
  const bool comparable = (least < 1) == (most < 1) || most == 0;
  if (least < 0 || most < 0 || least <= most || !comparable) return;
  Diagnostic& diagnostic = decoder.complaints().add(
      "RP1114", *value.find("at_most"),
      fmt::format("{} can never hold: at_least {} is more than at_most {}",
                  decoder.complaints().name_of(value), value.find("at_least")->text,
                  value.find("at_most")->text));
  diagnostic.related.push_back(
      {decoder.complaints().document().span(*value.find("at_least")), "more than this"});
}

void read_trigger(Decoder& decoder, const Node& value, TaskDraft& task) {
  Trigger trigger;
  if (value.is_scalar()) {
    trigger_keys()[0].decode(decoder, value, trigger);
  } else if (decoder.map(value, trigger_keys(), trigger)) {
    const bool counts = trigger.kind == Trigger::Kind::some_failed ||
                        trigger.kind == Trigger::Kind::some_successful;
    contradictory_bounds(decoder, value, trigger);
    for (const char* bound : {"at_least", "at_most"}) {
      const Node* given = value.find(bound);
      if (given == nullptr || counts || value.find("name") == nullptr) continue;
      decoder.complaints().add(
          "RP1114", *given->key,
          fmt::format("'{}' goes with some_failed and some_successful only", bound));
    }
  }
  task.trigger = std::move(trigger);
}

}  // namespace

std::span<const KeyRule<TaskDraft>> task_keys() {
  using Rule = KeyRule<TaskDraft>;
  static const std::array rules{
      Rule{"run", argv_schema,
           "A program and its arguments, never a shell string; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.run_node = &v;
             if (v.is_scalar() && !v.text.empty()) {
               d.wrong_type(v, "a list: the program and its arguments",
                            {.suggestion = {},
                             .label = {},
                             .help = {"for a command line write 'shell: …', for one program "
                                      "[program, argument, …]"}});
               task.broken = true;
               return;
             }
             if (!d.is_list(v, "a list: the program and its arguments")) {
               task.broken = true;
               return;
             }
             for (const Node* item : v.items) {
               if (item->broken) continue;
               if (auto text = d.written(*item))
                 task.run.push_back({.text = *std::move(text), .node = item});
             }
             if (v.items.empty())
               d.complaints().add(
                   "RP1108", v,
                   fmt::format("{} is empty; the program is missing", d.complaints().name_of(v)));
             else if (!task.run.empty() && task.run[0].text.empty())
               d.complaints().add("RP1108", *task.run[0].node, "the program's name is empty");
           }},
      Rule{"shell", filled_schema, "A script for /bin/sh -eu; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.shell.node = &v;
             if (v.is_sequence()) {
               d.wrong_type(v, "a script",
                            {.suggestion = {},
                             .label = {},
                             .help = {"a list of arguments belongs into 'run'"}});
               return;
             }
             auto text = d.text(v, "a script");
             if (!text) return;
             if (text->find_first_not_of(" \t\n") == std::string::npos)
               d.complaints().add("RP1108", v,
                                  fmt::format("{} is empty", d.complaints().name_of(v)));
             task.shell.text = *std::move(text);
           }},
      Rule{"call", call_schema, "A registered function: name@version.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.call.node = &v;
             if (auto text = d.text(v, "name@version")) task.call.text = *std::move(text);
           }},
      Rule{"args", R"({"type": ["array", "object"]})",
           "Arguments of call, by position or by name; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             if (v.is_scalar()) d.is_list(v, "a list or map of arguments");
             task.args = &v;
           }},
      Rule{"flow", filled_schema,
           "A flow that is run as a run of its own: a flow file beside this one, or ${{ }} that "
           "gives the file or text of one.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.flow.node = &v;
             auto text = d.text(v, "a flow file, or ${{ }} that gives one");
             if (!text) return;
             if (text->empty())
               d.complaints().add("RP1108", v,
                                  fmt::format("{} is empty", d.complaints().name_of(v)));
             task.flow.text = *std::move(text);
           }},
      Rule{"params", R"({"type": "object"})",
           "The parameters of the flow that the task runs, by name; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             (void)d.is_map(v, "a map of parameters");
             task.params = &v;
           }},
      Rule{"needs", texts_schema, "Tasks that must be over before this one runs.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.needs = d.texts(v, "a list of tasks", true);
           }},
      Rule{"map", R"({"$ref": "#/definitions/map"})", "Runs the task once per element of a list.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             MapDraft map;
             if (v.is_mapping())
               d.map(v, map_keys(), map);
             else
               d.wrong_type(v, "a map with at least 'over'",
                            {.suggestion = {},
                             .label = {},
                             .help = {"as in map: {over: [1, 2, 3], as: number}"}});
             task.map = std::move(map);
           }},
      Rule{"reduce", R"({"$ref": "#/definitions/reduce"})",
           "Combines the results of a mapped task, some at a time.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             ReduceDraft reduce;
             if (v.is_mapping())
               d.map(v, reduce_keys(), reduce);
             else
               d.wrong_type(v, "a map with at least 'over'",
                            {.suggestion = {},
                             .label = {},
                             .help = {"as in reduce: {over: align, fanin: 16}"}});
             task.reduce = std::move(reduce);
           }},
      Rule{"when", R"({"type": ["string", "boolean"], "minLength": 1})",
           "A condition; when it is false the task is skipped.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             const Value value = v.is_scalar() ? yaml::scalar_value(v) : Value();
             if (const bool* constant = value.get_if<bool>())
               task.when = {.text = *constant ? "true" : "false", .node = &v};
             else if (auto text = d.text(v, "a condition"))
               task.when = {.text = *std::move(text), .node = &v};
           }},
      Rule{"inputs", texts_schema,
           "Files that the command reads, relative to the flow file's folder; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.inputs = d.texts(v, "a list of files", true);
           }},
      Rule{"outputs", texts_schema,
           "Files that the command writes, relative to its working directory.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.outputs = d.texts(v, "a list of files", true);
           }},
      Rule{"env", policy_keys()[4].schema, policy_keys()[4].description, read_policy<4>},
      Rule{"cache", policy_keys()[2].schema, policy_keys()[2].description, read_policy<2>},
      Rule{"retry", policy_keys()[1].schema, policy_keys()[1].description, read_policy<1>},
      Rule{"timeout", policy_keys()[0].schema, policy_keys()[0].description, read_policy<0>},
      Rule{"resources", policy_keys()[3].schema, policy_keys()[3].description, read_policy<3>},
      Rule{"preset", policy_keys()[5].schema, policy_keys()[5].description, read_policy<5>},
      Rule{"require", policy_keys()[6].schema, policy_keys()[6].description, read_policy<6>},
      Rule{"limit", policy_keys()[7].schema, policy_keys()[7].description, read_policy<7>},
      Rule{"priority", policy_keys()[8].schema, policy_keys()[8].description, read_policy<8>},
      Rule{"trigger", R"({"$ref": "#/definitions/trigger"})",
           "Which outcome of the upstream tasks lets this one run; default all_successful.",
           read_trigger},
      Rule{"skip_on_upstream_skip", bool_schema,
           "false: run although an upstream task was skipped.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.skip_on_upstream_skip = d.boolean(v).value_or(true);
           }},
      Rule{"allow_failure", bool_schema, "true: the run may succeed although this task failed.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.allow_failure = d.boolean(v).value_or(false);
           }},
      Rule{"isolation", R"({"enum": ["thread", "process"]})",
           "process: a called function runs in a process of its own.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.isolated = d.word(v, {"thread", "process"}) == 1;
           }},
      Rule{"cwd", R"({"enum": ["fresh", "flow"]})",
           "flow: run in the flow file's folder instead of a fresh directory.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.in_flow_folder = d.word(v, {"fresh", "flow"}) == 1;
           }},
      Rule{"version", written_schema,
           "Part of the cache key: change it when the command's meaning changes.",
           [](Decoder& d, const Node& v, TaskDraft& task) { read_version(d, v, task.version); }},
      Rule{"description", text_schema, "For people.",
           [](Decoder& d, const Node& v, TaskDraft&) { (void)d.text(v); }},
      Rule{"target", filled_schema,
           "File that keeps the result, relative to the flow file's folder; when it is there the "
           "task does not run. May contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             auto text = d.text(v, "a path");
             if (!text) return;
             if (text->empty() || text->ends_with('/'))
               d.complaints().add("RP1108", v,
                                  fmt::format("{} names no file", d.complaints().name_of(v)));
             else
               task.target = {.text = *std::move(text), .node = &v};
           }},
      Rule{"on", R"({"$ref": "#/definitions/task_hooks"})",
           "What is told of the task's states: a command that takes note, or a function that may "
           "replace the state.",
           [](Decoder& d, const Node& v, TaskDraft& task) { read_task_hooks(d, v, task.hooks); }},
      Rule{"exit", R"({"$ref": "#/definitions/exits"})",
           "Exit codes of the command that mean something else than a failure.",
           [](Decoder& d, const Node& v, TaskDraft& task) { read_exits(d, v, task.exits); }},
  };
  return rules;
}

std::span<const KeyRule<ParameterDraft>> parameter_keys() {
  using Rule = KeyRule<ParameterDraft>;
  static const std::array rules{
      Rule{"type", R"({"enum": ["string", "int", "float", "bool", "file", "list"]})",
           "string, int, float, bool, file or list.",
           [](Decoder& d, const Node& v, ParameterDraft& parameter) {
             if (d.word(v, {"string", "int", "float", "bool", "file", "list"}))
               parameter.type = {.text = v.text, .node = &v};
             else
               parameter.broken = true;
           },
           true},
      Rule{
          "default", "{}", "Value when none is given; without it the parameter must be given.",
          [](Decoder&, const Node& v, ParameterDraft& parameter) { parameter.default_value = &v; }},
      Rule{"description", text_schema, "For people.",
           [](Decoder& d, const Node& v, ParameterDraft& parameter) {
             if (auto text = d.text(v)) parameter.description = *std::move(text);
           }},
      Rule{"choices", R"({"type": "array", "minItems": 1})", "The values allowed.",
           [](Decoder& d, const Node& v, ParameterDraft& parameter) {
             if (!d.is_list(v, "a list of values")) return;
             if (v.items.empty())
               d.complaints().add("RP1108", v,
                                  fmt::format("{} is empty; no value would be allowed",
                                              d.complaints().name_of(v)));
             else
               parameter.choices = &v;
           }},
  };
  return rules;
}

namespace {

void read_parameters(Decoder& decoder, const Node& value, FlowDraft& flow) {
  if (!decoder.is_map(value, "a map of parameters")) return;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    ParameterDraft parameter;
    parameter.name = entry.key->text;
    parameter.key = entry.key;
    if (!entry.value->is_mapping()) {
      Advice advice{
          .suggestion = {}, .label = {}, .help = {"as in: quality: {type: int, default: 30}"}};
      if (entry.value->is_scalar()) {
        for (const std::string_view type : {"string", "int", "float", "bool", "file", "list"}) {
          if (entry.value->text == type) advice.suggestion = fmt::format("{{type: {}}}", type);
        }
      }
      decoder.wrong_type(*entry.value, "a map with at least 'type'", std::move(advice));
      parameter.broken = true;
    } else {
      decoder.map(*entry.value, parameter_keys(), parameter);
      if (!parameter.type) parameter.broken = true;
    }
    flow.parameters.push_back(std::move(parameter));
  }
}

void read_defaults(Decoder& decoder, const Node& value, FlowDraft& flow) {
  decoder.map(value, policy_keys(), flow.defaults);
}

void one_body(Decoder& decoder, TaskDraft& task) {
  const Node* bodies[] = {task.run_node, task.shell.node, task.call.node, task.flow.node};
  const Node* first = nullptr;
  for (const Node* body : bodies) {
    if (body == nullptr) continue;
    if (first == nullptr) {
      first = body;
      continue;
    }
    const Node& earlier = first->begin < body->begin ? *first : *body;
    const Node& later = first->begin < body->begin ? *body : *first;
    Diagnostic& diagnostic = decoder.complaints().add(
        "RP1109", *later.key,
        fmt::format("task '{}' has both '{}' and '{}'", task.name, earlier.key->text,
                    later.key->text),
        {.suggestion = {},
         .label = {},
         .help = {"a task has exactly one of run, shell, call and flow; make two tasks of it"}});
    diagnostic.related.push_back(
        {decoder.complaints().document().span(*earlier.key), "first here"});
    task.broken = true;
  }
  if (first == nullptr) {
    // A misspelt 'run' was complained about already.
    for (const yaml::Entry& entry : task.node->entries) {
      static const std::vector<std::string> names{"run", "shell", "call", "flow"};
      if (suggest(entry.key->text, names)) task.broken = true;
    }
    if (task.node->incomplete) task.broken = true;
    if (!task.broken) {
      decoder.complaints().add(
          "RP1109", *task.key, fmt::format("task '{}' does nothing", task.name),
          {.suggestion = {},
           .label = "one of run, shell, call and flow is missing",
           .help = {"run: [program, argument, …] · shell: a script · call: name@version · flow: a "
                    "flow file"}});
      task.broken = true;
    }
  }
}

void read_tasks(Decoder& decoder, const Node& value, FlowDraft& flow) {
  if (!value.is_mapping()) {
    decoder.wrong_type(
        value, "a map of tasks by name",
        {.suggestion = {},
         .label = {},
         .help = {"write 'tasks:' and below it 'name:' with the task's keys, without '-'"}});
    return;
  }
  if (value.entries.empty() && !value.incomplete) {
    decoder.complaints().add(
        "RP1108", value, "'tasks' is empty",
        {.suggestion = {}, .label = {}, .help = {"a flow has at least one task"}});
  }
  for (const yaml::Entry& entry : value.entries) {
    TaskDraft task;
    task.name = entry.key->text;
    task.key = entry.key;
    task.node = entry.value;
    if (task.name.size() > max_name_bytes) {
      decoder.complaints().add("RP1111", *entry.key,
                               fmt::format("the name of a task is {} bytes long, {} are allowed",
                                           task.name.size(), max_name_bytes));
    }
    if (!entry.value->is_mapping()) {
      if (!entry.value->broken) {
        decoder.wrong_type(*entry.value, "a map of keys and values",
                           {.suggestion = {},
                            .label = {},
                            .help = {"a task is, for example, {run: [program, argument]}"}});
      }
      task.broken = true;
    } else {
      decoder.map(*entry.value, task_keys(), task);
      one_body(decoder, task);
    }
    flow.tasks.push_back(std::move(task));
  }
}

void read_outputs(Decoder& decoder, const Node& value, FlowDraft& flow) {
  if (!decoder.is_map(value, "a map of outputs")) return;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    if (auto text = decoder.written(*entry.value)) {
      flow.outputs.push_back(
          {.name = entry.key->text, .value = {.text = *std::move(text), .node = entry.value}});
    }
  }
}

}  // namespace

std::span<const KeyRule<FlowDraft>> flow_keys() {
  using Rule = KeyRule<FlowDraft>;
  static const std::array rules{
      Rule{"version", R"({"const": 1})", "Version of the format, which is 1.",
           [](Decoder& d, const Node& v, FlowDraft&) {
             const auto version =
                 d.integer(v, std::numeric_limits<std::int64_t>::min(), most_int64);
             if (version && *version != 1) {
               d.complaints().add(
                   "RP1110", v, fmt::format("version {} of the flow format is unknown", *version),
                   {.suggestion = "1", .label = {}, .help = {"this program reads version 1"}});
             }
           },
           true},
      Rule{"name", R"({"type": "string", "minLength": 1, "maxLength": 256})",
           "Name of the flow; default: the file's name.",
           [](Decoder& d, const Node& v, FlowDraft& flow) {
             auto name = d.text(v);
             if (!name) return;
             if (name->empty())
               d.complaints().add("RP1108", v, "'name' is empty");
             else if (name->size() > max_name_bytes)
               d.complaints().add("RP1111", v,
                                  fmt::format("'name' is {} bytes long, {} are allowed",
                                              name->size(), max_name_bytes));
             flow.name = {.text = *std::move(name), .node = &v};
           }},
      Rule{"description", text_schema, "For people.",
           [](Decoder& d, const Node& v, FlowDraft&) { (void)d.text(v); }},
      Rule{
          "params",
          R"({"type": "object", "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, "additionalProperties": {"$ref": "#/definitions/param"}})",
          "What a run can be given with -p.", read_parameters},
      Rule{"defaults", R"({"$ref": "#/definitions/policy"})",
           "Policies of all tasks that do not have their own.", read_defaults},
      Rule{
          "tasks",
          R"({"type": "object", "minProperties": 1, "propertyNames": {"minLength": 1, "maxLength": 256}, "additionalProperties": {"$ref": "#/definitions/task"}})",
          "The tasks by name.", read_tasks, true},
      Rule{"outputs", written_map_schema, "What the run gives back, by name; contains ${{ }}.",
           read_outputs},
      Rule{
          "reference",
          R"({"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}, "uniqueItems": true})",
          "The tasks that decide whether the run succeeds; default: those that no other needs.",
          [](Decoder& d, const Node& v, FlowDraft& flow) {
            flow.reference = d.texts(v, "a list of tasks", true);
            if (v.is_sequence() && v.items.empty())
              d.complaints().add("RP1108", v, "'reference' is empty",
                                 {.suggestion = {},
                                  .label = {},
                                  .help = {"leave it out for the tasks that no other needs"}});
          }},
      Rule{"on", R"({"$ref": "#/definitions/run_hooks"})",
           "What is told of the run's states: a command that takes note, or a function that may "
           "replace the state.",
           [](Decoder& d, const Node& v, FlowDraft& flow) { read_run_hooks(d, v, flow.hooks); }},
      Rule{"$schema", text_schema, "For editors.",
           [](Decoder& d, const Node& v, FlowDraft&) { (void)d.text(v); }},
  };
  return rules;
}

void Decoder::flow(const yaml::Node& root, FlowDraft& flow) {
  if (!root.is_mapping()) {
    if (!root.broken) {
      complaints_.add(
          "RP1103", root, fmt::format("a flow file must be a map, not {}", describe(root)),
          {.suggestion = {}, .label = {}, .help = {"it begins with 'version: 1' and 'tasks:'"}});
    }
    return;
  }
  map(root, flow_keys(), flow);
}

}  // namespace reprise::flow_file
