// cache.db: results by key (SqliteStore), leases (SqliteLeases) and digests of local files
// (FileDigests).
#pragma once

#include <filesystem>
#include <memory>

#include "cache/store.hpp"
#include "core/result.hpp"
#include "sqlite/database.hpp"

namespace reprise::cache {

/// A lost commit is a miss, so commits do not wait for the disk. @error as sqlite::Database::open
[[nodiscard]] Result<std::unique_ptr<sqlite::Database>> open_database(
    const std::filesystem::path& path, bool read_only = false);

/// The counters say what the rows add up to; within a transaction.
Status recount(sqlite::Database& database);

}  // namespace reprise::cache
