// What archive.cpp and archive_item.cpp share.
#pragma once

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "core/result.hpp"

namespace reprise::cache {

/// The first element of an item; `end` is no ArchiveItem.
enum class ArchiveTag : std::uint8_t { blob, chunk, entry, version, pin, run, batch, end };

[[nodiscard]] inline tl::unexpected<Error> damaged_archive(std::string_view why) {
  return fail(ErrorCode::corrupt, fmt::format("the archive is damaged: {}", why));
}

}  // namespace reprise::cache
