// Writing entries of a data folder's cache into an archive: all their versions, with materials,
// values, the files within values, and pins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "cache/archive.hpp"
#include "cache/blob_store.hpp"
#include "cache/upkeep.hpp"

namespace reprise::cache {

struct Exported {
  std::uint64_t entries = 0;  // keys
  std::uint64_t versions = 0;
  std::uint64_t damaged = 0;  // versions without their value, because it is damaged or missing here
  std::uint64_t blobs = 0;
  std::uint64_t blob_bytes = 0;
  std::uint64_t pins = 0;
};

/// Sees the cache as it was when it was opened. Beside writers; blocks none of them.
class ArchiveExport {
 public:
  /// @param path  of cache.db, which must exist. @error as sqlite::Database::open
  [[nodiscard]] static Result<std::unique_ptr<ArchiveExport>> open(
      const std::filesystem::path& path, std::shared_ptr<BlobStore> blobs, ArchiveWriter& writer);
  ~ArchiveExport();

  /// Every entry of which a version fits; an empty selection is everything. Entries that were
  /// written before are passed over. @error of the writer; unavailable, io, corrupt
  Status add(const Selection& selection);
  /// A blob and nothing that refers to it, once. @return false: it is missing or damaged here
  Result<bool> add_blob(ArchiveBlob::Kind kind, const Digest& digest);
  /// A value's blob and the files it names. `value` may be at hand: then only the files.
  /// @return false: something of it is missing or damaged here
  Result<bool> add_value(const Payload& value);
  /// The pins of what was added; last.
  Status add_pins();

  [[nodiscard]] const Exported& counts() const;

 private:
  struct State;
  explicit ArchiveExport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cache
