// Reading what a user points at: a file or standard input, inflated when it is gzip, never larger
// than a limit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reprise {

struct InputLimits {
  std::uint64_t raw_bytes_max = std::uint64_t{512} << 20;     // of the file itself
  std::uint64_t inflated_bytes_max = std::uint64_t{2} << 30;  // after gunzip
  // A small file that inflates into a very large one was made to hurt: beyond `ratio_free_bytes`
  // the content may not be more than `ratio_max` times the file. Recorded traces stay below 30
  // times; deflate's own limit is 1032.
  std::uint64_t ratio_max = 100;
  std::uint64_t ratio_free_bytes = std::uint64_t{64} << 20;
};

/// The content of `path`, or of standard input when it is "-", inflated when it begins with gzip's
/// magic bytes whatever its name says. Blocks until the end of the input.
/// @error not_found, denied, io; invalid_argument: a directory; corrupt: gzip data is truncated or
/// damaged; exhausted: a
///        limit was passed. Messages name the path.
[[nodiscard]] Result<std::string> read_input(const std::string& path,
                                             const InputLimits& limits = {});

/// Bytes that begin as gzip does (RFC 1952).
[[nodiscard]] bool is_gzip(std::string_view bytes);

/// The concatenated content of all members of a gzip file; zero bytes after the last one are
/// padding.
/// @error corrupt, exhausted
[[nodiscard]] Result<std::string> gunzip(std::string_view bytes, const InputLimits& limits = {});

}  // namespace reprise
