// Environment variables as data: read once, so that nobody depends on when a library changes them.
#pragma once

#include <map>
#include <string>

namespace reprise::worker {

using Environment = std::map<std::string, std::string>;

/// All variables of this process. Not to be called while another thread changes them.
[[nodiscard]] Environment current_environment();

}  // namespace reprise::worker
