// The tables of keys of what is told of states (`on`), and of exit codes that stand for signals
// (`exit`).
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_file_shared_keys.hpp"
#include "flow/signal.hpp"

namespace reprise::flow_file {

using yaml::Node;

namespace {

// Those that somebody can be told of, the common ones first: a task that waits for its upstreams or
// for a slot enters no state by that.
const std::vector<std::string> task_states{
    "failed",    "success",           "retrying", "finished",
    "running",   "skipped",           "cached",   "paused",
    "looped",    "timed_out",         "pending",  "trigger_failed",
    "scheduled", "validation_failed",
};
const std::vector<std::string> run_states{"failed", "success", "finished", "running"};

void one_body(Decoder& decoder, const Node& node, HookDraft& hook) {
  const Node* first = nullptr;
  for (const Node* body : {hook.run_node, hook.shell.node, hook.call.node}) {
    if (body == nullptr) continue;
    if (first == nullptr) {
      first = body;
      continue;
    }
    hook.broken = true;
    const Node& later = first->begin < body->begin ? *body : *first;
    decoder.complaints().add(
        "RP1109", *later.key,
        fmt::format("{} does more than one thing", decoder.complaints().name_of(node)),
        {.suggestion = {},
         .label = {},
         .help = {"exactly one of run, shell and call; write a list for several"}});
  }
  if (first != nullptr || hook.broken) return;
  hook.broken = true;
  // A misspelt 'run' was complained about already.
  static const std::vector<std::string> names{"run", "shell", "call"};
  for (const yaml::Entry& entry : node.entries)
    if (entry.value->broken || suggest(entry.key->text, names)) return;
  if (node.incomplete) return;
  decoder.complaints().add(
      "RP1109", node, fmt::format("{} does nothing", decoder.complaints().name_of(node)),
      {.suggestion = {},
       .label = "one of run, shell and call is missing",
       .help = {"run: [program, argument, …] · shell: a script · call: name@version"}});
}

void read_hook(Decoder& decoder, const Node& value, const std::string& state,
               std::vector<HookDraft>& hooks) {
  if (value.broken) return;
  if (!value.is_mapping()) {
    decoder.wrong_type(
        value, "a map with one of run, shell and call",
        {.suggestion = {}, .label = {}, .help = {"as in failed: {run: [notify, \"it failed\"]}"}});
    return;
  }
  HookDraft hook;
  hook.state = state;
  decoder.map(value, hook_keys(), hook);
  one_body(decoder, value, hook);
  hooks.push_back(std::move(hook));
}

void read_hooks(Decoder& decoder, const Node& value, const std::vector<std::string>& states,
                std::vector<HookDraft>& hooks) {
  if (!value.is_mapping()) {
    decoder.wrong_type(value, "a map from states to what is to be done",
                       {.suggestion = {},
                        .label = {},
                        .help = {"as in on: {failed: {run: [notify, \"it failed\"]}}"}});
    return;
  }
  for (const yaml::Entry& entry : value.entries) {
    const std::string& state = entry.key->text;
    if (std::ranges::find(states, state) == states.end()) {
      std::string list;
      for (const std::string& known : states) list += (list.empty() ? "" : ", ") + known;
      decoder.complaints().add(
          "RP1104", *entry.key,
          fmt::format("{} cannot be told of '{}'", decoder.complaints().name_of(value), state),
          {.suggestion = decoder.complaints().near(state, states),
           .label = {},
           .help = {"one of: " + list}});
      continue;
    }
    if (!entry.value->is_sequence()) {
      read_hook(decoder, *entry.value, state, hooks);
      continue;
    }
    if (entry.value->items.empty())
      decoder.complaints().add(
          "RP1108", *entry.value,
          fmt::format("{} is empty", decoder.complaints().name_of(*entry.value)));
    for (const Node* item : entry.value->items) read_hook(decoder, *item, state, hooks);
  }
}

}  // namespace

void read_task_hooks(Decoder& decoder, const Node& value, std::vector<HookDraft>& hooks) {
  read_hooks(decoder, value, task_states, hooks);
}

void read_run_hooks(Decoder& decoder, const Node& value, std::vector<HookDraft>& hooks) {
  read_hooks(decoder, value, run_states, hooks);
}

std::string hooks_schema(bool of_run) {
  std::string names;
  for (const std::string& state : of_run ? run_states : task_states)
    names += (names.empty() ? "\"" : ", \"") + state + "\"";
  return fmt::format(
      R"({{"type": "object", "propertyNames": {{"enum": [{}]}}, "additionalProperties": {{"oneOf": [{{"$ref": "#/definitions/hook"}}, {{"type": "array", "minItems": 1, "items": {{"$ref": "#/definitions/hook"}}}}]}}}})",
      names);
}

std::span<const KeyRule<HookDraft>> hook_keys() {
  using Rule = KeyRule<HookDraft>;
  static const std::array rules{
      Rule{"run", argv_schema, "A program and its arguments; may contain ${{ params.name }}.",
           [](Decoder& d, const Node& v, HookDraft& hook) {
             hook.run_node = &v;
             if (!d.is_list(v, "a list: the program and its arguments")) {
               hook.broken = true;
               return;
             }
             for (const Node* item : v.items) {
               if (item->broken) continue;
               if (auto text = d.written(*item))
                 hook.run.push_back({.text = *std::move(text), .node = item});
             }
             if (v.items.empty() || (!hook.run.empty() && hook.run[0].text.empty()))
               d.complaints().add("RP1108", v,
                                  fmt::format("{} has no program", d.complaints().name_of(v)));
           }},
      Rule{"shell", filled_schema, "A script for /bin/sh -eu; may contain ${{ params.name }}.",
           [](Decoder& d, const Node& v, HookDraft& hook) {
             hook.shell.node = &v;
             auto text = d.text(v, "a script");
             if (!text) {
               hook.broken = true;
               return;
             }
             if (text->find_first_not_of(" \t\n") == std::string::npos)
               d.complaints().add("RP1108", v,
                                  fmt::format("{} is empty", d.complaints().name_of(v)));
             hook.shell.text = *std::move(text);
           }},
      Rule{"call", call_schema,
           "A registered function (before, after) that may give back another state: name@version.",
           [](Decoder& d, const Node& v, HookDraft& hook) {
             hook.call.node = &v;
             if (auto text = d.text(v, "name@version"))
               hook.call.text = *std::move(text);
             else
               hook.broken = true;
           }},
      Rule{"env", environment_schema, "Environment variables of the command.",
           [](Decoder& d, const Node& v, HookDraft& hook) {
             read_environment(d, v, hook.environment);
           }},
      Rule{"cwd", R"({"enum": ["fresh", "flow"]})",
           "flow: run in the flow file's folder instead of a fresh directory.",
           [](Decoder& d, const Node& v, HookDraft& hook) {
             hook.in_flow_folder = d.word(v, {"fresh", "flow"}) == 1;
           }},
  };
  return rules;
}

// ---- exit codes

std::string exits_schema() {
  std::string names;
  for (const std::string& name : signal_names())
    names += (names.empty() ? "\"" : ", \"") + name + "\"";
  return fmt::format(
      R"({{"type": "object", "minProperties": 1, "propertyNames": {{"pattern": "^([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$"}}, "additionalProperties": {{"enum": [{}]}}}})",
      names);
}

void read_exits(Decoder& decoder, const Node& value, std::map<std::uint32_t, TaskState>& exits) {
  if (!value.is_mapping()) {
    decoder.wrong_type(
        value, "a map from exit codes to signals",
        {.suggestion = {}, .label = {}, .help = {"as in exit: {75: retry, 77: skip}"}});
    return;
  }
  if (value.entries.empty() && !value.incomplete)
    decoder.complaints().add("RP1108", value,
                             fmt::format("{} is empty", decoder.complaints().name_of(value)));
  for (const yaml::Entry& entry : value.entries) {
    const std::string& text = entry.key->text;
    std::uint32_t code = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
    const bool is_code = error == std::errc{} && end == text.data() + text.size() && code >= 1 &&
                         code <= 255 && text[0] != '0';
    if (!is_code)
      decoder.complaints().add(
          "RP1105", *entry.key,
          fmt::format("'{}' in {} is no exit code from 1 to 255", text,
                      decoder.complaints().name_of(value)),
          {.suggestion = {},
           .label = {},
           .help = {text == "0" ? "exit code 0 is always a success"
                                : "75 and 77 are customary for 'try again later' and 'skipped'"}});
    if (entry.value->broken) continue;
    const Value given = entry.value->is_scalar() ? yaml::scalar_value(*entry.value) : Value();
    std::string list;
    for (const std::string& name : signal_names()) list += (list.empty() ? "" : ", ") + name;
    if (given.get_if<std::string>() == nullptr) {
      decoder.wrong_type(*entry.value, "one of " + list);
      continue;
    }
    const auto state = signal_from(entry.value->text);
    if (!state)
      decoder.complaints().add(
          "RP1104", *entry.value,
          fmt::format("{} cannot be '{}'", decoder.complaints().name_of(*entry.value),
                      entry.value->text),
          {.suggestion = decoder.complaints().near(
               entry.value->text,
               std::vector<std::string>(signal_names().begin(), signal_names().end())),
           .label = {},
           .help = {"one of: " + list}});
    else if (is_code)
      exits.emplace(code, *state);
  }
}

}  // namespace reprise::flow_file
