// Files and folders of this machine that a command takes as inputs, by content.
#pragma once

#include <filesystem>

#include "core/digest.hpp"
#include "core/result.hpp"
#include "core/value.hpp"

namespace reprise::worker {

/// Digests of local files; implementations remember them.
class FileHasher {
 public:
  virtual ~FileHasher() = default;
  /// @error not_found, io, invalid_argument: not a regular file
  [[nodiscard]] virtual Result<FileValue> hash(const std::filesystem::path& path) = 0;
};

/// What was read for a key, to be compared with what is there once the task has run.
struct LocalInput {
  std::filesystem::path path;
  Digest value;  // of its file or directory value
  bool operator==(const LocalInput&) const = default;
};

/// Merkle root of a folder (docs/protocol.md): names, contents and who may execute what; of links
/// the text. Names below it that are neither file, folder nor link are refused.
/// @error not_found, denied, io; invalid_argument: a device, socket or pipe, a name that is not
/// UTF-8, or more than 256 folders deep
[[nodiscard]] Result<Digest> folder_root(const std::filesystem::path& folder, FileHasher& files);

/// The value of the file or folder at `path`; a link there is followed.
/// @error as FileHasher::hash() and folder_root()
[[nodiscard]] Result<Value> local_value(const std::filesystem::path& path, FileHasher& files);

/// Whether the input is what it was. One that cannot be read any more is not. Files are read only
/// when their size, times or inode differ from what the hasher remembers.
[[nodiscard]] bool is_unchanged(const LocalInput& input, FileHasher& files);

}  // namespace reprise::worker
