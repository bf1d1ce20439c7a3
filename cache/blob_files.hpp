// The files of a blob store, as upkeep sees them: by what they claim to be, not by what is needed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "core/digest.hpp"
#include "core/time.hpp"

namespace reprise::cache {

struct BlobFile {
  std::filesystem::path path;
  Digest digest;
  bool is_value = false;
  bool is_packed = false;
  std::uint64_t bytes = 0;
  Time modified;
};

/// nullopt: not the name of a blob, or no regular file.
[[nodiscard]] std::optional<BlobFile> blob_file(const std::filesystem::path& path);

/// Digest of a blob's bytes, in the way its name was made; nullopt: it cannot be read.
[[nodiscard]] std::optional<Digest> digest_of_file(const BlobFile& file);

/// All blobs below a store's folder, in no order.
[[nodiscard]] std::vector<BlobFile> blob_files(const std::filesystem::path& folder);

}  // namespace reprise::cache
