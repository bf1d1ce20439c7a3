// A run as its changes tell it: what every task is doing now, for people and for resuming. Built
// from nothing but the flow and the run's batches, so a run on disk, a run in this process and a
// run seen over a link all look the same.
//
// Tasks 0 … nodes-1 are the nodes; a change to `mapped` with width w gives the node w elements,
// which take the next w ids. Such a node is then no task of its own any more: totals count its
// elements.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "flow/flow_spec.hpp"
#include "journal/journal.hpp"

namespace reprise::journal {

using StateCounts = std::array<std::uint32_t, task_state_count>;

/// All tasks of one node.
struct Group {
  NodeId node;
  std::uint32_t total = 0;
  std::uint32_t cached = 0;        // served from the cache
  StateCounts states{};            // by TaskState
  std::optional<Duration> median;  // of the bodies that ran to their end
  std::optional<TaskId> trouble;   // first failed task that has a message
  // First task of which is recorded what it waits for: another run, a worker, a person.
  std::optional<TaskId> waiting;
};

class RunView {
 public:
  explicit RunView(std::shared_ptr<const FlowSpec> flow);

  /// Takes in the next batch of the run. @error corrupt: a change of a task that the run does not
  /// have
  Status apply(const Batch& batch);

  [[nodiscard]] const FlowSpec& flow() const { return *flow_; }
  [[nodiscard]] std::shared_ptr<const FlowSpec> shared_flow() const { return flow_; }

  // The run.
  [[nodiscard]] RunState state() const { return run_.state; }
  [[nodiscard]] const std::string& message() const { return run_.message; }
  [[nodiscard]] std::optional<Time> first_change() const { return first_change_; }
  [[nodiscard]] std::optional<Time> last_change() const { return last_change_; }
  [[nodiscard]] Summary summary() const;
  [[nodiscard]] StateCounts counts() const;
  /// One row per node, in the flow's order.
  [[nodiscard]] std::vector<Group> groups() const;
  /// The tasks that wait for a person.
  [[nodiscard]] std::vector<TaskId> paused() const;

  // Tasks. Ids are 0 … size()-1; nodes with elements are among them but do not count
  // (`counts_as_task`).
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(states_.size()); }
  [[nodiscard]] bool counts_as_task(TaskId task) const;
  [[nodiscard]] NodeId node_of(TaskId task) const { return nodes_[task.value]; }
  /// Index of an element; -1: the task is a node.
  [[nodiscard]] std::int32_t map_index(TaskId task) const;
  struct Elements {
    TaskId first;
    std::uint32_t width = 0;
    std::vector<std::string> labels;  // empty = indices
  };
  /// Elements of a node; nullptr: it was not expanded.
  [[nodiscard]] const Elements* elements_of(NodeId node) const;

  [[nodiscard]] TaskState state(TaskId task) const { return states_[task.value]; }
  [[nodiscard]] CacheOutcome cache(TaskId task) const { return caches_[task.value]; }
  [[nodiscard]] std::uint32_t run_count(TaskId task) const { return run_counts_[task.value]; }
  [[nodiscard]] std::uint32_t loop_count(TaskId task) const { return loop_counts_[task.value]; }
  /// A change that somebody makes to a task of a run at rest; it has run as often as before.
  [[nodiscard]] TaskChange amendment(TaskId task, TaskState state, Time at, std::string why) const;
  /// The body ran, in whichever attempt.
  [[nodiscard]] bool executed(TaskId task) const { return executed_[task.value]; }
  /// When the last attempt began, and when the task came into its state.
  [[nodiscard]] std::optional<Time> started(TaskId task) const;
  [[nodiscard]] std::optional<Time> changed(TaskId task) const;
  /// Of the last attempt that ended.
  [[nodiscard]] Duration duration(TaskId task) const { return Duration(durations_[task.value]); }
  [[nodiscard]] const Payload& result(TaskId task) const { return results_[task.value]; }
  /// Of the last change; nullptr: it had none.
  [[nodiscard]] const ChangeDetail* detail(TaskId task) const;
  /// Empty unless the last change said something.
  [[nodiscard]] std::string_view message(TaskId task) const;

  /// "align", "align[s3]". As the author wrote it: to be escaped by whoever shows it.
  [[nodiscard]] std::string task_name(TaskId task) const;
  /// The task of that name; of elements with the same label the first. "align[2]" also finds by
  /// index.
  [[nodiscard]] std::optional<TaskId> find_task(std::string_view name) const;
  /// "; did you mean \"align\"?" or nothing, for the error about a name that was not found.
  [[nodiscard]] std::string did_you_mean_task(std::string_view name) const;

 private:
  static constexpr std::int64_t never = INT64_MIN;

  Status apply(const TaskChange& change);
  Status expand(NodeId node, const ChangeDetail& detail);
  void grow(std::uint32_t size);
  [[nodiscard]] std::optional<NodeId> find_node(std::string_view name) const;

  std::shared_ptr<const FlowSpec> flow_;
  RunChange run_;
  std::optional<Time> first_change_;
  std::optional<Time> last_change_;
  std::uint64_t executions_ = 0;

  // One entry per task.
  std::vector<NodeId> nodes_;  // none: an element that a later expansion replaced
  std::vector<TaskState> states_;
  std::vector<CacheOutcome> caches_;
  std::vector<bool> executed_;
  std::vector<std::uint32_t> run_counts_;
  std::vector<std::uint32_t> loop_counts_;
  std::vector<std::int64_t> started_;
  std::vector<std::int64_t> changed_;
  std::vector<std::int64_t> durations_;
  std::vector<Payload> results_;
  std::unordered_map<TaskId, ChangeDetail> details_;  // few tasks have any

  std::unordered_map<NodeId, Elements> elements_;
  mutable std::unordered_map<std::string_view, NodeId> nodes_by_name_;  // made when first asked for
};

/// The flow of a run with the folder and file name that its row remembers.
/// @error not_found, corrupt, unavailable, io
[[nodiscard]] Result<std::shared_ptr<const FlowSpec>> flow_of(Journal& journal, const RunRow& row);

/// The run as the journal has it. `last`, when given, receives the offset of the last change read.
/// @error not_found, corrupt, unavailable, io
[[nodiscard]] Result<RunView> load_run(Journal& journal, const RunRow& row, Offset* last = nullptr);

}  // namespace reprise::journal
