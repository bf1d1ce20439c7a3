// What stands behind reprise::run and reprise::result: a run of an engine in this process
// (engine_run.hpp) or of a server (remote_run.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/flow_state.hpp"
#include "api/run_watch.hpp"
#include "core/payload.hpp"
#include "flow/cache_mode.hpp"
#include "journal/records.hpp"
#include "reprise/run.hpp"

namespace reprise::detail {

/// When a wait of `timeout` from now ends; the end of time for none, and for what would overflow.
[[nodiscard]] std::chrono::steady_clock::time_point limit_of(
    std::optional<std::chrono::nanoseconds> timeout);

/// What is behind an event_stream.
class event_source {
 public:
  virtual ~event_source() = default;
  /// nullopt: the run is at rest and all is told. @error unavailable: nothing came in time
  [[nodiscard]] virtual expected<std::optional<event>> next(
      std::optional<std::chrono::nanoseconds> timeout) = 0;
};

/// Safe from any thread.
class live_run : public std::enable_shared_from_this<live_run> {
 public:
  live_run(std::shared_ptr<flow_state> flow, std::shared_ptr<const FlowSpec> spec,
           std::shared_ptr<run_watch> watch);
  virtual ~live_run() = default;
  live_run(const live_run&) = delete;
  live_run& operator=(const live_run&) = delete;

  [[nodiscard]] virtual std::string id() const = 0;
  [[nodiscard]] virtual bool continued() const = 0;
  /// Bytes of a node's result. Blocks for at most `timeout`.
  [[nodiscard]] fetched fetch(const node_ref& node,
                              std::optional<std::chrono::nanoseconds> timeout);
  [[nodiscard]] virtual std::optional<run_result> wait(
      std::optional<std::chrono::nanoseconds> timeout) = 0;
  [[nodiscard]] virtual expected<void> pause(std::vector<std::string> tasks,
                                             std::string reason) = 0;
  [[nodiscard]] virtual expected<void> cancel(std::vector<std::string> tasks,
                                              std::string reason) = 0;
  [[nodiscard]] virtual std::map<std::string, given_state> states() = 0;
  [[nodiscard]] virtual std::shared_ptr<event_source> events(std::uint64_t after) = 0;

  [[nodiscard]] const std::shared_ptr<flow_state>& flow() const { return flow_; }

 protected:
  /// What the run gives for a node. @error unavailable: not finished, ask again
  [[nodiscard]] virtual Result<Payload> result_of(NodeId node) = 0;
  /// The last lines that an attempt wrote; empty: none, or they cannot be had.
  [[nodiscard]] virtual std::string log_tail(TaskId task, std::uint32_t attempt) = 0;
  /// Changes begin to be told to the watch, if they are not already.
  virtual void begin_watching() {}
  /// Why changes are told no more, although the run is not at rest.
  [[nodiscard]] virtual std::optional<error> trouble() const { return std::nullopt; }

  [[nodiscard]] run_watch& watch() { return *watch_; }
  [[nodiscard]] const FlowSpec& spec() const { return *spec_; }
  /// The events that a change makes, in order.
  [[nodiscard]] std::vector<event> events_of(const journal::TaskChange& change,
                                             std::uint64_t offset) const;

 private:
  [[nodiscard]] task_error::details why_no_result(NodeId node, const std::string& message);

  std::shared_ptr<flow_state> flow_;
  std::shared_ptr<const FlowSpec> spec_;
  std::shared_ptr<run_watch> watch_;
};

/// Outcomes as they are told; `outputs` are those that are at hand.
[[nodiscard]] run_result result_from(const RunId& id, RunState state, const std::string& message,
                                     const journal::Summary& summary,
                                     const std::map<std::string, Payload>& outputs);
[[nodiscard]] CacheMode to_internal(cache_mode mode);

}  // namespace reprise::detail
