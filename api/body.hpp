// A task body of the public API as the worker calls it.
#pragma once

#include "reprise/task.hpp"
#include "worker/functions.hpp"

namespace reprise::detail {

/// Decodes nothing itself: arguments pass as bytes. A reprise::signal becomes a worker::Ending,
/// other exceptions pass.
[[nodiscard]] worker::FunctionBody to_worker_body(erased_body body);

}  // namespace reprise::detail
