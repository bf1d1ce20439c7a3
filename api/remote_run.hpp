// What stands behind reprise::client and its runs.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/live_run.hpp"
#include "cluster/client.hpp"
#include "core/result.hpp"
#include "core/ulid.hpp"
#include "reprise/client.hpp"

namespace reprise::detail {

/// Empty fields filled in from the settings, as far as these say something.
/// @error as Configuration::load(), its first mistake
[[nodiscard]] Result<client_options> load_client_options(client_options given = {});

class client_state {
 public:
  /// @error as cluster::Client::connect(), load_credentials() and the settings
  [[nodiscard]] static Result<std::shared_ptr<client_state>> open(const client_options& options);
  explicit client_state(std::unique_ptr<cluster::Client> client) : client_(std::move(client)) {}

  /// @error as Client::submit(); invalid_argument, conflict: what a server cannot run
  [[nodiscard]] static Result<std::shared_ptr<live_run>> submit(
      const std::shared_ptr<client_state>& self, std::shared_ptr<flow_state> flow,
      const submit_options& options);
  /// @error not_found; conflict: of another flow
  [[nodiscard]] static Result<std::shared_ptr<live_run>> attach(
      const std::shared_ptr<client_state>& self, std::shared_ptr<flow_state> flow,
      const std::string& id);

  [[nodiscard]] cluster::Client& client() { return *client_; }

 private:
  std::unique_ptr<cluster::Client> client_;
};

/// The flow as workers find its functions: by name and version.
/// @error invalid_argument: user code that is not a task's; conflict: two bodies of one name
[[nodiscard]] Result<FlowSpec> spec_for_workers(const flow_state& flow);

class remote_run final : public live_run {
 public:
  remote_run(std::shared_ptr<client_state> client, std::shared_ptr<flow_state> flow,
             std::shared_ptr<const FlowSpec> spec, const RunId& run, bool continued);

  [[nodiscard]] std::string id() const override { return run_.text(); }
  [[nodiscard]] bool continued() const override { return continued_; }
  [[nodiscard]] std::optional<run_result> wait(
      std::optional<std::chrono::nanoseconds> timeout) override;
  [[nodiscard]] expected<void> pause(std::vector<std::string> tasks, std::string reason) override;
  [[nodiscard]] expected<void> cancel(std::vector<std::string> tasks, std::string reason) override;
  [[nodiscard]] std::map<std::string, given_state> states() override;
  [[nodiscard]] std::shared_ptr<event_source> events(std::uint64_t after) override;

 protected:
  [[nodiscard]] Result<Payload> result_of(NodeId node) override;
  [[nodiscard]] std::string log_tail(TaskId task, std::uint32_t attempt) override;
  void begin_watching() override;
  [[nodiscard]] std::optional<error> trouble() const override;

 private:
  class read_events;
  [[nodiscard]] std::uint64_t told() const;
  [[nodiscard]] bool is_at_rest() const;

  std::shared_ptr<client_state> client_;
  RunId run_;
  bool continued_ = false;
  mutable std::mutex mutex_;
  std::optional<Error> trouble_;  // why nothing more is told
  std::uint64_t told_ = 0;        // offset of the last change that the watch was told
  bool at_rest_ = false;          // and that was the last one
  std::condition_variable ended_;
  std::optional<Result<cluster::wire::RunEnded>> end_;
  // Last: they use the others. One is told changes, the other only how the run ends.
  std::unique_ptr<cluster::Following> following_;
  std::unique_ptr<cluster::Following> waiting_;
};

}  // namespace reprise::detail
