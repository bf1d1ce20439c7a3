// The Redis server of this invocation.
#pragma once

#include <optional>
#include <vector>

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

}  // namespace reprise::cli
