// Tasks of the public API as functions that a worker runs.
#pragma once

#include <memory>
#include <vector>

#include "core/result.hpp"
#include "reprise/worker.hpp"
#include "worker/functions.hpp"

namespace reprise::detail {

/// A table with the built-in functions and these.
/// @error conflict: a name and version stands for two signatures
[[nodiscard]] Result<std::shared_ptr<worker::FunctionTable>> table_of(
    std::vector<served_task> tasks);

}  // namespace reprise::detail
