// Processes that run functions: copies of this program that stay, so that a body which crashes,
// leaks or does not stop takes nothing along but its own attempt.
//
// Each runs one call at a time; there are as many as calls were made at once. They are started when
// first needed, never by fork: the program starts itself anew with a hidden argument
// (worker/function_server.hpp), so only a program that looks for that argument first thing in main
// can have a pool. A process that crashed, was killed, or has made its share of calls is replaced.
//
// A call costs about 10 us more than one on a thread, and a new process some 5 ms.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/time.hpp"
#include "worker/enforcement.hpp"
#include "worker/environment.hpp"
#include "worker/function_process.hpp"
#include "worker/functions.hpp"
#include "worker/process.hpp"

namespace reprise::worker {

/// Where what a body prints goes.
struct CallOutput {
  OutputSink& out;
  OutputSink& err;
};

/// What a call threw in another process, or that the process ended under it.
class CallFailed : public std::runtime_error {
 public:
  CallFailed(FailureClass failure_class, std::string type_name, const std::string& message)
      : std::runtime_error(message), failure(failure_class), type(std::move(type_name)) {}

  FailureClass failure = FailureClass::task;
  std::string type;  // of what was thrown; "Crash" when nothing was
  std::int32_t signal = 0;
  std::int32_t exit_code = 0;
};

/// Safe from any thread.
class FunctionPool : public std::enable_shared_from_this<FunctionPool> {
 public:
  struct Options {
    std::string program;               // empty: this one
    std::vector<std::string> plugins;  // absolute paths; each process loads them
    Environment environment = current_environment();
    Duration grace{std::chrono::seconds{10}};
    std::uint32_t calls_max = 1000;            // of one process; what leaks is gone then
    std::shared_ptr<Enforcement> enforcement;  // null: memory is limited by RLIMIT_AS
  };

  /// Starts nothing yet.
  /// @error unavailable: this program does not look for the hidden argument; the message says what
  /// to do
  [[nodiscard]] static Result<std::shared_ptr<FunctionPool>> open(Options options);

  /// What the processes can run; starts one when there is none.
  /// @error unavailable: it did not start
  [[nodiscard]] Result<std::vector<KnownFunction>> functions();

  /// Runs a function in a process of the pool. Blocks until it is over: at the latest the grace
  /// time after `call.stop` was requested.
  /// @throws Ending as the body did; CallFailed for everything else
  [[nodiscard]] Returned call(const std::string& function, const Call& call, CallOutput output);

  /// Processes there are now, for tests.
  [[nodiscard]] std::vector<pid_t> idle() const;

 private:
  explicit FunctionPool(Options options) : options_(std::move(options)) {}
  [[nodiscard]] Result<std::unique_ptr<FunctionProcess>> take();
  [[nodiscard]] Result<std::unique_ptr<FunctionProcess>> start();
  void give_back(std::unique_ptr<FunctionProcess> process);

  const Options options_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<FunctionProcess>> idle_;
  std::uint64_t started_ = 0;
};

/// Adds to the table those of the pool's functions that it lacks, to be called through the pool.
/// The table's own must be the same there.
/// @error unavailable: no process could be started; conflict: another signature
[[nodiscard]] Status add_functions_of(const std::shared_ptr<FunctionPool>& pool,
                                      FunctionTable& table);

}  // namespace reprise::worker
