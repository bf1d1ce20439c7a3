// The tables of keys: what a flow file may contain. The decoder reads files with them, print_schema() prints them.
#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_file_decoder.hpp"

namespace reprise::flow_file {

namespace {

using yaml::Node;
constexpr std::int64_t most_int64 = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t most_uint32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t max_name_bytes = 256;

// ---- schema fragments ---------------------------------------------------------------------------------------------

constexpr std::string_view text_schema = R"({"type": "string"})";
constexpr std::string_view bool_schema = R"({"type": "boolean"})";
constexpr std::string_view texts_schema = R"({"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": true})";
constexpr std::string_view duration_schema = R"({"$ref": "#/definitions/duration"})";
constexpr std::string_view env_schema = R"({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})";

// ---- values that several tables share -----------------------------------------------------------------------------

void not_supported(Decoder& decoder, const Node& value, std::string_view instead) {
  const Node& key = value.key != nullptr ? *value.key : value;
  decoder.complaints().add("RP1113", key, fmt::format("{} is not supported yet", decoder.complaints().name_of(value)),
                           {.suggestion = {}, .label = {}, .help = {std::string(instead)}});
}

/// Version text: "2", 2, 2.1 as written.
void read_version(Decoder& decoder, const Node& value, Text& out) {
  auto text = decoder.written(value);
  if (!text) return;
  if (text->find_first_not_of(" \t") == std::string::npos) {
    decoder.complaints().add("RP1108", value, fmt::format("{} is empty", decoder.complaints().name_of(value)));
    return;
  }
  out = {.text = *std::move(text), .node = &value};
}

void read_environment(Decoder& decoder, const Node& value, std::vector<std::pair<std::string, Text>>& out) {
  if (!decoder.is_map(value, "a map of variables")) return;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    const std::string& name = entry.key->text;
    if (name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      decoder.complaints().add("RP1111", *entry.key, fmt::format("'{}' cannot be the name of a variable", name),
                               {.suggestion = {}, .label = {}, .help = {"a name has no '=' in it"}});
      continue;
    }
    if (name.starts_with("REPRISE_")) {
      decoder.complaints().add("RP1111", *entry.key, fmt::format("variable '{}' cannot be set", name),
                               {.suggestion = {}, .label = {}, .help = {"names that begin with REPRISE_ are set for every command"}});
      continue;
    }
    if (auto text = decoder.written(*entry.value)) out.emplace_back(name, Text{.text = *std::move(text), .node = entry.value});
  }
}

void read_resources(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  if (!decoder.is_map(value, "a map such as {cpus: 2, memory: 4GiB}")) return;
  Resources resources;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    if (entry.key->text == "cpus") {
      const auto cpus = decoder.number(*entry.value);
      if (!cpus) continue;
      if (*cpus < 0.001 || *cpus > 1'000'000) {
        decoder.complaints().add("RP1105", *entry.value, fmt::format("{} must be between 0.001 and 1000000, not {}",
                                                                     decoder.complaints().name_of(*entry.value), entry.value->text));
        continue;
      }
      resources.cpu_milli = static_cast<std::uint32_t>(*cpus * 1000 + 0.5);
    } else if (entry.key->text == "memory") {
      if (const auto size = decoder.bytes(*entry.value)) resources.memory_bytes = *size;
    } else if (const auto count = decoder.integer(*entry.value, 0, most_int64)) {
      resources.custom[entry.key->text] = static_cast<std::uint64_t>(*count);
    }
  }
  policy.resources = std::move(resources);
}

CachePolicy& cache_of(PolicyDraft& policy) {
  if (!policy.cache) policy.cache = CachePolicy{};
  return *policy.cache;
}

std::vector<std::string> only_text(const std::vector<Text>& texts) {
  std::vector<std::string> list;
  for (const Text& text : texts) list.push_back(text.text);
  return list;
}

void read_cache(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  CachePolicy& cache = cache_of(policy);
  if (value.is_scalar()) {
    if (const auto on = decoder.boolean(value, "true, false or a map of settings")) cache.enabled = *on;
    return;
  }
  if (!decoder.is_map(value, "true, false or a map of cache settings")) return;
  cache.enabled = true;
  decoder.map(value, cache_keys(), policy);
  const Node* ttl = value.find("ttl");
  if (value.find("for") != nullptr && ttl != nullptr) {
    decoder.complaints().add("RP1114", *ttl->key, "'for' and 'ttl' are two names of one setting",
                             {.suggestion = {}, .label = {}, .help = {"keep one of them"}});
  }
  const Node* on = value.find("validate_on");
  const bool partial = cache.validator == Validator::partial_inputs || cache.validator == Validator::partial_parameters;
  if (on != nullptr && !partial) {
    decoder.complaints().add("RP1114", *on->key, "'validate_on' goes with the validators partial_inputs and partial_parameters only",
                             {.suggestion = {}, .label = {}, .help = {"add validator: partial_inputs"}});
  }
}

void read_expiry(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  if (const auto time = decoder.duration(value)) cache_of(policy).expires_after = *time;
}

}  // namespace

// ---- the tables -----------------------------------------------------------------------------------------------------

std::span<const KeyRule<RetryPolicy>> retry_keys() {
  using Rule = KeyRule<RetryPolicy>;
  static const std::array rules{
      Rule{"max", R"({"type": "integer", "minimum": 0, "maximum": 100})", "Further attempts after the first.",
           [](Decoder& d, const Node& v, RetryPolicy& retry) {
             if (const auto n = d.integer(v, 0, 100)) retry.max = static_cast<std::uint32_t>(*n);
           }},
      Rule{"delay", duration_schema, "Time before the first retry.",
           [](Decoder& d, const Node& v, RetryPolicy& retry) { retry.delay = d.duration(v).value_or(retry.delay); }},
      Rule{"backoff", R"({"enum": ["fixed", "exponential"]})", "exponential doubles the delay each time.",
           [](Decoder& d, const Node& v, RetryPolicy& retry) { retry.exponential = d.word(v, {"fixed", "exponential"}) == 1; }},
      Rule{"max_delay", duration_schema, "The delay never grows above this; default 1h.",
           [](Decoder& d, const Node& v, RetryPolicy& retry) { retry.max_delay = d.duration(v).value_or(retry.max_delay); }},
      Rule{"on", R"({"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": ["exit", "signal", "timeout", "worker_lost", "cannot_start", "validation"]}})",
           "Which failures are retried; default: all but worker_lost and cannot_start.",
           [](Decoder& d, const Node& v, RetryPolicy& retry) {
             if (!d.is_list(v, "a list of failures, such as [exit, timeout]")) return;
             static constexpr std::array classes{FailureClass::task, FailureClass::signal, FailureClass::timeout,
                                                 FailureClass::worker_lost, FailureClass::cannot_start, FailureClass::validation};
             retry.on.clear();
             for (const Node* item : v.items) {
               const auto word = d.word(*item, {"exit", "signal", "timeout", "worker_lost", "cannot_start", "validation"});
               if (!word) continue;
               if (std::ranges::find(retry.on, classes[*word]) != retry.on.end()) {
                 d.complaints().add("RP1112", *item, fmt::format("'{}' is in {} twice", item->text, d.complaints().name_of(v)));
               }
               retry.on.push_back(classes[*word]);
             }
             if (v.items.empty()) {
               d.complaints().add("RP1108", v, fmt::format("{} is empty", d.complaints().name_of(v)),
                                  {.suggestion = {}, .label = {}, .help = {"leave it out for the default, or use max: 0 for no retries"}});
             }
           }},
  };
  return rules;
}

std::span<const KeyRule<PolicyDraft>> cache_keys() {
  using Rule = KeyRule<PolicyDraft>;
  static const std::array rules{
      Rule{"for", duration_schema, "How long a result may be reused; default: for ever.", read_expiry},
      Rule{"ttl", duration_schema, "The same as for.", read_expiry},
      Rule{"validator", R"({"enum": ["all_inputs", "duration_only", "never_use", "all_parameters", "partial_inputs", "partial_parameters"]})",
           "What must agree for a result to be reused; default all_inputs.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             static constexpr std::array validators{Validator::all_inputs, Validator::duration_only, Validator::never_use,
                                                    Validator::all_parameters, Validator::partial_inputs, Validator::partial_parameters};
             if (const auto word = d.word(v, {"all_inputs", "duration_only", "never_use", "all_parameters", "partial_inputs", "partial_parameters"})) {
               cache_of(policy).validator = validators[*word];
             }
           }},
      Rule{"validate_on", texts_schema, "Names that the partial validators compare.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) { cache_of(policy).validate_on = only_text(d.texts(v, "a list of names", true)); }},
      Rule{"key", text_schema, "A key shared with other tasks, in place of the task's name.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             auto key = d.text(v);
             if (key && key->empty()) d.complaints().add("RP1108", v, fmt::format("{} is empty", d.complaints().name_of(v)));
             else if (key) cache_of(policy).shared_key = *std::move(key);
           }},
      Rule{"ignore", texts_schema, "Inputs that do not matter for the result.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             policy.cache_ignored = d.texts(v, "a list of input names", true);
             cache_of(policy).ignored = only_text(policy.cache_ignored);
           }},
      Rule{"version", R"({"type": ["string", "number"]})", "Change it to disown all earlier results; default \"1\".",
           [](Decoder& d, const Node& v, PolicyDraft& policy) { read_version(d, v, policy.cache_version); }},
      Rule{"salt", text_schema, "Any text; another salt finds other results.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (auto salt = d.text(v)) cache_of(policy).salt = *std::move(salt);
           }},
      Rule{"env", texts_schema, "Environment variables whose values matter.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) { cache_of(policy).environment = only_text(d.texts(v, "a list of variables", true)); }},
      Rule{"deps", R"({"type": "object", "additionalProperties": {"type": "string", "minLength": 1}})",
           "Versions or digests of tools and data that the result depends on.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (!d.is_map(v, "a map of names and versions or digests")) return;
             for (const yaml::Entry& entry : v.entries) {
               const auto text = entry.value->broken ? std::nullopt : d.text(*entry.value);
               if (!text) continue;
               const auto digest = Digest::parse(*text);  // anything else is a version: its own digest stands for it
               cache_of(policy).dependencies[entry.key->text] = digest ? *digest : sha256(*text);
             }
           }},
      Rule{"sliding", bool_schema, "Not supported yet.",
           [](Decoder& d, const Node& v, PolicyDraft&) { not_supported(d, v, "a hit does not extend a result's life; choose a longer 'for'"); }},
      Rule{"stale", duration_schema, "Not supported yet.",
           [](Decoder& d, const Node& v, PolicyDraft&) { not_supported(d, v, "an expired result is computed anew"); }},
      Rule{"negative", duration_schema, "Not supported yet.",
           [](Decoder& d, const Node& v, PolicyDraft&) { not_supported(d, v, "failures are never cached; 'retry' limits attempts"); }},
  };
  return rules;
}

std::span<const KeyRule<PolicyDraft>> policy_keys() {
  using Rule = KeyRule<PolicyDraft>;
  static const std::array rules{
      Rule{"timeout", duration_schema, "Time an attempt may take.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (const auto time = d.duration(v)) {
               if (*time == Duration{0}) d.complaints().add("RP1105", v, fmt::format("{} must be longer than 0", d.complaints().name_of(v)));
               policy.timeout = *time;
             }
           }},
      Rule{"retry", R"({"$ref": "#/definitions/retry"})", "When and how often a failed task is tried again.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             RetryPolicy retry;
             const Value count = v.is_scalar() ? yaml::scalar_value(v) : Value();
             if (count.get_if<std::int64_t>() != nullptr) {
               d.wrong_type(v, "a map", {.suggestion = fmt::format("{{max: {}}}", v.text), .label = {}, .help = {}});
               return;
             }
             d.map(v, retry_keys(), retry);
             policy.retry = std::move(retry);
           }},
      Rule{"cache", R"({"$ref": "#/definitions/cache"})", "Reuse results: true, false, or settings.", read_cache},
      Rule{"resources", R"({"$ref": "#/definitions/resources"})", "What a task needs while it runs.", read_resources},
      Rule{"env", env_schema, "Environment variables of commands; may contain ${{ }}.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) { read_environment(d, v, policy.environment); }},
  };
  return rules;
}

std::span<const KeyRule<MapDraft>> map_keys() {
  using Rule = KeyRule<MapDraft>;
  static const std::array rules{
      Rule{"over", "{}", "A list, a mapped task, or ${{ }} that gives a list: one run of the task per element.",
           [](Decoder&, const Node& v, MapDraft& map) { map.over = &v; }, true},
      Rule{"as", R"({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})", "Name of the element in expressions; default item.",
           [](Decoder& d, const Node& v, MapDraft& map) {
             if (auto name = d.text(v, "a name")) map.as = {.text = *std::move(name), .node = &v};
           }},
      Rule{"max_parallel", R"({"type": "integer", "minimum": 1})", "How many elements run at once; default: no limit.",
           [](Decoder& d, const Node& v, MapDraft& map) {
             if (const auto n = d.integer(v, 1, most_uint32)) map.max_parallel = static_cast<std::uint32_t>(*n);
           }},
  };
  return rules;
}

std::span<const KeyRule<ReduceDraft>> reduce_keys() {
  using Rule = KeyRule<ReduceDraft>;
  static const std::array rules{
      Rule{"over", text_schema, "The mapped task whose results are combined.",
           [](Decoder& d, const Node& v, ReduceDraft& reduce) {
             if (auto name = d.text(v, "the name of a task")) reduce.over = {.text = *std::move(name), .node = &v};
           }, true},
      Rule{"fanin", R"({"type": "integer", "minimum": 2})", "At most this many values at once; default 16.",
           [](Decoder& d, const Node& v, ReduceDraft& reduce) {
             if (const auto n = d.integer(v, 2, most_uint32)) reduce.fanin = static_cast<std::uint32_t>(*n);
           }},
  };
  return rules;
}

std::span<const KeyRule<Trigger>> trigger_keys() {
  using Rule = KeyRule<Trigger>;
  static const std::array rules{
      Rule{"name", R"({"enum": ["all_successful", "all_failed", "any_successful", "any_failed", "all_finished", "always_run", "some_failed", "some_successful", "not_all_skipped", "manual_only"]})",
           "Which outcome of the upstream tasks lets this one run.",
           [](Decoder& d, const Node& v, Trigger& trigger) {
             using Kind = Trigger::Kind;
             static constexpr std::array kinds{Kind::all_successful, Kind::all_failed, Kind::any_successful, Kind::any_failed,
                                               Kind::all_finished, Kind::all_finished, Kind::some_failed, Kind::some_successful,
                                               Kind::not_all_skipped, Kind::manual_only};
             if (const auto word = d.word(v, {"all_successful", "all_failed", "any_successful", "any_failed", "all_finished", "always_run",
                                              "some_failed", "some_successful", "not_all_skipped", "manual_only"})) {
               trigger.kind = kinds[*word];
             }
           }, true},
      Rule{"at_least", R"({"type": "number", "minimum": 0})", "Below 1: a fraction of the upstream tasks; else a number of them.",
           [](Decoder& d, const Node& v, Trigger& trigger) {
             const auto bound = d.number(v);
             if (bound && *bound < 0) d.complaints().add("RP1105", v, fmt::format("{} must be at least 0, not {}", d.complaints().name_of(v), v.text));
             else trigger.at_least = bound.value_or(-1);
           }},
      Rule{"at_most", R"({"type": "number", "minimum": 0})", "As at_least, from above.",
           [](Decoder& d, const Node& v, Trigger& trigger) {
             const auto bound = d.number(v);
             if (bound && *bound < 0) d.complaints().add("RP1105", v, fmt::format("{} must be at least 0, not {}", d.complaints().name_of(v), v.text));
             else trigger.at_most = bound.value_or(-1);
           }},
  };
  return rules;
}

namespace {

/// A policy's key as a key of a task.
template <std::size_t index>
void read_policy(Decoder& decoder, const Node& value, TaskDraft& task) {
  policy_keys()[index].decode(decoder, value, task.policy);
}

void read_trigger(Decoder& decoder, const Node& value, TaskDraft& task) {
  Trigger trigger;
  if (value.is_scalar()) {
    trigger_keys()[0].decode(decoder, value, trigger);
  } else if (decoder.map(value, trigger_keys(), trigger)) {
    const bool counts = trigger.kind == Trigger::Kind::some_failed || trigger.kind == Trigger::Kind::some_successful;
    for (const char* bound : {"at_least", "at_most"}) {
      const Node* given = value.find(bound);
      if (given == nullptr || counts || value.find("name") == nullptr) continue;
      decoder.complaints().add("RP1114", *given->key, fmt::format("'{}' goes with some_failed and some_successful only", bound));
    }
  }
  task.trigger = std::move(trigger);
}

}  // namespace

std::span<const KeyRule<TaskDraft>> task_keys() {
  using Rule = KeyRule<TaskDraft>;
  static const std::array rules{
      Rule{"run", R"({"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}})",
           "A program and its arguments, never a shell string; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.run_node = &v;
             if (v.is_scalar() && !v.text.empty()) {
               d.wrong_type(v, "a list: the program and its arguments",
                            {.suggestion = {}, .label = {}, .help = {"for a command line write 'shell: …', for one program [program, argument, …]"}});
               task.broken = true;
               return;
             }
             if (!d.is_list(v, "a list: the program and its arguments")) {
               task.broken = true;
               return;
             }
             for (const Node* item : v.items) {
               if (item->broken) continue;
               if (auto text = d.written(*item)) task.run.push_back({.text = *std::move(text), .node = item});
             }
             if (v.items.empty()) d.complaints().add("RP1108", v, fmt::format("{} is empty; the program is missing", d.complaints().name_of(v)));
             else if (!task.run.empty() && task.run[0].text.empty()) d.complaints().add("RP1108", *task.run[0].node, "the program's name is empty");
           }},
      Rule{"shell", text_schema, "A script for /bin/sh -eu; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.shell.node = &v;
             if (v.is_sequence()) {
               d.wrong_type(v, "a script", {.suggestion = {}, .label = {}, .help = {"a list of arguments belongs into 'run'"}});
               return;
             }
             auto text = d.text(v, "a script");
             if (!text) return;
             if (text->find_first_not_of(" \t\n") == std::string::npos) d.complaints().add("RP1108", v, fmt::format("{} is empty", d.complaints().name_of(v)));
             task.shell.text = *std::move(text);
           }},
      Rule{"call", R"({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9._-]*@[A-Za-z0-9._-]+$"})", "A registered function: name@version.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             task.call.node = &v;
             if (auto text = d.text(v, "name@version")) task.call.text = *std::move(text);
           }},
      Rule{"args", R"({"type": ["array", "object"]})", "Arguments of call, by position or by name; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             if (v.is_scalar()) d.is_list(v, "a list or map of arguments");
             task.args = &v;
           }},
      Rule{"needs", texts_schema, "Tasks that must be over before this one runs.",
           [](Decoder& d, const Node& v, TaskDraft& task) { task.needs = d.texts(v, "a list of tasks", true); }},
      Rule{"map", R"({"$ref": "#/definitions/map"})", "Runs the task once per element of a list.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             MapDraft map;
             if (v.is_mapping()) d.map(v, map_keys(), map);
             else d.wrong_type(v, "a map with at least 'over'", {.suggestion = {}, .label = {}, .help = {"as in map: {over: [1, 2, 3], as: number}"}});
             task.map = std::move(map);
           }},
      Rule{"reduce", R"({"$ref": "#/definitions/reduce"})", "Combines the results of a mapped task, some at a time.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             ReduceDraft reduce;
             if (v.is_mapping()) d.map(v, reduce_keys(), reduce);
             else d.wrong_type(v, "a map with at least 'over'", {.suggestion = {}, .label = {}, .help = {"as in reduce: {over: align, fanin: 16}"}});
             task.reduce = std::move(reduce);
           }},
      Rule{"when", R"({"type": ["string", "boolean"]})", "A condition; when it is false the task is skipped.",
           [](Decoder& d, const Node& v, TaskDraft& task) {
             const Value value = v.is_scalar() ? yaml::scalar_value(v) : Value();
             if (const bool* constant = value.get_if<bool>()) task.when = {.text = *constant ? "true" : "false", .node = &v};
             else if (auto text = d.text(v, "a condition")) task.when = {.text = *std::move(text), .node = &v};
           }},
      Rule{"inputs", texts_schema, "Files that the command reads, relative to the flow file's folder; may contain ${{ }}.",
           [](Decoder& d, const Node& v, TaskDraft& task) { task.inputs = d.texts(v, "a list of files", true); }},
      Rule{"outputs", texts_schema, "Files that the command writes, relative to its working directory.",
           [](Decoder& d, const Node& v, TaskDraft& task) { task.outputs = d.texts(v, "a list of files", true); }},
      Rule{"env", policy_keys()[4].schema, policy_keys()[4].description, read_policy<4>},
      Rule{"cache", policy_keys()[2].schema, policy_keys()[2].description, read_policy<2>},
      Rule{"retry", policy_keys()[1].schema, policy_keys()[1].description, read_policy<1>},
      Rule{"timeout", policy_keys()[0].schema, policy_keys()[0].description, read_policy<0>},
      Rule{"resources", policy_keys()[3].schema, policy_keys()[3].description, read_policy<3>},
      Rule{"trigger", R"({"$ref": "#/definitions/trigger"})", "Which outcome of the upstream tasks lets this one run; default all_successful.", read_trigger},
      Rule{"skip_on_upstream_skip", bool_schema, "false: run although an upstream task was skipped.",
           [](Decoder& d, const Node& v, TaskDraft& task) { task.skip_on_upstream_skip = d.boolean(v).value_or(true); }},
      Rule{"allow_failure", bool_schema, "true: the run may succeed although this task failed.",
           [](Decoder& d, const Node& v, TaskDraft& task) { task.allow_failure = d.boolean(v).value_or(false); }},
      Rule{"isolation", R"({"enum": ["thread", "process"]})", "process: a called function runs in a process of its own.",
           [](Decoder& d, const Node& v, TaskDraft& task) { task.isolated = d.word(v, {"thread", "process"}) == 1; }},
      Rule{"cwd", R"({"enum": ["fresh", "flow"]})", "flow: run in the flow file's folder instead of a fresh directory.",
           [](Decoder& d, const Node& v, TaskDraft& task) { task.in_flow_folder = d.word(v, {"fresh", "flow"}) == 1; }},
      Rule{"version", R"({"type": ["string", "number"]})", "Part of the cache key: change it when the command's meaning changes.",
           [](Decoder& d, const Node& v, TaskDraft& task) { read_version(d, v, task.version); }},
      Rule{"description", text_schema, "For people.", [](Decoder& d, const Node& v, TaskDraft&) { (void)d.text(v); }},
      Rule{"on", "{}", "Not supported yet.",
           [](Decoder& d, const Node& v, TaskDraft&) { not_supported(d, v, "a task with 'trigger: any_failed' runs after a failure, one with 'trigger: all_finished' always"); }},
  };
  return rules;
}

std::span<const KeyRule<ParameterDraft>> parameter_keys() {
  using Rule = KeyRule<ParameterDraft>;
  static const std::array rules{
      Rule{"type", R"({"enum": ["string", "int", "float", "bool", "file", "list"]})", "string, int, float, bool, file or list.",
           [](Decoder& d, const Node& v, ParameterDraft& parameter) {
             if (d.word(v, {"string", "int", "float", "bool", "file", "list"})) parameter.type = {.text = v.text, .node = &v};
             else parameter.broken = true;
           }, true},
      Rule{"default", "{}", "Value when none is given; without it the parameter must be given.",
           [](Decoder&, const Node& v, ParameterDraft& parameter) { parameter.default_value = &v; }},
      Rule{"description", text_schema, "For people.",
           [](Decoder& d, const Node& v, ParameterDraft& parameter) {
             if (auto text = d.text(v)) parameter.description = *std::move(text);
           }},
      Rule{"choices", R"({"type": "array", "minItems": 1})", "The values allowed.",
           [](Decoder& d, const Node& v, ParameterDraft& parameter) {
             if (!d.is_list(v, "a list of values")) return;
             if (v.items.empty()) d.complaints().add("RP1108", v, fmt::format("{} is empty; no value would be allowed", d.complaints().name_of(v)));
             else parameter.choices = &v;
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
      Advice advice{.suggestion = {}, .label = {}, .help = {"as in: quality: {type: int, default: 30}"}};
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
  const Node* bodies[] = {task.run_node, task.shell.node, task.call.node};
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
        "RP1109", *later.key, fmt::format("task '{}' has both '{}' and '{}'", task.name, earlier.key->text, later.key->text),
        {.suggestion = {}, .label = {}, .help = {"a task has exactly one of run, shell and call; make two tasks of it"}});
    diagnostic.related.push_back({decoder.complaints().document().span(*earlier.key), "first here"});
    task.broken = true;
  }
  if (first == nullptr) {
    // A misspelt 'run' was complained about already.
    for (const yaml::Entry& entry : task.node->entries) {
      static const std::vector<std::string> names{"run", "shell", "call"};
      if (suggest(entry.key->text, names)) task.broken = true;
    }
    if (task.node->incomplete) task.broken = true;
    if (!task.broken) {
      decoder.complaints().add("RP1109", *task.key, fmt::format("task '{}' does nothing", task.name),
                               {.suggestion = {}, .label = "one of run, shell and call is missing",
                                .help = {"run: [program, argument, …] · shell: a script · call: name@version"}});
      task.broken = true;
    }
  }
}

void read_tasks(Decoder& decoder, const Node& value, FlowDraft& flow) {
  if (!value.is_mapping()) {
    decoder.wrong_type(value, "a map of tasks by name",
                       {.suggestion = {}, .label = {}, .help = {"write 'tasks:' and below it 'name:' with the task's keys, without '-'"}});
    return;
  }
  if (value.entries.empty() && !value.incomplete) {
    decoder.complaints().add("RP1108", value, "'tasks' is empty", {.suggestion = {}, .label = {}, .help = {"a flow has at least one task"}});
  }
  for (const yaml::Entry& entry : value.entries) {
    TaskDraft task;
    task.name = entry.key->text;
    task.key = entry.key;
    task.node = entry.value;
    if (task.name.size() > max_name_bytes) {
      decoder.complaints().add("RP1111", *entry.key, fmt::format("the name of a task is {} bytes long, {} are allowed", task.name.size(), max_name_bytes));
    }
    if (!entry.value->is_mapping()) {
      if (!entry.value->broken) {
        decoder.wrong_type(*entry.value, "a map of keys and values",
                           {.suggestion = {}, .label = {}, .help = {"a task is, for example, {run: [program, argument]}"}});
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
      flow.outputs.push_back({.name = entry.key->text, .value = {.text = *std::move(text), .node = entry.value}});
    }
  }
}

}  // namespace

std::span<const KeyRule<FlowDraft>> flow_keys() {
  using Rule = KeyRule<FlowDraft>;
  static const std::array rules{
      Rule{"version", R"({"const": 1})", "Version of the format, which is 1.",
           [](Decoder& d, const Node& v, FlowDraft&) {
             const auto version = d.integer(v, std::numeric_limits<std::int64_t>::min(), most_int64);
             if (version && *version != 1) {
               d.complaints().add("RP1110", v, fmt::format("version {} of the flow format is unknown", *version),
                                  {.suggestion = "1", .label = {}, .help = {"this program reads version 1"}});
             }
           }, true},
      Rule{"name", R"({"type": "string", "minLength": 1, "maxLength": 256})", "Name of the flow; default: the file's name.",
           [](Decoder& d, const Node& v, FlowDraft& flow) {
             auto name = d.text(v);
             if (!name) return;
             if (name->empty()) d.complaints().add("RP1108", v, "'name' is empty");
             else if (name->size() > max_name_bytes) d.complaints().add("RP1111", v, fmt::format("'name' is {} bytes long, {} are allowed", name->size(), max_name_bytes));
             flow.name = {.text = *std::move(name), .node = &v};
           }},
      Rule{"description", text_schema, "For people.", [](Decoder& d, const Node& v, FlowDraft&) { (void)d.text(v); }},
      Rule{"params", R"({"type": "object", "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, "additionalProperties": {"$ref": "#/definitions/param"}})",
           "What a run can be given with -p.", read_parameters},
      Rule{"defaults", R"({"$ref": "#/definitions/policy"})", "Policies of all tasks that do not have their own.", read_defaults},
      Rule{"tasks", R"({"type": "object", "minProperties": 1, "propertyNames": {"minLength": 1, "maxLength": 256}, "additionalProperties": {"$ref": "#/definitions/task"}})",
           "The tasks by name.", read_tasks, true},
      Rule{"outputs", R"({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})", "What the run gives back, by name; contains ${{ }}.", read_outputs},
      Rule{"$schema", text_schema, "For editors.", [](Decoder& d, const Node& v, FlowDraft&) { (void)d.text(v); }},
  };
  return rules;
}

void Decoder::flow(const yaml::Node& root, FlowDraft& flow) {
  if (!root.is_mapping()) {
    if (!root.broken) {
      complaints_.add("RP1103", root, fmt::format("a flow file must be a map, not {}", describe(root)),
                      {.suggestion = {}, .label = {}, .help = {"it begins with 'version: 1' and 'tasks:'"}});
    }
    return;
  }
  map(root, flow_keys(), flow);
}

}  // namespace reprise::flow_file
