// What stands behind reprise::engine, reprise::run and reprise::result.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/engine.hpp"
#include "api/flow_state.hpp"
#include "cluster/run_control.hpp"
#include "core/result.hpp"
#include "core/ulid.hpp"
#include "reprise/run.hpp"
#include "worker/functions.hpp"

namespace reprise::detail {

/// What is known of a run's tasks from the changes the engine tells, to wait for one of them
/// without asking again and again. Thread-safe.
class run_watch {
 public:
  /// @param expanded  nodes that became many tasks before anybody watched
  void set_nodes(std::size_t count, const std::vector<std::pair<NodeId, std::uint32_t>>& expanded);
  void observe(const journal::Batch& batch);

  /// Changes are kept from the beginning, until it turns out that nobody will ask.
  void keep_no_changes();
  [[nodiscard]] std::vector<journal::TaskChange> changes() const;
  /// The node a task belongs to, and which of its elements it is.
  [[nodiscard]] std::pair<NodeId, std::optional<std::size_t>> place_of(TaskId task) const;

  /// Waits until, so far as is known here, the node and all its elements or the run ended; false:
  /// `limit` passed.
  bool wait_for_node(NodeId node, std::chrono::steady_clock::time_point limit);
  [[nodiscard]] bool run_ended() const;
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
  bool keeps_changes_ = true;
  std::vector<journal::TaskChange> changes_;
};

class live_run;

/// An engine with the functions of the flows it ran.
class engine_state {
 public:
  /// @error as Engine::open()
  [[nodiscard]] static Result<std::shared_ptr<engine_state>> open(const engine_options& options);
  /// `functions` must be the table that `engine` runs from.
  engine_state(std::unique_ptr<Engine> engine, std::shared_ptr<worker::FunctionTable> functions,
               std::function<void(std::string)> warn = {});

  /// @error as Engine::submit(); conflict: another body has the name and version of one of the
  /// flow's
  [[nodiscard]] static Result<std::shared_ptr<live_run>> submit(
      const std::shared_ptr<engine_state>& self, std::shared_ptr<flow_state> flow,
      const submit_options& options);

  [[nodiscard]] Engine& engine() { return *engine_; }
  /// The run is over: other processes need not reach it any more. Blocks for as long as a request
  /// is being answered; not to be called from the engine's threads.
  void end_requests(const RunId& run);
  /// Nobody asks about the run any more.
  void forget(const RunId& run);

 private:
  [[nodiscard]] Status register_functions(const flow_state& flow, FlowSpec& spec);
  void observe(const journal::Batch& batch);
  void serve_requests(const RunStarted& run);
  void forget_the_finished();

  std::shared_ptr<worker::FunctionTable> functions_;
  std::mutex registry_mutex_;
  std::unordered_map<std::string, const void*>
      bodies_;  // "name@version" → identity of the body registered

  std::mutex mutex_;
  std::unordered_map<RunId, std::shared_ptr<run_watch>> watches_;
  int submitting_ = 0;            // changes of a run may arrive before its id does
  std::vector<RunId> forgotten_;  // still running when they were

  std::unique_ptr<Engine> engine_;  // its threads use all of the above
  std::function<void(std::string)> warn_;
  std::mutex controls_mutex_;
  std::unordered_map<RunId, std::unique_ptr<cluster::ControlServer>>
      controls_;  // after the engine that they ask
};

class live_run {
 public:
  live_run(std::shared_ptr<engine_state> engine, std::shared_ptr<flow_state> flow,
           std::shared_ptr<const FlowSpec> spec, RunStarted started,
           std::shared_ptr<run_watch> watch);
  ~live_run();
  live_run(const live_run&) = delete;
  live_run& operator=(const live_run&) = delete;

  /// Bytes of a node's result. Blocks for at most `timeout`.
  [[nodiscard]] fetched fetch(const node_ref& node,
                              std::optional<std::chrono::nanoseconds> timeout);
  [[nodiscard]] std::optional<run_result> wait(std::optional<std::chrono::nanoseconds> timeout);
  [[nodiscard]] expected<void> pause(std::vector<std::string> tasks, std::string reason);
  [[nodiscard]] std::map<std::string, given_state> states();
  [[nodiscard]] std::vector<event> events();
  [[nodiscard]] expected<void> cancel(std::vector<std::string> tasks, std::string reason);

  [[nodiscard]] const std::shared_ptr<flow_state>& flow() const { return flow_; }
  [[nodiscard]] const RunStarted& started() const { return started_; }

 private:
  [[nodiscard]] task_error::details why_no_result(NodeId node, const std::string& message) const;

  std::shared_ptr<engine_state> engine_;
  std::shared_ptr<flow_state> flow_;
  std::shared_ptr<const FlowSpec> spec_;
  RunStarted started_;
  std::shared_ptr<run_watch> watch_;
};

}  // namespace reprise::detail
