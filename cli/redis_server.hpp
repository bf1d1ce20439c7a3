// The Redis server of this invocation.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cache/store.hpp"
#include "cli/options.hpp"
#include "core/result.hpp"
#include "redis/policy.hpp"
#include "redis/settings.hpp"

namespace reprise::cli {

/// From the flags and settings; none: no server is configured.
/// @error invalid_argument: the address
[[nodiscard]] Result<std::optional<redis::Settings>> redis_settings(const GlobalOptions& globals);

/// What is wrong with the server as a cache. @error as redis::inspect. Blocks.
[[nodiscard]] Result<std::vector<redis::Finding>> examine(const redis::Settings& settings);

/// What the server counts of all nodes.
struct SharedStatistics {
  std::string server;                    // "redis 127.0.0.1:6379"
  Result<cache::Statistics> statistics;  // or why it could not be asked
};
/// None: no server is configured. @error invalid_argument: the address. Blocks.
[[nodiscard]] Result<std::optional<SharedStatistics>> shared_statistics(
    const GlobalOptions& globals);

}  // namespace reprise::cli
