// What commands that run flows in this process share.
#pragma once

#include <string>
#include <vector>

#include "actors/engine.hpp"
#include "cli/options.hpp"

namespace reprise::cli {

/// --fields names something the document of `run` has: said before anything is started.
/// @error invalid_argument
[[nodiscard]] Status check_run_fields(const GlobalOptions& globals);

/// @param secrets  folder of secrets; empty = none
/// @param plugins  paths; their functions are among the engine's
/// @error not_found: there is no place for the data; io; as function_pool()
[[nodiscard]] Result<EngineOptions> engine_options(const GlobalOptions& globals, unsigned slots,
                                                   Durability durability, Duration grace,
                                                   const std::string& secrets = {},
                                                   const std::vector<std::string>& plugins = {});

}  // namespace reprise::cli
