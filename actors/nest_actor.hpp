// The shell around runs that are nested in tasks of others: begins them, and reports their ends to
// the scheduler as those of the attempts they were begun for. It has a thread of its own, because
// it waits for the journal and for files.
#pragma once

#include <functional>
#include <memory>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include "cache/blob_store.hpp"
#include "core/clock.hpp"
#include "core/result.hpp"
#include "scheduler/events.hpp"

namespace reprise::actors {

struct NestActorOptions {
  /// Begins the run or goes on with it; an error: it cannot begin. Called on the actor's thread;
  /// blocks.
  std::function<Status(const scheduler::Nest&)> begin;
  std::shared_ptr<cache::BlobStore> blobs;  // for what the runs give back
  std::shared_ptr<Clock> clock;
};

/// Handles Serve, BeginNested and NestedOver. News go to whom Serve named.
[[nodiscard]] caf::actor spawn_nest_actor(caf::actor_system& system, NestActorOptions options);

}  // namespace reprise::actors
