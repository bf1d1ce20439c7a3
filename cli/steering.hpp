// `wait`, `cancel` and `pause` where --server names who has the runs.
#pragma once

#include "cli/console.hpp"
#include "cli/options.hpp"

namespace reprise::cli {

enum class Steering { cancel, pause };

int wait_for_remote(const WaitOptions& options, Console& console);
int steer_remote(Steering what, const CancelOptions& options, Console& console);

}  // namespace reprise::cli
