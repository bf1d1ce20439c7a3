// Environment variables as data: read once, so that nobody depends on when a library changes them.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace reprise::worker {

using Environment = std::map<std::string, std::string>;

/// Longer texts are not given to commands as variables: the system refuses ones above 128 KiB.
inline constexpr std::size_t variable_bytes_max = 64 << 10;

/// All variables of this process. Not to be called while another thread changes them.
[[nodiscard]] Environment current_environment();

}  // namespace reprise::worker
