// Whether a database file is sound, without knowing what is in it: for `reprise doctor`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/result.hpp"

namespace reprise::sqlite {

struct Health {
  std::int64_t schema_version = 0;
  std::string damage;  // what PRAGMA quick_check complains about first; empty = nothing
};

/// Reads the file and changes nothing. Takes time in proportion to its size.
/// @error corrupt: no database, or it cannot be read; unavailable: locked for longer than two
/// seconds. Blocks.
[[nodiscard]] Result<Health> examine(const std::filesystem::path& path);

}  // namespace reprise::sqlite
