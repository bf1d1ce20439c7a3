// Small files that each attempt finds anew: what it is told, and the values it is given.
#pragma once

#include <filesystem>
#include <string_view>

#include "core/result.hpp"

namespace reprise::worker {

/// Makes a file of its owner's alone hold `text`. One that is there is written over and then cut:
/// making it anew, or emptying it first, makes a journalled file system write it out, which costs a
/// thousand times as much. A file that has got another name too, became a link or was closed to its
/// owner is made anew, so that nothing else changes with it. Follows no links.
/// @error io, denied, exhausted
[[nodiscard]] Status write_over(const std::filesystem::path& path, std::string_view text);

}  // namespace reprise::worker
