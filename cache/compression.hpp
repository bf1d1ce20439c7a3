// Values made smaller where it pays (zstd). Digests are always of the bytes as they were.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reprise::cache {

/// Below, a frame's header and the time are not worth it.
inline constexpr std::size_t least_compressed_bytes = 512;

/// Above, values are not compressed: they would be wholly in memory twice.
inline constexpr std::size_t most_compressed_bytes = 64 << 20;

/// The bytes as one zstd frame (level 3, with size and checksum), or nothing when that would not
/// save an eighth. Of bytes above 256 KiB a part is tried first, so that what is compressed already
/// costs little.
[[nodiscard]] std::optional<std::string> compress(std::string_view bytes);

/// What a frame says that it becomes; 0 when it says nothing.
[[nodiscard]] std::uint64_t size_in(std::string_view frame);

/// @param size  of the bytes as they were; a frame that claims another is not even begun
/// @error corrupt
[[nodiscard]] Result<std::string> decompress(std::string_view frame, std::uint64_t size);

}  // namespace reprise::cache
