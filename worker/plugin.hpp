// Functions from shared objects (api/reprise/plugin_abi.h).
//
// What is loaded runs with all rights of the process. So a plugin must be a file that only its
// owner, who is root or the user of this process, can have put there; and it is loaded by the
// processes that run functions (worker/function_pool.hpp) alone, never by the one that serves a
// scheduler.
#pragma once

#include <filesystem>
#include <string>

#include "core/result.hpp"
#include "worker/functions.hpp"

namespace reprise::worker {

/// Whether the file may be loaded. @return its path, absolute and without symbolic links
/// @error not_found: there is no such file; denied: others could have written it; invalid_argument:
/// it is no shared object
[[nodiscard]] Result<std::filesystem::path> check_plugin(const std::filesystem::path& path);

/// Checks and loads it, for good, and adds its functions.
/// @error as check_plugin(); invalid_argument: it is no plugin, or one for another version of this
/// program; conflict: it has a function that the table has with another signature
[[nodiscard]] Status load_plugin(const std::filesystem::path& path, FunctionTable& table);

}  // namespace reprise::worker
