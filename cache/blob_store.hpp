// Content-addressed files below one folder: what tasks produced as files, and values too large for
// a row.
//
//   ab/cdef…         content of a file, named by the SHA-256 of its bytes
//   ab/cdef….value   encoded value, named by its own digest (Payload::digest); with .zst behind it
//                    when it is compressed, which it is where that pays
//   tmp/             what is being written;  quarantine/  what did not match its name any more
//
// Files appear complete or not at all (written aside, synced, renamed) and never change afterwards
// (mode 0400). A crash leaves nothing but a file in tmp/, which the next open sweeps when it is an
// hour old.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "cache/files.hpp"
#include "core/digest.hpp"
#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/value.hpp"

namespace reprise::cache {

/// Safe from any thread and any number of processes. Everything blocks.
class BlobStore {
 public:
  struct Options {
    std::filesystem::path folder{};  // made when missing, 0700
    bool sync = true;  // what was put survives a power cut: file and folder are synced
  };
  [[nodiscard]] static Result<std::unique_ptr<BlobStore>> open(Options options);

  /// Takes in the regular file at `path` (never a symbolic link), in one pass, without reading it
  /// into memory.
  /// @error not_found, io, denied, exhausted; invalid_argument: not a regular file; conflict:
  /// changed while it was read
  [[nodiscard]] Result<FileValue> put_file(const std::filesystem::path& path);
  [[nodiscard]] Result<Digest> put(std::string_view bytes);
  /// @error not_found; corrupt: moved to quarantine/; exhausted: above `limit` bytes
  [[nodiscard]] Result<std::string> get(const Digest& digest, std::uint64_t limit = 1ull << 30);
  /// Keeps the bytes of a value under its own digest (Payload::digest), so that no second digest is
  /// needed to find it.
  /// @error invalid_argument: the bytes are not at hand; io, denied, exhausted
  Status put_value(const Payload& value);
  /// The value with this digest, verified. @error not_found; corrupt: moved to quarantine/
  [[nodiscard]] Result<Payload> get_value(const Digest& digest);
  /// Puts the content at `destination`, which must not exist: a hard link when `read_only`, else a
  /// copy (reflink where the file system can), executable when the file was. Missing parent folders
  /// are made. The content is verified against its digest; nothing is left behind when something
  /// goes wrong.
  /// @error not_found: no such blob; corrupt: moved to quarantine/; conflict: the destination
  /// exists; io, denied, exhausted
  Status restore(const FileValue& file, const std::filesystem::path& destination, bool read_only);
  /// A copy of the file, writable, in place of whatever file lies at `destination`: people see the
  /// old one or the new one. @error as restore(), but for conflict
  Status replace(const FileValue& file, const std::filesystem::path& destination);
  /// Whether the content is there and right; read once per process as long as the file's times do
  /// not change. @error not_found; corrupt: moved to quarantine/; io, denied
  Status check(const FileValue& file);
  /// Takes over a file of this file system that holds the content of a file, or an encoded value,
  /// and whose bytes the caller has just compared with the digest. It is gone from `path` then.
  /// @error io, denied, exhausted
  Status adopt(const std::filesystem::path& path, const Digest& digest, bool is_value);
  /// As a file or as a value.
  [[nodiscard]] bool contains(const Digest& digest) const;
  /// Where the content of a file is kept.
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest) const;
  /// Number of files and bytes held.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> usage() const;

 private:
  enum class Kind : std::uint8_t { file, value, packed_value };
  struct Draft;

  explicit BlobStore(Options options) : options_(std::move(options)) {}
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest, Kind kind) const;
  [[nodiscard]] std::string unique_name();
  void sweep() const;
  Result<Draft> draft(const std::filesystem::path& folder, unsigned mode);
  bool has_good(const Digest& digest, Kind kind);
  Status keep(Draft& draft, const Digest& digest, Kind kind);
  Status put_bytes(std::string_view bytes, const Digest& digest, Kind kind);
  Result<OpenFile> open_blob(const Digest& digest, Kind kind);
  Result<Payload> get_packed(const Digest& digest);
  Result<std::string> read_blob(const Digest& digest, Kind kind, std::uint64_t limit);
  Status verify(OpenFile& blob, const Digest& digest, int copy_to,
                const std::filesystem::path& copy_path);
  Status restore_link(const OpenFile& blob, const Digest& digest,
                      const std::filesystem::path& destination);
  enum class Existing { refuse, replace };  // a file at the destination
  Status place(const FileValue& file, const std::filesystem::path& destination, bool read_only,
               Existing existing);
  Status restore_copy(OpenFile& blob, const FileValue& file,
                      const std::filesystem::path& destination, bool read_only, Existing existing);
  tl::unexpected<Error> quarantine(const Digest& digest, Kind kind, std::string_view why);
  [[nodiscard]] bool is_verified(const Digest& digest, const FileStamp& stamp) const;
  void remember_verified(const Digest& digest, const FileStamp& stamp);

  Options options_;
  std::atomic<std::uint64_t> counter_{0};
  mutable std::mutex mutex_;
  // Files whose content matched when they were in this state; each is hashed once per process.
  std::unordered_map<Digest, FileStamp> verified_;
};

}  // namespace reprise::cache
