// Content-addressed files below one folder: blobs/ab/cd…; what tasks produced as files, and values too large for a row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/result.hpp"
#include "core/value.hpp"

namespace reprise::cache {

/// Safe from any thread and any number of processes: a blob appears complete or not at all (written aside, synced,
/// renamed).
class BlobStore {
 public:
  struct Options {
    std::filesystem::path folder;
    bool sync = true;  // fdatasync before the rename
  };
  [[nodiscard]] static Result<std::unique_ptr<BlobStore>> open(Options options);

  /// Takes in the regular file at `path` (never a symbolic link), in one pass, without reading it into memory.
  /// @error io, exhausted, invalid_argument: not a regular file
  [[nodiscard]] Result<FileValue> put_file(const std::filesystem::path& path);
  [[nodiscard]] Result<Digest> put(std::string_view bytes);
  /// @error not_found; corrupt: moved to quarantine/; exhausted: above `limit` bytes
  [[nodiscard]] Result<std::string> get(const Digest& digest, std::uint64_t limit = 1ull << 30);
  /// Puts the content at `destination`, which must not exist: a hard link when `read_only`, else a copy (reflink where
  /// the file system can). Missing parent folders are made. The content is verified against its digest.
  /// @error not_found, corrupt, io, exhausted
  Status restore(const FileValue& file, const std::filesystem::path& destination, bool read_only);
  [[nodiscard]] bool contains(const Digest& digest) const;
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest) const;
  /// Number of files and bytes held.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> usage() const;

 private:
  explicit BlobStore(Options options) : options_(std::move(options)) {}
  Options options_;
};

}  // namespace reprise::cache
