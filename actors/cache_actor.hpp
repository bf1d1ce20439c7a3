// Owns the cache store on a thread of its own: makes keys, looks them up, keeps results. A store
// that fails is a miss and a counter, never a failed task.
#pragma once

#include <memory>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include "cache/blob_store.hpp"
#include "cache/leases.hpp"
#include "cache/store.hpp"
#include "worker/material.hpp"

namespace reprise::actors {

struct CacheActorOptions {
  std::shared_ptr<cache::Store> store;
  std::shared_ptr<cache::Leases> leases;       // null: others are not kept from computing the same
  std::unique_ptr<worker::FileHasher> hasher;  // digests of input files, for the keys of commands
  std::string account = "default";
  std::shared_ptr<Clock> clock;
  std::shared_ptr<cache::BlobStore> blobs;  // takes in what is found at targets; may be null
};

/// Of all attempts that miss one key, in this process or another that shares the leases, one at a
/// time computes; the answers to the others wait for its result. LookUp is answered with LookedUp,
/// Store with Stored, both to the sender.
[[nodiscard]] caf::actor spawn_cache_actor(caf::actor_system& system, CacheActorOptions options);

}  // namespace reprise::actors
