// What the Redis server does for the cache in one step: functions in Lua (Redis 7.0).
#pragma once

#include "redis/client.hpp"

namespace reprise::cache {

/// The library "rp1". Whoever changes what a function takes or gives raises the revision, and lets
/// programs of the last revision go on working.
[[nodiscard]] const redis::Library& redis_functions();

}  // namespace reprise::cache
