// Digests of local files, each read once: as long as (device, inode, size, mtime, ctime) are what
// they were, the content is taken to be what it was.
//
// That is not true for a file that is written to within the same tick of the file system's clock as
// it was read: size and times stay, the content does not. So a digest is remembered only when the
// file was at least two seconds old when it was read (the "racy clean" rule of version control
// systems; two seconds is the coarsest tick in use, that of FAT).
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cache/files.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "core/value.hpp"
#include "sqlite/database.hpp"

namespace reprise::cache {

/// Safe from any thread; files are read without holding anybody else up.
class FileDigests {
 public:
  struct Options {
    std::filesystem::path path{};  // of cache.db; empty: remembered in memory only
  };
  /// @error as sqlite::Database::open
  [[nodiscard]] static Result<std::unique_ptr<FileDigests>> open(Options options);
  ~FileDigests();  // flushes

  /// Content, size and whether somebody may execute it; symbolic links are followed.
  /// @error not_found, denied, io; invalid_argument: a folder or no regular file; conflict: it
  /// keeps changing
  [[nodiscard]] Result<FileValue> digest(const std::filesystem::path& path);
  /// Writes what is new to the database. @error unavailable, exhausted, io: nothing is lost but
  /// time
  Status flush();

  /// Files read since open, for statistics.
  [[nodiscard]] std::uint64_t files_read() const;

 private:
  struct FileId {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const FileId&) const = default;
  };
  struct HashFileId {
    std::size_t operator()(const FileId& id) const noexcept;
  };
  struct Known {
    FileStamp stamp;
    Digest digest;
  };

  explicit FileDigests(std::unique_ptr<sqlite::Database> database)
      : database_(std::move(database)) {}
  [[nodiscard]] std::optional<Digest> remembered(const FileStamp& stamp);
  void remember(const FileStamp& stamp, const Digest& digest);
  Status flush_locked();

  mutable std::mutex mutex_;
  std::unique_ptr<sqlite::Database> database_;  // null: none
  std::optional<sqlite::Statement> find_;
  std::unordered_map<FileId, Known, HashFileId> known_;
  std::vector<FileId> unwritten_;
  std::uint64_t files_read_ = 0;
};

}  // namespace reprise::cache
