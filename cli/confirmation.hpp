// Asking before something is gone.
#pragma once

#include <optional>
#include <string>

#include "cli/console.hpp"

namespace reprise::cli {

/// Where nobody can answer, -y has to be there. @param what  "removes results"
/// @return what to exit with, when it was not confirmed
[[nodiscard]] std::optional<int> refuse_unconfirmed(const std::string& question,
                                                    std::string_view what, Console& console);

}  // namespace reprise::cli
