// Runs as one file, for another data folder: their rows, flows and changes, the values they refer
// to, and the cache entries that tell why their tasks ran. On top of cache/archive.hpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "cache/archive_export.hpp"
#include "cache/archive_import.hpp"
#include "cache/store.hpp"
#include "journal/sqlite_journal.hpp"

namespace reprise {

struct RunsExported {
  std::uint64_t runs = 0;
  std::uint64_t missing = 0;  // values of theirs that are not kept any more
  cache::Exported results;
};

struct RunsExport {
  journal::Journal& journal;
  cache::Store* store = nullptr;       // finds the entries that explain misses; null: none do
  std::filesystem::path cache_file{};  // made when it is not there
  std::shared_ptr<cache::BlobStore> blobs = nullptr;
};

/// @error unavailable, io, corrupt; of the writer
[[nodiscard]] Result<RunsExported> export_runs(const RunsExport& from,
                                               const std::vector<journal::RunRow>& rows,
                                               cache::ArchiveWriter& writer);

struct RunsImported {
  std::uint64_t runs = 0;   // that are new here
  std::uint64_t known = 0;  // that were here already, and are as they were
  std::vector<RunId> ids;   // of both, in the order of the archive
  cache::Imported results;
};

/// What was read by `archive` becomes visible: results first, then all runs at once.
/// @param dry_run  only checks it, and tells what would be new
/// @error corrupt: a run does not decode or hold together; nothing is to be seen of any then.
/// denied, unavailable, exhausted, io
[[nodiscard]] Result<RunsImported> import_runs(cache::ArchiveImport& archive,
                                               journal::SqliteJournal& journal,
                                               bool dry_run = false);

}  // namespace reprise
