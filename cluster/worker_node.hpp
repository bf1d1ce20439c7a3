// A worker process: slots, a store of its own for what attempts take and give, and a link to the
// scheduler that it serves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "cluster/credentials.hpp"
#include "cluster/hub.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "worker/enforcement.hpp"
#include "worker/function_pool.hpp"
#include "worker/functions.hpp"

namespace reprise::cluster {

struct WorkerNodeOptions {
  ConnectOptions server;
  std::filesystem::path data;  // made when missing; used by one worker at a time
  std::string name;            // empty: of host and process; one worker of a name at a time
  Credentials credentials;
  unsigned slots = 0;  // attempts at once; 0 = as many as processors
  // What attempts may take: cpu_milli 0 = a processor for each slot; memory_bytes 0 = what the
  // machine has.
  Resources capacity{0, 0, {}};
  std::map<std::string, std::string> labels;  // that tasks may require
  std::string version;                        // of this program, shown to people
  Duration grace{std::chrono::seconds{10}};
  // A cut link that does not come back in time is over, and another one begins.
  Duration resume_window{std::chrono::seconds{30}};
  // What runs is ended when nothing was heard of a server for so long.
  Duration orphan_after{std::chrono::seconds{60}};
  std::filesystem::path secrets;                     // folder of secrets; may be empty
  std::shared_ptr<worker::FunctionTable> functions;  // null: the built-in functions only
  std::function<void()> on_stop;  // whoever runs the server wants this worker to leave; any thread
  std::shared_ptr<worker::FunctionPool> pool;  // null: no function gets its own process
  bool isolates_functions = false;  // users' functions get one whether their tasks ask or not
  std::shared_ptr<worker::Enforcement> enforcement;  // null: memory is limited by RLIMIT_AS
  // The scheduler does not take this worker, and will not; from another thread. May be empty.
  std::function<void(const Error&)> on_refused;
  std::function<void(std::string)> say;  // one line for people, any thread; required
};

class WorkerNode {
 public:
  /// @error conflict: another worker uses the folder; io, denied, exhausted: the folder; else as
  /// Hub::open(). That the server cannot be reached is only said: it is tried again for ever.
  [[nodiscard]] static Result<std::unique_ptr<WorkerNode>> open(WorkerNodeOptions options);
  /// Ends what runs, at the latest after the grace time.
  ~WorkerNode();
  WorkerNode(const WorkerNode&) = delete;
  WorkerNode& operator=(const WorkerNode&) = delete;

  [[nodiscard]] const std::string& name() const;
  /// Takes nothing more; returns at once. `on_left` is called, from another thread, when what was
  /// in hand is finished and handed over.
  void leave(std::function<void()> on_left);

 private:
  class State;
  explicit WorkerNode(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cluster
