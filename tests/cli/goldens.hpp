// Small runs to look at: a flow, its batches, and lines to compare with.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flow/flow_builder.hpp"
#include "journal/records.hpp"

namespace reprise::cli::test {

inline const RunId run_id = RunId::parse("01JD4Q7ZK80000000000000000").value();
inline const Time start{std::chrono::seconds{1'763'694'602}};  // 2025-11-21 03:10:02 UTC

/// Nodes without edges: what a view needs is their names.
inline std::shared_ptr<const FlowSpec> nodes(const std::vector<std::string>& names,
                                             std::uint32_t retries = 0) {
  FlowBuilder builder("sample");
  TaskKind kind;
  kind.cache_name = "sample";
  kind.retry.max = retries;
  const std::uint32_t index = builder.add_kind(std::move(kind));
  for (const std::string& name : names) builder.add_node(name, index);
  return std::make_shared<const FlowSpec>(std::move(builder).finish().value());
}

inline journal::TaskChange change(std::uint32_t task, TaskState state,
                                  std::chrono::milliseconds at = {}) {
  journal::TaskChange c;
  c.task = TaskId{task};
  c.state = state;
  c.at = start + at;
  return c;
}

inline journal::TaskChange ran(std::uint32_t task, TaskState state, std::chrono::milliseconds took,
                               std::string message = {}) {
  journal::TaskChange c = change(task, state, took);
  c.duration = took;
  c.executed = true;
  c.run_count = 1;
  if (!message.empty()) {
    c.detail.emplace();
    c.detail->message = std::move(message);
  }
  return c;
}

inline journal::TaskChange hit(std::uint32_t task) {
  journal::TaskChange c = change(task, TaskState::cached);
  c.cache = journal::CacheOutcome::hit;
  c.detail.emplace();
  c.detail->origin = run_id;
  return c;
}

inline journal::TaskChange expanded(std::uint32_t task, std::vector<std::string> labels) {
  journal::TaskChange c = change(task, TaskState::mapped);
  c.detail.emplace();
  c.detail->width = static_cast<std::uint32_t>(labels.size());
  c.detail->labels = std::move(labels);
  return c;
}

inline journal::Batch batch(std::vector<journal::TaskChange> tasks) {
  return {run_id, std::move(tasks), {}};
}

inline std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace reprise::cli::test
