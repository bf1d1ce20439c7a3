#include "flow/context_values.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {

namespace {

using Days = std::chrono::sys_days;

Value value_of(const Payload& payload) {
  const Result<Value> value = payload.is_none() ? Result<Value>(Value{}) : payload.value();
  return value ? *value : Value{};
}

std::string iso(Days day) {
  const std::chrono::year_month_day date{day};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::string without_dashes(std::string date) {
  std::erase(date, '-');
  return date;
}

// The moment that counts as the run's: the user's, where it gave one that can be read.
Time moment_of(const RunContext& run) {
  const auto given = run.context.find("date");
  if (given == run.context.end()) return run.started;
  const Value value = value_of(given->second);
  if (const auto stamp = as_timestamp(value)) return *stamp;
  const auto* text = value.get_if<std::string>();
  if (text == nullptr) return run.started;
  const bool is_day = text->size() == 10;
  const auto time = parse_rfc3339(is_day ? *text + "T00:00:00Z" : *text);
  return time ? *time : run.started;
}

const std::string& node_name(const Attempt& attempt) {
  return attempt.context->flow->nodes[attempt.node.value].name;
}

// The task's own name, which several nodes may share.
const std::string& task_name(const Attempt& attempt) {
  const std::string& own = attempt.context->flow->kind_of(attempt.node).cache_name;
  return own.empty() ? node_name(attempt) : own;
}

std::string full_name(const Attempt& attempt) {
  const std::string& name = task_name(attempt);
  return attempt.map_index < 0 ? name : fmt::format("{}[{}]", name, attempt.map_index);
}

// What the run was given under a name; nil: nothing.
Value given(const Attempt& attempt, const char* key) {
  const auto found = attempt.context->context.find(key);
  return found == attempt.context->context.end() ? Value{} : value_of(found->second);
}

Value parameters_of(const RunContext& run) {
  Map all;
  if (const auto given = run.context.find("parameters"); given != run.context.end()) {
    // Those that the flow does not know survive.
    const Value extra = value_of(given->second);
    if (const Map* map = extra.get_if<Map>())
      for (const auto& [name, value] : *map) {
        const auto* text = name.get_if<std::string>();
        if (text != nullptr && !run.parameters.contains(*text)) all.emplace_back(name, value);
      }
  }
  for (const auto& [name, value] : run.parameters) all.emplace_back(name, value_of(value));
  return all;
}

Days day_of(const RunContext& run, int offset) {
  return std::chrono::floor<std::chrono::days>(moment_of(run)) + std::chrono::days{offset};
}

struct RunEntry {
  std::string_view key;
  Value (*make)(const RunContext&);
  bool is_default = false;  // another value may be given; the others hold what is so
};

constexpr std::array run_entries{
    RunEntry{"checkpointing", [](const RunContext&) { return Value{true}; }},
    RunEntry{"date", [](const RunContext& run) { return Value{to_rfc3339(moment_of(run))}; }, true},
    RunEntry{"flow_id", [](const RunContext& run) { return Value{run.flow->name}; }},
    RunEntry{"flow_name", [](const RunContext& run) { return Value{run.flow->name}; }},
    RunEntry{"flow_run_id", [](const RunContext& run) { return Value{run.run.text()}; }},
    RunEntry{"flow_run_name",
             [](const RunContext& run) {
               return Value{fmt::format("{}-{}", run.flow->name, run.run.short_text())};
             }},
    RunEntry{"parameters", parameters_of},
    RunEntry{"scheduled_start_time",
             [](const RunContext& run) { return Value{to_rfc3339(run.started)}; }},
    RunEntry{"today", [](const RunContext& run) { return Value{iso(day_of(run, 0))}; }, true},
    RunEntry{"today_nodash",
             [](const RunContext& run) { return Value{without_dashes(iso(day_of(run, 0)))}; },
             true},
    RunEntry{"tomorrow", [](const RunContext& run) { return Value{iso(day_of(run, 1))}; }, true},
    RunEntry{"tomorrow_nodash",
             [](const RunContext& run) { return Value{without_dashes(iso(day_of(run, 1)))}; },
             true},
    RunEntry{"yesterday", [](const RunContext& run) { return Value{iso(day_of(run, -1))}; }, true},
    RunEntry{"yesterday_nodash",
             [](const RunContext& run) { return Value{without_dashes(iso(day_of(run, -1)))}; },
             true},
};

struct AttemptEntry {
  std::string_view key;
  Value (*make)(const Attempt&);
};

constexpr std::array attempt_entries{
    AttemptEntry{"map_index",
                 [](const Attempt& a) { return a.map_index < 0 ? Value{} : Value{a.map_index}; }},
    AttemptEntry{"resume", [](const Attempt& a) { return Value{a.resumed}; }},
    AttemptEntry{"task_full_name", [](const Attempt& a) { return Value{full_name(a)}; }},
    AttemptEntry{"task_id", [](const Attempt& a) { return Value{node_name(a)}; }},
    AttemptEntry{"task_loop_count",
                 [](const Attempt& a) { return Value{static_cast<std::int64_t>(a.loop_count)}; }},
    AttemptEntry{"task_loop_result",
                 [](const Attempt& a) {
                   return a.loop_result.is_none() ? given(a, "task_loop_result")
                                                  : value_of(a.loop_result);
                 }},
    AttemptEntry{"task_name", [](const Attempt& a) { return Value{task_name(a)}; }},
    AttemptEntry{"task_run_count",
                 [](const Attempt& a) { return Value{static_cast<std::int64_t>(a.run_count)}; }},
    AttemptEntry{"task_run_id",
                 [](const Attempt& a) {
                   return Value{
                       fmt::format("{}/{}/{}", a.context->run.text(), a.task.value, a.number)};
                 }},
    AttemptEntry{"task_run_name", [](const Attempt& a) { return Value{full_name(a)}; }},
    AttemptEntry{"task_slug", [](const Attempt& a) { return Value{node_name(a)}; }},
    AttemptEntry{"task_tags", [](const Attempt&) { return Value{List{}}; }},
};

template <class Entries>
auto* find_entry(const Entries& entries, std::string_view key) {
  const auto* entry = std::find_if(entries.begin(), entries.end(),
                                   [&](const auto& each) { return each.key == key; });
  return entry == entries.end() ? nullptr : entry;
}

}  // namespace

std::optional<Value> context_value(const Attempt& attempt, std::string_view key) {
  if (const auto* entry = find_entry(attempt_entries, key)) return entry->make(attempt);
  const auto* entry = find_entry(run_entries, key);
  if (entry == nullptr || entry->is_default) {
    const auto found = attempt.context->context.find(std::string(key));
    if (found != attempt.context->context.end()) return value_of(found->second);
  }
  return entry != nullptr ? std::optional(entry->make(*attempt.context)) : std::nullopt;
}

bool is_of_attempt(std::string_view key) {
  return find_entry(attempt_entries, key) != nullptr;
}

Map run_context_values(const RunContext& run) {
  std::map<std::string_view, Value> all;
  for (const auto& [name, value] : run.context)
    if (!is_of_attempt(name)) all.emplace(name, value_of(value));
  for (const RunEntry& entry : run_entries)
    if (!entry.is_default || !all.contains(entry.key))
      all.insert_or_assign(entry.key, entry.make(run));
  Map map;
  for (auto& [name, value] : all) map.emplace_back(name, std::move(value));
  return map;
}

Map attempt_context_values(const Attempt& attempt) {
  Map map;
  map.reserve(attempt_entries.size());
  for (const AttemptEntry& entry : attempt_entries)
    map.emplace_back(entry.key, entry.make(attempt));
  return map;
}

}  // namespace reprise
