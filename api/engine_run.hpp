// What stands behind reprise::engine and its runs.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/engine.hpp"
#include "api/live_run.hpp"
#include "cluster/run_control.hpp"
#include "core/result.hpp"
#include "core/ulid.hpp"
#include "worker/functions.hpp"

namespace reprise::detail {

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

class engine_run final : public live_run {
 public:
  engine_run(std::shared_ptr<engine_state> engine, std::shared_ptr<flow_state> flow,
             std::shared_ptr<const FlowSpec> spec, RunStarted started,
             std::shared_ptr<run_watch> watch);
  ~engine_run() override;

  [[nodiscard]] std::string id() const override { return started_.id.text(); }
  [[nodiscard]] bool continued() const override { return started_.continued; }
  [[nodiscard]] std::optional<run_result> wait(
      std::optional<std::chrono::nanoseconds> timeout) override;
  [[nodiscard]] expected<void> pause(std::vector<std::string> tasks, std::string reason) override;
  [[nodiscard]] expected<void> cancel(std::vector<std::string> tasks, std::string reason) override;
  [[nodiscard]] std::map<std::string, given_state> states() override;
  [[nodiscard]] std::shared_ptr<event_source> events(std::uint64_t after) override;

 protected:
  [[nodiscard]] Result<Payload> result_of(NodeId node) override;
  [[nodiscard]] std::string log_tail(TaskId task, std::uint32_t attempt) override;

 private:
  class told_events;

  std::shared_ptr<engine_state> engine_;
  RunStarted started_;
};

}  // namespace reprise::detail
