// Runs attempts in this process: functions from its table, commands as processes.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cache/blob_store.hpp"
#include "worker/command.hpp"
#include "worker/enforcement.hpp"
#include "worker/function_pool.hpp"
#include "worker/functions.hpp"
#include "worker/runner.hpp"
#include "worker/task_log.hpp"

namespace reprise::worker {

class LocalRunner final : public Runner {
 public:
  struct Options {
    std::shared_ptr<const FunctionTable> functions{};
    std::shared_ptr<cache::BlobStore> blobs{};  // null: commands can neither take nor give files
    Duration grace{std::chrono::seconds{10}};   // a command's between SIGTERM and SIGKILL
    LogLimits logs{};
    Environment environment = current_environment();  // that commands inherit a few variables from
    std::filesystem::path secrets{};                  // folder of secrets; may be empty
    std::function<void(std::string)> warn{};          // one line, for people; may be empty
    // Processes for functions that are to have one; null: such a task cannot start.
    std::shared_ptr<FunctionPool> pool{};
    bool isolates_functions = false;             // also of tasks that do not ask for it
    std::shared_ptr<Enforcement> enforcement{};  // null: memory is limited by RLIMIT_AS
  };
  explicit LocalRunner(Options options);

  /// A body that does not look at `stop` cannot be ended here; that is the caller's business
  /// (SlotPool). What was stopped is reported as cancelled: the runner does not know the reason.
  [[nodiscard]] Outcome run(const Attempt& attempt, std::stop_token stop) override;
  [[nodiscard]] bool ends_by_force(const Attempt& attempt) const override;
  void tidy() override;

 private:
  [[nodiscard]] Outcome run_body(const Attempt& attempt, std::stop_token stop);
  [[nodiscard]] Outcome run_function(const Attempt& attempt, const reprise::FunctionBody& body,
                                     std::stop_token stop);
  [[nodiscard]] Outcome answer(const Attempt& attempt, const std::stop_token& stop);
  [[nodiscard]] std::shared_ptr<const Function> find_function(const std::string& id) const;
  [[nodiscard]] bool is_isolated(const Function& function, const Attempt& attempt) const;
  [[nodiscard]] Returned call_isolated(const Function& function, const Call& call);
  [[nodiscard]] std::shared_ptr<const Function> function_to_ask(const std::string& id,
                                                                const Attempt& attempt);
  [[nodiscard]] std::string unknown_function(const std::string& id) const;
  [[nodiscard]] std::shared_ptr<RunResources> resources_of(
      const std::shared_ptr<const RunContext>& run);

  struct KnownRun {
    std::weak_ptr<const RunContext> context;
    std::shared_ptr<RunResources> resources;
  };

  const Options options_;
  const std::uint64_t serial_;  // tells this object from an earlier one at the same address
  const CommandRunner commands_;
  std::mutex mutex_;
  std::map<std::string, KnownRun>
      runs_;  // by folder; those that nobody knows any more are dropped when one comes
};

}  // namespace reprise::worker
