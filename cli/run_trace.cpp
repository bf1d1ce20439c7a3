#include "cli/run_trace.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "cli/console.hpp"
#include "cli/documents.hpp"
#include "cli/version.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

bool is_nesting(const journal::RunView& view, TaskId task) {
  const NodeId node = view.node_of(task);
  return !node.is_none() && std::holds_alternative<NestedBody>(view.flow().kind_of(node).body);
}

std::string_view shown_state(const PastAttempt& attempt) {
  return attempt.cache == journal::CacheOutcome::hit ? "cached" : name(attempt.state);
}

/// Things of a list, with commas between.
class List {
 public:
  explicit List(const Write& write) : write_(write) {}
  void add(const Json& item) {
    write_(is_first_ ? "\n" : ",\n");
    is_first_ = false;
    write_(to_line(item));
  }

 private:
  const Write& write_;
  bool is_first_ = true;
};

// ---- Chrome

/// A process of the trace.
struct Lane {
  std::uint32_t pid = 0;
  std::string name;
  std::uint32_t threads = 0;  // of slots
  bool has_marks = false;
};

class ChromeTrace {
 public:
  ChromeTrace(const RecordedRun& trace, const Write& write)
      : trace_(trace), write_(write), list_(write), origin_(trace.row.submitted) {
    if (!trace.attempts.empty()) origin_ = std::min(origin_, trace.attempts.front().begin);
    choose_lanes();
  }

  void write() {
    write_("{\"displayTimeUnit\":\"ms\",\"otherData\":");
    write_(to_line({{"run", trace_.row.id.text()},
                    {"flow", trace_.row.flow_name},
                    {"state", name(trace_.state)},
                    {"start", to_rfc3339(origin_)},
                    {"reprise", version_text}}));
    write_(",\"traceEvents\":[");
    name_lanes();
    for (std::size_t i = 0; i < trace_.attempts.size(); ++i) slice(i);
    arrows();
    running();
    write_("\n]}\n");
  }

 private:
  void choose_lanes() {
    std::map<std::string, std::uint32_t> known;  // by worker; runs within runs have one of theirs
    const auto lane = [&](const std::string& key, std::string shown) {
      const auto [found, is_new] =
          known.try_emplace(key, static_cast<std::uint32_t>(lanes_.size()));
      if (is_new) lanes_.push_back({found->second + 1, std::move(shown), 0, false});
      return found->second;
    };
    for (const PastAttempt& attempt : trace_.attempts) {
      const std::string worker = attempt.detail ? attempt.detail->worker : std::string();
      if (is_nesting(trace_.view(), attempt.task) && !attempt.is_mark)
        lane_.push_back(lane("nested", "runs within this run"));
      else if (worker.empty())
        lane_.push_back(lane("tasks", "tasks"));
      else
        lane_.push_back(lane("worker " + worker, "worker " + worker));
    }
    slot_ = free_slots(trace_.attempts, lane_);
    for (std::size_t i = 0; i < trace_.attempts.size(); ++i) {
      Lane& of = lanes_[lane_[i]];
      if (trace_.attempts[i].is_mark)
        of.has_marks = true;
      else
        of.threads = std::max(of.threads, slot_[i] + 1);
    }
    if (lanes_.empty()) lanes_.push_back({1, "tasks", 0, false});
  }

  void name_lanes() {
    const auto meta = [&](const Lane& lane, std::uint32_t tid, const char* what, Json args) {
      list_.add({{"ph", "M"}, {"pid", lane.pid}, {"tid", tid}, {"name", what}, {"args", args}});
    };
    for (const Lane& lane : lanes_) {
      meta(lane, 0, "process_name", {{"name", lane.name}});
      meta(lane, 0, "process_sort_index", {{"sort_index", lane.pid}});
      if (lane.has_marks) meta(lane, 0, "thread_name", {{"name", "took no time"}});
      for (std::uint32_t t = 1; t <= lane.threads; ++t) {
        meta(lane, t, "thread_name", {{"name", fmt::format("slot {}", t - 1)}});
        meta(lane, t, "thread_sort_index", {{"sort_index", t}});
      }
    }
  }

  [[nodiscard]] std::uint32_t thread(std::size_t i) const {
    return trace_.attempts[i].is_mark ? 0 : slot_[i] + 1;
  }
  /// Microseconds as doubles hold nanoseconds exactly for a hundred days.
  [[nodiscard]] static double micro(Duration duration) {
    return static_cast<double>(duration.count()) / 1000;
  }

  void slice(std::size_t i) {
    const PastAttempt& attempt = trace_.attempts[i];
    Json args{{"state", shown_state(attempt)}, {"attempt", attempt.number}};
    if (attempt.is_open()) args["unfinished"] = true;
    if (attempt.cache != journal::CacheOutcome::none) args["cache"] = cache_json(attempt.cache);
    if (attempt.detail) {
      const journal::ChangeDetail& detail = *attempt.detail;
      if (!detail.message.empty()) args["message"] = detail.message;
      if (detail.exit_code != 0) args["exit_code"] = detail.exit_code;
      if (detail.origin)
        args[attempt.cache == journal::CacheOutcome::hit ? "from_run" : "nested_run"] =
            detail.origin->text();
    }
    Json event{{"ph", "X"},
               {"pid", lanes_[lane_[i]].pid},
               {"tid", thread(i)},
               {"ts", micro(attempt.begin - origin_)},
               {"dur", micro(attempt.end - attempt.begin)},
               {"name", trace_.view().task_name(attempt.task)},
               {"cat", shown_state(attempt)},
               {"args", std::move(args)}};
    if (is_failed(attempt.state)) event["cname"] = "terrible";
    list_.add(event);
  }

  /// From the end of what was waited for. An arrow begins within its slice, so there is none from
  /// what took no time.
  void arrows() {
    std::uint64_t id = 0;
    const auto tip = [&](const char* phase, std::uint32_t of, Time at) {
      Json event{{"ph", phase},
                 {"id", id},
                 {"pid", lanes_[lane_[of]].pid},
                 {"tid", thread(of)},
                 {"ts", micro(at - origin_)},
                 {"name", "waits"},
                 {"cat", "waits"}};
      if (*phase == 'f') event["bp"] = "e";
      list_.add(event);
    };
    for (const auto& [first, then] : waits_between(trace_.view(), trace_.attempts)) {
      const PastAttempt& from = trace_.attempts[first];
      const PastAttempt& to = trace_.attempts[then];
      if (from.end <= from.begin || to.end <= to.begin) continue;
      ++id;
      tip("s", first, from.end - Duration{1});
      tip("f", then, to.begin);
    }
  }

  /// How many ran at once.
  void running() {
    std::vector<std::pair<Time, int>> steps;
    for (const PastAttempt& attempt : trace_.attempts) {
      if (attempt.is_mark) continue;
      steps.emplace_back(attempt.begin, 1);
      steps.emplace_back(attempt.end, -1);
    }
    std::sort(steps.begin(), steps.end());
    int now = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      now += steps[i].second;
      if (i + 1 < steps.size() && steps[i + 1].first == steps[i].first) continue;
      list_.add({{"ph", "C"},
                 {"pid", lanes_.front().pid},
                 {"name", "running"},
                 {"ts", micro(steps[i].first - origin_)},
                 {"args", {{"running", now}}}});
    }
  }

  const RecordedRun& trace_;
  const Write& write_;
  List list_;
  Time origin_;
  std::vector<Lane> lanes_;
  std::vector<std::uint32_t> lane_;  // of each attempt
  std::vector<std::uint32_t> slot_;
};

// ---- OpenTelemetry

std::string hex_of(const RunId& run) {
  return to_hex({reinterpret_cast<const char*>(run.bytes.data()), run.bytes.size()});
}

constexpr std::string_view root_span = "0000000000000001";

/// Unique within the run's trace; the root's is smaller than all of these.
std::string span_id(TaskId task, std::uint32_t attempt) {
  return fmt::format("{:08x}{:08x}", std::uint64_t{task.value} + 1, attempt);
}

std::string nanoseconds(Time time) {
  return std::to_string(std::max<std::int64_t>(time.time_since_epoch().count(), 0));
}

Json attribute(std::string_view key, std::string_view text) {
  return {{"key", key}, {"value", {{"stringValue", text}}}};
}
Json attribute(std::string_view key, std::int64_t number) {
  return {{"key", key}, {"value", {{"intValue", std::to_string(number)}}}};
}
Json attribute_true(std::string_view key) {
  return {{"key", key}, {"value", {{"boolValue", true}}}};
}

/// The words of OpenTelemetry's conventions for pipelines.
std::string_view outcome(TaskState state) {
  if (state == TaskState::skipped) return "skip";
  if (state == TaskState::cancelled) return "cancellation";
  if (state == TaskState::timed_out) return "timeout";
  if (state == TaskState::lost) return "error";
  if (is_failed(state)) return "failure";
  return "success";
}

std::optional<std::string_view> outcome(RunState state) {
  if (state == RunState::success) return "success";
  if (state == RunState::failed) return "failure";
  if (state == RunState::cancelled) return "cancellation";
  if (state == RunState::interrupted) return "error";
  return std::nullopt;  // it goes on
}

constexpr int status_ok = 1, status_error = 2, kind_internal = 1;

Json root_json(const RecordedRun& trace) {
  const journal::RunRow& row = trace.row;
  Json attributes = Json::array();
  attributes.push_back(attribute("cicd.pipeline.name", row.flow_name));
  attributes.push_back(attribute("cicd.pipeline.run.id", row.id.text()));
  attributes.push_back(attribute("reprise.state", name(trace.state)));
  const auto result = outcome(trace.state);
  if (result)
    attributes.push_back(attribute("cicd.pipeline.result", *result));
  else
    attributes.push_back(attribute_true("reprise.unfinished"));
  Json status = Json::object();
  if (result)
    status = *result == "success" ? Json{{"code", status_ok}}
                                  : Json{{"code", status_error}, {"message", row.message}};
  return {{"traceId", hex_of(row.id)},
          {"spanId", root_span},
          {"name", row.flow_name},
          {"kind", kind_internal},
          {"startTimeUnixNano", nanoseconds(row.submitted)},
          {"endTimeUnixNano", nanoseconds(row.finished.value_or(trace.until))},
          {"attributes", std::move(attributes)},
          {"status", std::move(status)}};
}

/// @param again  of that number; a task that is cancelled while it waits for a retry ends with its
/// last attempt's number, and so does what computes a stale result anew
Json span_json(const RecordedRun& trace, const PastAttempt& attempt, std::uint32_t again,
               Origins& origins) {
  const journal::RunRow& row = trace.row;
  const std::string task = trace.view().task_name(attempt.task);
  const bool is_hit = attempt.cache == journal::CacheOutcome::hit;
  Json attributes = Json::array();
  attributes.push_back(attribute("cicd.pipeline.task.name", task));
  attributes.push_back(
      attribute("cicd.pipeline.task.run.id",
                fmt::format("{}/{}/{}", row.id.text(), attempt.task.value, attempt.number)));
  attributes.push_back(attribute("reprise.state", shown_state(attempt)));
  attributes.push_back(attribute("reprise.attempt", std::int64_t{attempt.number}));
  if (attempt.is_open())
    attributes.push_back(attribute_true("reprise.unfinished"));
  else
    attributes.push_back(attribute("cicd.pipeline.task.run.result", outcome(attempt.state)));
  if (attempt.cache != journal::CacheOutcome::none)
    attributes.push_back(
        attribute("reprise.cache", cache_json(attempt.cache).get_ref<const std::string&>()));
  Json links = Json::array();
  std::string message;
  if (attempt.detail) {
    const journal::ChangeDetail& detail = *attempt.detail;
    message = detail.message;
    if (!message.empty()) attributes.push_back(attribute("reprise.message", message));
    if (detail.key) attributes.push_back(attribute("reprise.key", detail.key->text()));
    if (detail.exit_code != 0)
      attributes.push_back(attribute("reprise.exit_code", std::int64_t{detail.exit_code}));
    if (!detail.worker.empty()) attributes.push_back(attribute("reprise.worker", detail.worker));
    if (detail.origin)
      attributes.push_back(
          attribute(is_hit ? "reprise.from_run" : "reprise.nested_run", detail.origin->text()));
    if (is_hit)
      if (const Origins::Producer* producer = origins.find(detail))
        links.push_back({{"traceId", hex_of(*detail.origin)},
                         {"spanId", span_id(producer->task, producer->attempt)}});
    if (!is_hit && detail.origin)
      links.push_back({{"traceId", hex_of(*detail.origin)}, {"spanId", root_span}});
  }
  Json status = Json::object();
  if (is_failed(attempt.state) || attempt.state == TaskState::lost)
    status = {{"code", status_error}, {"message", message}};
  else if (is_success(attempt.state))
    status = {{"code", status_ok}};
  return {{"traceId", hex_of(row.id)},
          {"spanId", span_id(attempt.task, attempt.number + (again << 24))},
          {"parentSpanId", root_span},
          {"name", task},
          {"kind", kind_internal},
          {"startTimeUnixNano", nanoseconds(attempt.begin)},
          {"endTimeUnixNano", nanoseconds(attempt.end)},
          {"attributes", std::move(attributes)},
          {"links", std::move(links)},
          {"status", std::move(status)}};
}

}  // namespace

void write_chrome_trace(const RecordedRun& trace, const Write& write) {
  ChromeTrace(trace, write).write();
}

void write_otlp_trace(const RecordedRun& trace, Origins& origins, const Write& write) {
  write("{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
  write(to_line(attribute("service.name", "reprise")) + "," +
        to_line(attribute("service.version", version_text)));
  write("]},\"scopeSpans\":[{\"scope\":{\"name\":\"reprise\"},\"spans\":[");
  List spans(write);
  spans.add(root_json(trace));
  std::map<std::pair<TaskId, std::uint32_t>, std::uint32_t> known;
  for (const PastAttempt& attempt : trace.attempts)
    spans.add(span_json(trace, attempt, known[{attempt.task, attempt.number}]++, origins));
  write("\n]}]}]}\n");
}

}  // namespace reprise::cli
