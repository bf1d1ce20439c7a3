// cache.db: results by key (SqliteStore), leases (SqliteLeases) and digests of local files
// (FileDigests).
#pragma once

#include <filesystem>
#include <memory>

#include "core/result.hpp"
#include "sqlite/database.hpp"

namespace reprise::cache {

/// What may become of a version; the numbers are part of the file's format.
enum class VersionStatus : std::int64_t {
  ok = 0,
  negative = 1,   // a failure worth remembering
  tombstone = 2,  // from here on there is no result
  damaged = 3,    // its value did not match its digest; the number is not used again
};

/// A lost commit is a miss, so commits do not wait for the disk. @error as sqlite::Database::open
[[nodiscard]] Result<std::unique_ptr<sqlite::Database>> open_database(
    const std::filesystem::path& path, bool read_only = false);

}  // namespace reprise::cache
