// What a handle of a run knows of its tasks from the changes that it is told.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/id.hpp"
#include "flow/flow_spec.hpp"
#include "journal/records.hpp"

namespace reprise::detail {

/// What is known of a run's tasks from the changes that are told, to wait for one of them
/// without asking again and again. Thread-safe.
class run_watch {
 public:
  /// @param expanded  nodes that became many tasks before anybody watched
  void set_nodes(std::size_t count, const std::vector<std::pair<NodeId, std::uint32_t>>& expanded);
  void observe(const journal::Batch& batch);

  /// Changes are kept from the beginning, until it turns out that nobody will ask.
  void keep_no_changes();
  /// From the one numbered `first` on, counted from 0.
  [[nodiscard]] std::vector<journal::TaskChange> changes(std::size_t first = 0) const;
  /// The node a task belongs to, and which of its elements it is.
  [[nodiscard]] std::pair<NodeId, std::optional<std::size_t>> place_of(TaskId task) const;

  /// Waits until, so far as is known here, the node and all its elements or the run ended; false:
  /// `limit` passed.
  bool wait_for_node(NodeId node, std::chrono::steady_clock::time_point limit);
  [[nodiscard]] bool run_ended() const;
  /// No more changes will be told.
  void end();
  /// How many changes, of tasks and of the run, were told so far.
  [[nodiscard]] std::uint64_t heard() const;
  /// Waits until that is another number than `seen`, or the run ended; false: `limit` passed.
  bool wait_for_changes(std::uint64_t seen, std::chrono::steady_clock::time_point limit);
  [[nodiscard]] bool was_skipped(NodeId node) const;

  struct failure {
    TaskState state = TaskState::failed;
    std::uint32_t attempt = 0;
    std::int32_t exit_code = 0;
    std::string message;
  };
  struct failed_task {
    TaskId task;
    std::optional<std::uint32_t> index;  // of an element of a mapped node
    failure why;
  };
  /// How the node, or its first failed element, ended without a result; none: nothing of the kind
  /// is known.
  [[nodiscard]] std::optional<failed_task> failure_of(NodeId node) const;

 private:
  struct elements {
    TaskId first;
    std::uint32_t width = 0;
    mutable std::uint32_t done = 0;  // the first so many have ended
  };
  void add_elements(TaskId node, std::uint32_t width);
  void note(const journal::TaskChange& change);
  [[nodiscard]] bool is_over(NodeId node) const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t node_count_ = 0;           // 0 = not known yet
  std::uint32_t next_task_ = 0;          // the next mapped node's first element
  std::vector<bool> ended_;              // by task
  std::map<TaskId, elements> elements_;  // by mapped node
  std::map<TaskId, failure> failures_;
  std::vector<journal::TaskChange> early_;  // from before the number of nodes was known
  bool run_ended_ = false;
  std::uint64_t heard_ = 0;
  bool keeps_changes_ = true;
  std::vector<journal::TaskChange> changes_;
};

}  // namespace reprise::detail
