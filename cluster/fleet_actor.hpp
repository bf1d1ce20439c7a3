// The workers of an engine that run elsewhere, as one actor: what the engine sends to its worker
// goes to them over their links, and what they report comes back as if it had run here. Who runs
// what, and who is given up, Fleet decides.
//
// Of a result the scheduler hears once its bytes are in the store of this node and its record is in
// the cache, so "done" means "can be fetched" here, whatever becomes of the worker.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "cache/blob_store.hpp"
#include "cluster/fleet.hpp"
#include "cluster/run_queries.hpp"
#include "journal/journal.hpp"
#include "worker/function_message.hpp"

namespace reprise::cluster {

/// The workers as they were a moment ago, for whoever asks. Safe from any thread.
class FleetBoard {
 public:
  void set_functions(std::vector<worker::KnownFunction> functions) {
    const std::lock_guard guard(mutex_);
    functions_ = std::move(functions);
  }
  /// What some worker offers.
  [[nodiscard]] std::vector<worker::KnownFunction> functions() const {
    const std::lock_guard guard(mutex_);
    return functions_;
  }
  void set(std::vector<WorkerView> workers) {
    const std::lock_guard guard(mutex_);
    workers_ = std::move(workers);
  }
  [[nodiscard]] std::vector<WorkerView> workers() const {
    const std::lock_guard guard(mutex_);
    return workers_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<WorkerView> workers_;
  std::vector<worker::KnownFunction> functions_;
};

/// server → fleet: the runs of the server before that go on, all of them.
struct RunsGoOn {
  std::set<RunId> runs;
};

struct FleetActorOptions {
  FleetOptions fleet;
  journal::Epoch epoch;  // of the server
  caf::actor cache;
  std::shared_ptr<cache::BlobStore> blobs;
  std::filesystem::path incoming;  // folder for files that are still coming
  // Names of the workers, for the server after this one; empty: it is not told.
  std::filesystem::path members;
  std::shared_ptr<FleetBoard> board;
  std::function<void(std::string)> say;  // one line for people, from any thread; may be empty
};

/// A person decides about a worker; answered with Status. @error not_found
struct SetAside {
  enum class What : std::uint8_t {
    drain,    // it gets nothing new, finishes what it has, and stays
    undrain,  // it gets work again
    stop,     // it gets nothing new, finishes what it has, and its process ends
  };
  What what = What::drain;
  std::string name;
};

/// server → fleet: what a worker has of a log; `answer` is called on the actor's thread.
struct FindLog {
  wire::AskLog what;
  std::function<void(Result<wire::LogPart>)> answer;
};

/// Handles what the engine sends to its worker (Serve, Dispatch, Stop, Retract, Recorded, RunOver,
/// Stored), RunsGoOn, SetAside, FindLog and the events of links of workers (link_actor.hpp).
[[nodiscard]] caf::actor spawn_fleet_actor(caf::actor_system& system, FleetActorOptions options);

}  // namespace reprise::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::SetAside)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::RunsGoOn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::FindLog)
