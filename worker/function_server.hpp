// The other side of worker/function_pool.hpp: a process that runs functions for the one that
// started it, one at a time, until that one ends or has enough of it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/result.hpp"
#include "worker/functions.hpp"

namespace reprise::worker {

/// To be called first thing in main, before any thread: when another process started this one to
/// run functions, runs them and does not return. Otherwise remembers that this program may be
/// started so.
/// @param functions  makes the table to serve from; given the arguments after the hidden one
void serve_functions_if_asked(
    int argc, char** argv,
    const std::function<Result<std::shared_ptr<FunctionTable>>(std::span<char*>)>& functions);

/// serve_functions_if_asked() was called: started once more, this program serves functions instead
/// of doing again what it does.
[[nodiscard]] bool can_serve_functions();

}  // namespace reprise::worker
