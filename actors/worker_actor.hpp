// The worker's shell: attempts go to the slots, results to the cache, news to the scheduler, in
// that order. A result is stored before it is reported, so "done" always means "can be fetched".
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include "cache/blob_store.hpp"
#include "core/time.hpp"
#include "worker/runner.hpp"

namespace reprise::actors {

struct WorkerActorOptions {
  std::uint32_t slots = 1;
  std::uint32_t gpus = 0;  // that there are, by index; an attempt that asks for some is told which
  std::shared_ptr<worker::Runner> runner;
  std::shared_ptr<cache::BlobStore>
      blobs;  // for results too large for the journal; null: none are kept
  Duration grace{std::chrono::seconds{10}};
  std::function<void(std::string)> warn;  // one line for people; may be empty
  caf::actor cache;
};

/// Handles Serve, Dispatch, Stop, Retract, RunOver, Finished (from its slots) and Stored. News go
/// to whom Serve named.
[[nodiscard]] caf::actor spawn_worker_actor(caf::actor_system& system, WorkerActorOptions options);

}  // namespace reprise::actors
