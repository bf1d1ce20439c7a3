// Owns the cache service, on a thread of its own because the store blocks.
#pragma once

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include "actors/cache_service.hpp"
#include "cache/wake_ups.hpp"

namespace reprise::actors {

/// LookUp is answered with LookedUp, Store with Stored, both to the sender.
[[nodiscard]] caf::actor spawn_cache_actor(caf::actor_system& system, CacheServiceOptions options,
                                           std::shared_ptr<cache::WakeUps> wake_ups = nullptr);

}  // namespace reprise::actors
