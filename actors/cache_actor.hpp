// Owns the cache store on a thread of its own: makes keys, looks them up, keeps results. A store
// that fails is a miss and a counter, never a failed task.
#pragma once

#include <memory>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include "cache/store.hpp"
#include "worker/material.hpp"

namespace reprise::actors {

struct CacheActorOptions {
  std::unique_ptr<cache::Store> store;
  std::unique_ptr<worker::FileHasher> hasher;  // digests of input files, for the keys of commands
  std::string account = "default";
  std::shared_ptr<Clock> clock;
};

/// LookUp is answered with LookedUp, Store with Stored, both to the sender.
[[nodiscard]] caf::actor spawn_cache_actor(caf::actor_system& system, CacheActorOptions options);

}  // namespace reprise::actors
