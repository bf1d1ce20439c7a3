// The functions a process can run, by "name@version".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/cache_key.hpp"
#include "core/payload.hpp"
#include "worker/runner.hpp"

namespace reprise::worker {

/// What a function body gives back; exceptions are caught by the runner and become failures.
struct Returned {
  Payload value;
  std::optional<std::string> uncacheable;
};

/// Thrown by a body to end its attempt in a state of its choice: skipped, failed, success,
/// retrying, paused or looped.
struct Ending {
  TaskState state = TaskState::failed;
  std::string message;
  Payload value;                   // of a success or a loop
  std::optional<Time> start_time;  // of a retry or a pause
};

/// Makes of an ending how the attempt ended. Failures and skips without a value get one that says
/// why.
void end_as(Outcome& outcome, Ending&& ending);
/// Makes of it a failure.
void set_failed(Outcome& outcome, FailureClass failure, std::string message);

struct Call {
  std::span<const Argument> arguments;
  const Attempt& attempt;
  std::stop_token stop;
};

using FunctionBody = std::function<Returned(const Call&)>;

struct Function {
  std::string name;
  std::string version = "1";
  Signature signature;
  FunctionBody body;

  /// Whose code it is.
  enum class Home : std::uint8_t {
    user,     // in this program: run in a process of its own where that is asked for
    program,  // this program's own, which needs that only when its task says so
    pool,     // in the processes of the pool alone: there is no body here
  };
  Home home = Home::user;
};

/// Thread-safe. Entries are never removed.
class FunctionTable {
 public:
  /// Registers a function. Registering the same name, version and signature again keeps the first.
  /// @error conflict: the same name@version with another signature
  Status add(Function function);
  /// @param id "name@version". nullptr: unknown.
  [[nodiscard]] std::shared_ptr<const Function> find(std::string_view id) const;
  [[nodiscard]] std::vector<std::string> ids() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Function>, std::less<>> functions_;
};

/// Adds the functions every program has: "trace.hash@1", "trace.sleep@1", "trace.noop@1"
/// (worker/builtins.cpp) and small helpers for flow files.
void add_builtins(FunctionTable& table);

}  // namespace reprise::worker
