#include "flow/context_values.hpp"

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

std::string full_name(const Attempt& attempt) {
  const std::string& node = attempt.context->flow->nodes[attempt.node.value].name;
  return attempt.map_index < 0 ? node : fmt::format("{}[{}]", node, attempt.map_index);
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

using Make = Value (*)(const Attempt&);

struct Entry {
  std::string_view key;
  Make make;
};

Days day_of(const Attempt& attempt, int offset) {
  return std::chrono::floor<std::chrono::days>(moment_of(*attempt.context)) +
         std::chrono::days{offset};
}

constexpr std::array entries{
    Entry{"checkpointing", [](const Attempt&) { return Value{true}; }},
    Entry{"date", [](const Attempt& a) { return Value{to_rfc3339(moment_of(*a.context))}; }},
    Entry{"flow_id", [](const Attempt& a) { return Value{a.context->flow->name}; }},
    Entry{"flow_name", [](const Attempt& a) { return Value{a.context->flow->name}; }},
    Entry{"flow_run_id", [](const Attempt& a) { return Value{a.context->run.text()}; }},
    Entry{"flow_run_name",
          [](const Attempt& a) {
            return Value{fmt::format("{}-{}", a.context->flow->name, a.context->run.short_text())};
          }},
    Entry{"map_index",
          [](const Attempt& a) { return a.map_index < 0 ? Value{} : Value{a.map_index}; }},
    Entry{"parameters", [](const Attempt& a) { return parameters_of(*a.context); }},
    Entry{"resume", [](const Attempt& a) { return Value{a.resumed}; }},
    Entry{"scheduled_start_time",
          [](const Attempt& a) { return Value{to_rfc3339(a.context->started)}; }},
    Entry{"task_full_name", [](const Attempt& a) { return Value{full_name(a)}; }},
    Entry{"task_id",
          [](const Attempt& a) { return Value{a.context->flow->nodes[a.node.value].name}; }},
    Entry{"task_loop_count",
          [](const Attempt& a) { return Value{static_cast<std::int64_t>(a.loop_count)}; }},
    Entry{"task_loop_result", [](const Attempt& a) { return value_of(a.loop_result); }},
    Entry{"task_name",
          [](const Attempt& a) { return Value{a.context->flow->nodes[a.node.value].name}; }},
    Entry{"task_run_count",
          [](const Attempt& a) { return Value{static_cast<std::int64_t>(a.run_count)}; }},
    Entry{"task_run_id",
          [](const Attempt& a) {
            return Value{fmt::format("{}/{}/{}", a.context->run.text(), a.task.value, a.number)};
          }},
    Entry{"task_run_name", [](const Attempt& a) { return Value{full_name(a)}; }},
    Entry{"task_slug",
          [](const Attempt& a) { return Value{a.context->flow->nodes[a.node.value].name}; }},
    Entry{"task_tags", [](const Attempt&) { return Value{List{}}; }},
    Entry{"today", [](const Attempt& a) { return Value{iso(day_of(a, 0))}; }},
    Entry{"today_nodash",
          [](const Attempt& a) { return Value{without_dashes(iso(day_of(a, 0)))}; }},
    Entry{"tomorrow", [](const Attempt& a) { return Value{iso(day_of(a, 1))}; }},
    Entry{"tomorrow_nodash",
          [](const Attempt& a) { return Value{without_dashes(iso(day_of(a, 1)))}; }},
    Entry{"yesterday", [](const Attempt& a) { return Value{iso(day_of(a, -1))}; }},
    Entry{"yesterday_nodash",
          [](const Attempt& a) { return Value{without_dashes(iso(day_of(a, -1)))}; }},
};

// These hold what is so, whatever a run was given under their names.
bool is_ours_alone(std::string_view key) {
  return key == "parameters" || key == "scheduled_start_time" || key == "task_loop_count";
}

}  // namespace

std::optional<Value> context_value(const Attempt& attempt, std::string_view key) {
  if (!is_ours_alone(key)) {
    const auto given = attempt.context->context.find(std::string(key));
    if (given != attempt.context->context.end()) return value_of(given->second);
  }
  for (const Entry& entry : entries)
    if (entry.key == key) return entry.make(attempt);
  return std::nullopt;
}

Map context_values(const Attempt& attempt) {
  std::map<std::string, Value> all;
  for (const Entry& entry : entries) all.emplace(entry.key, entry.make(attempt));
  for (const auto& [name, value] : attempt.context->context)
    if (!is_ours_alone(name)) all.insert_or_assign(name, value_of(value));
  Map map;
  for (auto& [name, value] : all) map.emplace_back(name, std::move(value));
  return map;
}

}  // namespace reprise
