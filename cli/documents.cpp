#include "cli/documents.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(std::string(text));
}

std::string_view name(FailureClass failure) {
  switch (failure) {
    case FailureClass::none:
      return "none";
    case FailureClass::task:
      return "task";
    case FailureClass::signal:
      return "signal";
    case FailureClass::timeout:
      return "timeout";
    case FailureClass::worker_lost:
      return "worker_lost";
    case FailureClass::cannot_start:
      return "cannot_start";
    case FailureClass::validation:
      return "validation";
    case FailureClass::cancelled:
      return "cancelled";
    case FailureClass::memory:
      return "memory";
  }
  return "none";
}

}  // namespace

Json seconds_json(Duration duration) {
  return std::round(seconds(duration) * 1e6) / 1e6;
}

Json value_json(const Payload& payload) {
  if (payload.is_none()) return nullptr;
  if (!payload.is_at_hand()) return {{"$digest", payload.digest.text()}, {"size", payload.size}};
  const auto value = payload.value();
  if (!value) return {{"$digest", payload.digest.text()}, {"size", payload.size}};
  Json parsed = Json::parse(to_json(*value), nullptr, false);
  return parsed.is_discarded() ? Json(nullptr) : parsed;
}

Json summary_json(const journal::Summary& s) {
  return {{"tasks", s.tasks},   {"executed", s.executed}, {"cached", s.cached},
          {"failed", s.failed}, {"skipped", s.skipped},   {"cancelled", s.cancelled}};
}

Json paused_json(const journal::RunView& view) {
  constexpr std::size_t named_max = 100;
  Json names = Json::array();
  for (const TaskId task : view.paused()) {
    if (names.size() == named_max) break;
    names.push_back(view.task_name(task));
  }
  return names;
}

std::string paused_text(const journal::RunView& view) {
  constexpr std::size_t named_max = 5;
  const std::vector<TaskId> tasks = view.paused();
  std::string text;
  for (std::size_t i = 0; i < std::min(tasks.size(), named_max); ++i)
    text += (i == 0 ? "" : ", ") + escape_for_terminal(view.task_name(tasks[i]));
  if (tasks.size() > named_max) text += fmt::format(" and {} more", tasks.size() - named_max);
  return text;
}

Json cache_json(journal::CacheOutcome outcome) {
  switch (outcome) {
    case journal::CacheOutcome::none:
      return nullptr;
    case journal::CacheOutcome::hit:
      return "hit";
    case journal::CacheOutcome::stored:
      return "stored";
    case journal::CacheOutcome::miss:
      return "miss";
    case journal::CacheOutcome::bypass:
      return "bypass";
  }
  return nullptr;
}

const std::vector<std::string>& run_fields() {
  static const std::vector<std::string> fields{"run",     "flow",     "state",      "message",
                                               "outputs", "summary",  "makespan_s", "continued",
                                               "carried", "failures", "paused"};
  return fields;
}

Json run_json(const RunDocument& d) {
  Json outputs = Json::object();
  for (const auto& [name, payload] : d.result.outputs) {
    outputs[name] = value_json(payload);
    if (const auto file = d.files.find(name); file != d.files.end() && outputs[name].is_object())
      outputs[name]["path"] = file->second;
  }
  Json failures = Json::array();
  for (const TaskNews& news : d.failures)
    failures.push_back({{"task", news.name},
                        {"state", reprise::name(news.state)},
                        {"message", text_or_null(news.message)},
                        {"attempt", news.attempt}});
  return {{"schema", "reprise.run/1"},
          {"run", d.result.id.text()},
          {"flow", d.flow},
          {"state", reprise::name(d.result.state)},
          {"message", text_or_null(d.result.message)},
          {"outputs", std::move(outputs)},
          {"summary", summary_json(d.result.summary)},
          {"makespan_s", seconds_json(d.result.makespan)},
          {"continued", d.continued},
          {"carried", d.result.carried},
          {"failures", std::move(failures)},
          {"paused", d.paused}};
}

Json event_json(const RunId& run, const std::string& task_name, const journal::TaskChange& c,
                journal::Offset offset) {
  const auto [state, stored] = shown_state(c.state, c.cache);
  Json event{{"schema", "reprise.event/1"},
             {"offset", offset == 0 ? Json(nullptr) : Json(offset)},
             {"type", "task"},
             {"run", run.text()},
             {"at", to_rfc3339(c.at)},
             {"task", task_name},
             {"state", reprise::name(state)},
             {"attempt", c.run_count},
             {"cache", cache_json(c.cache)},
             {"executed", c.executed},
             {"duration_s", seconds_json(c.duration)}};
  if (stored) event["stored"] = true;
  if (!c.result.is_none())
    event["result"] = {{"digest", c.result.digest.text()}, {"size_bytes", c.result.size}};
  if (c.detail) {
    const journal::ChangeDetail& d = *c.detail;
    if (!d.message.empty()) event["message"] = d.message;
    if (d.start_time) event["start_time"] = to_rfc3339(*d.start_time);
    if (d.key) event["key"] = d.key->text();
    // Of a task that waits, `origin` is who computes it; of a hit, who did; of one that runs a
    // flow, the run that was begun for it.
    if (d.origin)
      event[c.state == TaskState::queued    ? "waits_for"
            : c.state == TaskState::running ? "nested_run"
                                            : "origin"] = d.origin->text();
    if (c.state == TaskState::queued && !d.message.empty()) event["waiting_reason"] = d.message;
    if (d.expired) event["expired"] = to_rfc3339(*d.expired);
    if (d.width > 0) event["width"] = d.width;
    if (d.failure != FailureClass::none) event["failure"] = name(d.failure);
    if (d.exit_code != 0) event["exit_code"] = d.exit_code;
    if (d.signal != 0) event["signal"] = d.signal;
    if (!d.worker.empty()) event["worker"] = d.worker;
  }
  return event;
}

Json event_json(const RunId& run, const journal::RunChange& change, journal::Offset offset) {
  return {{"schema", "reprise.event/1"},
          {"offset", offset == 0 ? Json(nullptr) : Json(offset)},
          {"type", "run"},
          {"run", run.text()},
          {"at", to_rfc3339(change.at)},
          {"state", reprise::name(change.state)},
          {"message", text_or_null(change.message)}};
}

Json row_json(const journal::RunRow& row, RunState state) {
  Json parameters = Json::object();
  for (const auto& [name, value] : row.parameters) parameters[name] = value_json(value);
  const bool has_end = row.finished.has_value();
  Json parent, parent_task;
  if (const auto began = actors::decode_options(row.options)) {
    if (began->parent) parent = began->parent->text();
    if (began->nested_in) parent = began->nested_in->run.text();
    if (began->nested_in) parent_task = began->nested_in->task;
  }
  return {{"run", row.id.text()},
          {"flow", row.flow_name},
          {"state", reprise::name(state)},
          {"message", text_or_null(row.message)},
          {"submitted", to_rfc3339(row.submitted)},
          {"finished", has_end ? Json(to_rfc3339(*row.finished)) : Json(nullptr)},
          {"duration_s", has_end ? seconds_json(*row.finished - row.submitted) : Json(nullptr)},
          {"submitted_by", text_or_null(row.submitted_by)},
          {"source_file", text_or_null(row.source_file)},
          {"parameters", std::move(parameters)},
          {"parent", std::move(parent)},
          {"parent_task", std::move(parent_task)},
          {"summary", has_end ? summary_json(row.summary) : Json(nullptr)}};
}

Json differences_json(const std::vector<cache::Difference>& differences) {
  Json list = Json::array();
  for (const cache::Difference& difference : differences)
    list.push_back({{"part", difference.reason},
                    {"before", text_or_null(difference.before)},
                    {"now", text_or_null(difference.now)}});
  return list;
}

Json record_json(const cache::Record& r) {
  return {{"key", r.key.text()},
          {"version", r.version},
          {"name", r.name},
          {"task", r.task},
          {"run", r.run.text()},
          {"committed", to_rfc3339(r.committed)},
          {"expires", r.expires ? Json(to_rfc3339(*r.expires)) : Json(nullptr)},
          {"digest", r.value.digest.text()},
          {"size_bytes", r.value.size},
          {"cost_s", seconds_json(r.cost)},
          {"kind", r.status == cache::VersionStatus::negative ? "failure" : "result"}};
}

}  // namespace reprise::cli
