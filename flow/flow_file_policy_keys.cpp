// The tables of keys of policies: retries, caching, resources, mapping, triggers.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "flow/flow_file_shared_keys.hpp"
#include "flow/secret_reference.hpp"

namespace reprise::flow_file {

using yaml::Node;

void read_version(Decoder& decoder, const Node& value, Text& out) {
  auto text = decoder.written(value);
  if (!text) return;
  if (text->find_first_not_of(" \t") == std::string::npos) {
    decoder.complaints().add("RP1108", value,
                             fmt::format("{} is empty", decoder.complaints().name_of(value)));
    return;
  }
  out = {.text = *std::move(text), .node = &value};
}

void read_environment(Decoder& decoder, const Node& value,
                      std::vector<std::pair<std::string, Text>>& out) {
  if (!decoder.is_map(value, "a map of variables")) return;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    const std::string& name = entry.key->text;
    if (name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      decoder.complaints().add(
          "RP1111", *entry.key, fmt::format("'{}' cannot be the name of a variable", name),
          {.suggestion = {}, .label = {}, .help = {"a name has no '=' in it"}});
      continue;
    }
    if (name.starts_with("REPRISE_")) {
      decoder.complaints().add(
          "RP1111", *entry.key, fmt::format("variable '{}' cannot be set", name),
          {.suggestion = {},
           .label = {},
           .help = {"names that begin with REPRISE_ are set for every command"}});
      continue;
    }
    auto text = decoder.written(*entry.value);
    const auto secret = text ? secret_reference(*text) : std::nullopt;
    if (secret && !is_secret_name(*secret)) {
      decoder.complaints().add(
          "RP1111", *entry.value, fmt::format("'{}' cannot be the name of a secret", *secret),
          {.suggestion = {},
           .label = {},
           .help = {"letters, digits, '.', '_' and '-', not beginning with '.': the name of a file "
                    "in the folder of secrets"}});
      continue;
    }
    if (text) out.emplace_back(name, Text{.text = *std::move(text), .node = entry.value});
  }
}

namespace {

void read_resources(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  if (!decoder.is_map(value, "a map such as {cpus: 2, memory: 4GiB}")) return;
  Resources resources;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    if (entry.key->text == "cpus") {
      const auto cpus = decoder.number(*entry.value);
      if (!cpus) continue;
      if (*cpus < 0.001 || *cpus > 1'000'000) {
        decoder.complaints().add(
            "RP1105", *entry.value,
            fmt::format("{} must be between 0.001 and 1000000, not {}",
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

void read_require(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  if (!decoder.is_map(value, "a map of labels such as {zone: a}")) return;
  std::map<std::string, std::string> labels;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    if (auto text = decoder.written(*entry.value)) labels[entry.key->text] = *std::move(text);
  }
  policy.require = std::move(labels);
}

void read_limits(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  std::vector<std::string> names;
  if (value.is_scalar()) {
    if (auto name = decoder.text(value, "the name of a limit, or a list of names"))
      names.push_back(*std::move(name));
  } else {
    for (Text& name : decoder.texts(value, "a list of names of limits", true))
      names.push_back(std::move(name.text));
  }
  std::ranges::sort(names);
  policy.limits = std::move(names);
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

CacheLife& life_of(PolicyDraft& policy) {
  return cache_of(policy).life;
}

void read_stale(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  if (value.is_scalar()) {
    if (const auto time = decoder.duration(value)) life_of(policy).stale_while_revalidate = *time;
    return;
  }
  decoder.map(value, stale_keys(), life_of(policy));
}

// A time alone declares every failure of the body to be one that the same inputs give again.
void read_negative(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  FailureCaching failures;
  if (value.is_scalar()) {
    if (const auto time = decoder.duration(value)) failures.lasts = *time;
  } else if (!decoder.map(value, negative_keys(), failures)) {
    return;
  }
  if (failures.kinds.empty() && failures.exits.empty())
    failures.kinds = {FailureClass::task, FailureClass::validation};
  life_of(policy).failures = std::move(failures);
}

// What is said about a result's end makes no sense where it has none.
void check_life(Decoder& decoder, const Node& value, const CachePolicy& cache) {
  if (cache.expires_after || value.find("for") != nullptr || value.find("ttl") != nullptr) return;
  for (const std::string_view key : {"sliding", "jitter", "stale"}) {
    const Node* given = value.find(key);
    if (given == nullptr || given->broken) continue;
    decoder.complaints().add(
        "RP1114", *given->key, fmt::format("'{}' goes with 'for' only", key),
        {.suggestion = {}, .label = {}, .help = {"without 'for', a result never ends"}});
  }
}

void read_cache(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  CachePolicy& cache = cache_of(policy);
  if (value.is_scalar()) {
    if (const auto on = decoder.boolean(value, "true, false or a map of settings"))
      cache.enabled = *on;
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
  check_life(decoder, value, cache);
  const Node* on = value.find("validate_on");
  const bool partial = cache.validator == Validator::partial_inputs ||
                       cache.validator == Validator::partial_parameters;
  if (on != nullptr && !partial) {
    decoder.complaints().add(
        "RP1114", *on->key,
        "'validate_on' goes with the validators partial_inputs and partial_parameters only",
        {.suggestion = {}, .label = {}, .help = {"add validator: partial_inputs"}});
  }
}

template <Text HashDraft::*part>
void read_filled(Decoder& decoder, const Node& value, HashDraft& hash) {
  auto text = decoder.written(value);
  if (!text) return;
  if (text->empty())
    decoder.complaints().add("RP1108", value,
                             fmt::format("{} is empty", decoder.complaints().name_of(value)));
  hash.*part = {.text = *std::move(text), .node = &value};
}

void read_hashes(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  if (!decoder.is_map(value, "a map of inputs, such as {ref.fa: {method: md5, hash: 7d1…}}"))
    return;
  for (const yaml::Entry& entry : value.entries) {
    if (entry.value->broken) continue;
    HashDraft draft;
    draft.input = {.text = entry.key->text, .node = entry.key};
    if (decoder.map(*entry.value, hash_keys(), draft) && draft.method && draft.hash)
      policy.cache_hashes.push_back(std::move(draft));
  }
}

template <double Trigger::*bound>
void read_bound(Decoder& decoder, const Node& value, Trigger& trigger) {
  const auto number = decoder.number(value);
  if (number && *number < 0)
    decoder.complaints().add("RP1105", value,
                             fmt::format("{} must be at least 0, not {}",
                                         decoder.complaints().name_of(value), value.text));
  else
    trigger.*bound = number.value_or(-1);
}

template <Duration RetryPolicy::*delay>
void read_delay(Decoder& decoder, const Node& value, RetryPolicy& retry) {
  retry.*delay = decoder.duration(value).value_or(retry.*delay);
}

void read_expiry(Decoder& decoder, const Node& value, PolicyDraft& policy) {
  if (const auto time = decoder.duration(value)) cache_of(policy).expires_after = *time;
}

}  // namespace

std::span<const KeyRule<RetryPolicy>> retry_keys() {
  using Rule = KeyRule<RetryPolicy>;
  static const std::array rules{
      Rule{"max", R"({"type": "integer", "minimum": 0, "maximum": 10000})",
           "Further attempts after the first.",
           [](Decoder& d, const Node& v, RetryPolicy& retry) {
             if (const auto n = d.integer(v, 0, 10'000)) retry.max = static_cast<std::uint32_t>(*n);
           }},
      Rule{"delay", duration_schema, "Time before the first retry.",
           read_delay<&RetryPolicy::delay>},
      Rule{"backoff", R"({"enum": ["fixed", "exponential"]})",
           "exponential doubles the delay each time.",
           [](Decoder& d, const Node& v, RetryPolicy& retry) {
             retry.exponential = d.word(v, {"fixed", "exponential"}) == 1;
           }},
      Rule{"max_delay", duration_schema, "The delay never grows above this; default 1h.",
           read_delay<&RetryPolicy::max_delay>},
      Rule{
          "on",
          R"({"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": ["exit", "signal", "timeout", "worker_lost", "cannot_start", "validation", "memory"]}})",
          "Which failures are retried; default: all but worker_lost and cannot_start.",
          [](Decoder& d, const Node& v, RetryPolicy& retry) {
            if (!d.is_list(v, "a list of failures, such as [exit, timeout]")) return;
            static constexpr std::array classes{
                FailureClass::task,        FailureClass::signal,       FailureClass::timeout,
                FailureClass::worker_lost, FailureClass::cannot_start, FailureClass::validation,
                FailureClass::memory};
            retry.on.clear();
            for (const Node* item : v.items) {
              const auto word = d.word(*item, {"exit", "signal", "timeout", "worker_lost",
                                               "cannot_start", "validation", "memory"});
              if (!word) continue;
              if (std::ranges::find(retry.on, classes[*word]) != retry.on.end()) {
                d.complaints().add(
                    "RP1112", *item,
                    fmt::format("'{}' is in {} twice", item->text, d.complaints().name_of(v)));
              }
              retry.on.push_back(classes[*word]);
            }
            if (v.items.empty()) {
              d.complaints().add(
                  "RP1108", v, fmt::format("{} is empty", d.complaints().name_of(v)),
                  {.suggestion = {},
                   .label = {},
                   .help = {"leave it out for the default, or use max: 0 for no retries"}});
            }
          }},
  };
  return rules;
}

std::span<const KeyRule<CacheLife>> stale_keys() {
  using Rule = KeyRule<CacheLife>;
  static const std::array rules{
      Rule{"while_revalidate", duration_schema,
           "So long after its time a result is served at once, and computed anew behind it.",
           [](Decoder& d, const Node& v, CacheLife& life) {
             if (const auto time = d.duration(v)) life.stale_while_revalidate = *time;
           }},
      Rule{"if_error", duration_schema,
           "So long after its time a result stands in when computing it anew failed.",
           [](Decoder& d, const Node& v, CacheLife& life) {
             if (const auto time = d.duration(v)) life.stale_if_error = *time;
           }},
  };
  return rules;
}

std::span<const KeyRule<HashDraft>> hash_keys() {
  using Rule = KeyRule<HashDraft>;
  static const std::array rules{
      Rule{"method", written_schema, "What made the hash; another method is another result.",
           read_filled<&HashDraft::method>, true},
      Rule{"hash", written_schema, "The hash; may contain ${{ }}.", read_filled<&HashDraft::hash>,
           true},
  };
  return rules;
}

std::span<const KeyRule<FailureCaching>> negative_keys() {
  using Rule = KeyRule<FailureCaching>;
  static const std::array rules{
      Rule{"for", duration_schema, "How long it is kept; default 5m.",
           [](Decoder& d, const Node& v, FailureCaching& failures) {
             if (const auto time = d.duration(v)) failures.lasts = *time;
           }},
      Rule{
          "kinds",
          R"({"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": ["exit", "validation"]}})",
          "Which failures are kept; default, without exits, both.",
          [](Decoder& d, const Node& v, FailureCaching& failures) {
            if (!d.is_list(v, "a list of failures, such as [validation]")) return;
            for (const Node* item : v.items)
              if (const auto word = d.word(*item, {"exit", "validation"}))
                failures.kinds.push_back(*word == 0 ? FailureClass::task
                                                    : FailureClass::validation);
          }},
      Rule{
          "exits",
          R"({"type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "integer", "minimum": 1, "maximum": 255}})",
          "Exit codes that are kept.",
          [](Decoder& d, const Node& v, FailureCaching& failures) {
            if (!d.is_list(v, "a list of exit codes, such as [65, 66]")) return;
            for (const Node* item : v.items)
              if (const auto code = d.integer(*item, 1, 255))
                failures.exits.push_back(static_cast<std::uint32_t>(*code));
          }},
  };
  return rules;
}

std::span<const KeyRule<PolicyDraft>> cache_keys() {
  using Rule = KeyRule<PolicyDraft>;
  static const std::array rules{
      Rule{"for", duration_schema, "How long a result may be reused; default: for ever.",
           read_expiry},
      Rule{"ttl", duration_schema, "The same as for.", read_expiry},
      Rule{
          "validator",
          R"({"enum": ["all_inputs", "duration_only", "never_use", "all_parameters", "partial_inputs", "partial_parameters"]})",
          "What must agree for a result to be reused; default all_inputs.",
          [](Decoder& d, const Node& v, PolicyDraft& policy) {
            static constexpr std::array validators{
                Validator::all_inputs,     Validator::duration_only,
                Validator::never_use,      Validator::all_parameters,
                Validator::partial_inputs, Validator::partial_parameters};
            if (const auto word =
                    d.word(v, {"all_inputs", "duration_only", "never_use", "all_parameters",
                               "partial_inputs", "partial_parameters"})) {
              cache_of(policy).validator = validators[*word];
            }
          }},
      Rule{
          "per",
          R"({"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": ["run", "parameters"]}})",
          "What counts besides the inputs: the run (a hit within one run only), all parameters.",
          [](Decoder& d, const Node& v, PolicyDraft& policy) {
            if (!d.is_list(v, "a list, such as [run]")) return;
            for (const Node* item : v.items)
              if (const auto word = d.word(*item, {"run", "parameters"})) {
                cache_of(policy).per_run |= *word == 0;
                cache_of(policy).per_parameters |= *word == 1;
              }
          }},
      Rule{"validate_on", texts_schema, "Names that the partial validators compare.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             policy.cache_compared = d.texts(v, "a list of names", true);
             cache_of(policy).validate_on = only_text(policy.cache_compared);
           }},
      Rule{"key", text_schema, "A key shared with other tasks, in place of the task's name.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             auto key = d.text(v);
             if (key && key->empty())
               d.complaints().add("RP1108", v,
                                  fmt::format("{} is empty", d.complaints().name_of(v)));
             else if (key)
               cache_of(policy).shared_key = *std::move(key);
           }},
      Rule{"ignore", texts_schema, "Inputs that do not matter for the result.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             policy.cache_ignored = d.texts(v, "a list of input names", true);
             cache_of(policy).ignored = only_text(policy.cache_ignored);
           }},
      Rule{"version", written_schema, "Change it to disown all earlier results; default \"1\".",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             read_version(d, v, policy.cache_version);
           }},
      Rule{"code", R"({"enum": ["auto", "none"]})",
           "auto: a change of the command's code is another result, but for comments and blanks.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (const auto word = d.word(v, {"auto", "none"}))
               cache_of(policy).code_auto = *word == 0;
           }},
      Rule{"hash", R"({"type": "object", "additionalProperties": {"$ref": "#/definitions/hash"}})",
           "By input or input file: a hash that stands for its content.", read_hashes},
      Rule{"salt", text_schema, "Any text; another salt finds other results.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (auto salt = d.text(v)) cache_of(policy).salt = *std::move(salt);
           }},
      Rule{"env", texts_schema, "Environment variables whose values matter.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             cache_of(policy).environment = only_text(d.texts(v, "a list of variables", true));
           }},
      Rule{"deps", R"({"type": "object", "additionalProperties": {"type": "string"}})",
           "Versions or digests of tools and data that the result depends on.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (!d.is_map(v, "a map of names and versions or digests")) return;
             for (const yaml::Entry& entry : v.entries) {
               const auto text = entry.value->broken ? std::nullopt : d.text(*entry.value);
               if (!text) continue;
               const auto digest = Digest::parse(
                   *text);  // anything else is a version: its own digest stands for it
               cache_of(policy).dependencies[entry.key->text] = digest ? *digest : sha256(*text);
             }
           }},
      Rule{"sliding", bool_schema, "true: a hit lets the time of 'for' count from then.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (const auto on = d.boolean(v, "true or false")) life_of(policy).sliding = *on;
           }},
      Rule{"jitter", R"({"type": "integer", "minimum": 0, "maximum": 100})",
           "Percent of its time that a result may lose, by chance, so that not all end at once.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (const auto percent = d.integer(v, 0, 100))
               life_of(policy).jitter_percent = static_cast<std::uint32_t>(*percent);
           }},
      Rule{"max_age", duration_schema, "Older results are no hit for this task.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (const auto time = d.duration(v)) life_of(policy).max_age = *time;
           }},
      Rule{"stale",
           R"({"oneOf": [{"$ref": "#/definitions/duration"}, {"$ref": "#/definitions/stale"}]})",
           "How long after its time a result is still served, while it is computed anew.",
           read_stale},
      Rule{"negative",
           R"({"oneOf": [{"$ref": "#/definitions/duration"}, {"$ref": "#/definitions/negative"}]})",
           "How long a failure is kept and served again, as a failure.", read_negative},
  };
  return rules;
}

std::span<const KeyRule<PolicyDraft>> policy_keys() {
  using Rule = KeyRule<PolicyDraft>;
  static const std::array rules{
      Rule{"timeout", duration_schema, "Time an attempt may take.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (const auto time = d.duration(v)) {
               if (*time == Duration{0})
                 d.complaints().add(
                     "RP1105", v,
                     fmt::format("{} must be longer than 0", d.complaints().name_of(v)));
               policy.timeout = *time;
             }
           }},
      Rule{"retry", R"({"$ref": "#/definitions/retry"})",
           "When and how often a failed task is tried again.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             RetryPolicy retry;
             const Value count = v.is_scalar() ? yaml::scalar_value(v) : Value();
             if (count.get_if<std::int64_t>() != nullptr) {
               d.wrong_type(
                   v, "a map",
                   {.suggestion = fmt::format("{{max: {}}}", v.text), .label = {}, .help = {}});
               return;
             }
             d.map(v, retry_keys(), retry);
             const Node* most = v.find("max_delay");
             if (most == nullptr) {
               retry.max_delay = std::max(retry.max_delay, retry.delay);
             } else if (retry.max_delay < retry.delay && !most->broken) {
               d.complaints().add("RP1114", *most,
                                  fmt::format("{} is less than the delay that it limits",
                                              d.complaints().name_of(*most)));
             }
             policy.retry = std::move(retry);
           }},
      Rule{"cache", R"({"$ref": "#/definitions/cache"})",
           "Reuse results: true, false, or settings.", read_cache},
      Rule{"resources", R"({"$ref": "#/definitions/resources"})",
           "What a task needs while it runs.", read_resources},
      Rule{"env", environment_schema,
           "Environment variables of commands; may contain ${{ }}, or be secret://NAME.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             read_environment(d, v, policy.environment);
           }},
      Rule{"preset", R"({"enum": ["cached_small", "cached_medium", "cached_large"]})",
           "The cache on, and 1, 4 or 16 processors with 2, 8 or 64 GiB.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             static constexpr std::array<std::pair<std::uint32_t, std::uint64_t>, 3> sizes{
                 {{1, 2}, {4, 8}, {16, 64}}};
             const auto word = d.word(v, {"cached_small", "cached_medium", "cached_large"});
             if (!word) return;
             Resources resources;
             resources.cpu_milli = sizes[*word].first * 1000;
             resources.memory_bytes = sizes[*word].second << 30;
             policy.preset = std::move(resources);
           }},
      Rule{"require", written_map_schema, "Labels that the worker must have that runs it.",
           read_require},
      Rule{
          "limit",
          R"({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": true}]})",
          "Concurrency limits that it counts against; the server, or the settings, say how many "
          "tasks each allows at once.",
          read_limits},
      Rule{"priority", R"({"type": "integer", "minimum": -1000, "maximum": 1000})",
           "Higher ones go first; default 0.",
           [](Decoder& d, const Node& v, PolicyDraft& policy) {
             if (const auto priority = d.integer(v, priority_least, priority_most))
               policy.priority = static_cast<std::int32_t>(*priority);
           }},
  };
  return rules;
}

std::span<const KeyRule<MapDraft>> map_keys() {
  using Rule = KeyRule<MapDraft>;
  static const std::array rules{
      Rule{"over", "{}",
           "A list, a mapped task, or ${{ }} that gives a list: one run of the task per element.",
           [](Decoder&, const Node& v, MapDraft& map) { map.over = &v; }, true},
      Rule{"as", R"({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})",
           "Name of the element in expressions; default item.",
           [](Decoder& d, const Node& v, MapDraft& map) {
             if (auto name = d.text(v, "a name")) map.as = {.text = *std::move(name), .node = &v};
           }},
      Rule{"max_parallel", R"({"type": "integer", "minimum": 1})",
           "How many elements run at once; default: no limit.",
           [](Decoder& d, const Node& v, MapDraft& map) {
             if (const auto n = d.integer(v, 1, most_uint32))
               map.max_parallel = static_cast<std::uint32_t>(*n);
           }},
  };
  return rules;
}

std::span<const KeyRule<ReduceDraft>> reduce_keys() {
  using Rule = KeyRule<ReduceDraft>;
  static const std::array rules{
      Rule{"over", text_schema, "The mapped task whose results are combined.",
           [](Decoder& d, const Node& v, ReduceDraft& reduce) {
             if (auto name = d.text(v, "the name of a task"))
               reduce.over = {.text = *std::move(name), .node = &v};
           },
           true},
      Rule{"fanin", R"({"type": "integer", "minimum": 2})",
           "At most this many values at once; default 16.",
           [](Decoder& d, const Node& v, ReduceDraft& reduce) {
             if (const auto n = d.integer(v, 2, most_uint32))
               reduce.fanin = static_cast<std::uint32_t>(*n);
           }},
  };
  return rules;
}

std::span<const KeyRule<Trigger>> trigger_keys() {
  using Rule = KeyRule<Trigger>;
  static const std::array rules{
      Rule{
          "name",
          R"({"enum": ["all_successful", "all_failed", "any_successful", "any_failed", "all_finished", "always_run", "some_failed", "some_successful", "not_all_skipped", "manual_only"]})",
          "Which outcome of the upstream tasks lets this one run.",
          [](Decoder& d, const Node& v, Trigger& trigger) {
            using Kind = Trigger::Kind;
            static constexpr std::array kinds{Kind::all_successful,  Kind::all_failed,
                                              Kind::any_successful,  Kind::any_failed,
                                              Kind::all_finished,    Kind::all_finished,
                                              Kind::some_failed,     Kind::some_successful,
                                              Kind::not_all_skipped, Kind::manual_only};
            if (const auto word =
                    d.word(v, {"all_successful", "all_failed", "any_successful", "any_failed",
                               "all_finished", "always_run", "some_failed", "some_successful",
                               "not_all_skipped", "manual_only"})) {
              trigger.kind = kinds[*word];
            }
          },
          true},
      Rule{"at_least", R"({"type": "number", "minimum": 0})",
           "Below 1: a fraction of the upstream tasks; else a number of them.",
           read_bound<&Trigger::at_least>},
      Rule{"at_most", R"({"type": "number", "minimum": 0})", "As at_least, from above.",
           read_bound<&Trigger::at_most>},
  };
  return rules;
}

}  // namespace reprise::flow_file
