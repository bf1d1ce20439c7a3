// Text as people type and see it: escaping of foreign text, widths, suggestions, sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reprise {

/// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);

/// `text` made safe to print on one line: control characters and invalid UTF-8 as \x1b, new line
/// and tab as \n and \t, bidirectional overrides, line separators and invisible formatting
/// characters as \u202e. Printable UTF-8 is kept. A backslash stays single: the result is for eyes,
/// not for parsing.
[[nodiscard]] std::string escape_for_terminal(std::string_view text);

/// Columns that `text` takes on a terminal: wide East Asian characters and emoji count two,
/// combining marks none.
[[nodiscard]] std::size_t display_width(std::string_view text);

/// At most `columns` columns of `text`, which must be valid UTF-8; what was cut is shown by a final
/// "…".
[[nodiscard]] std::string shorten(std::string_view text, std::size_t columns);

/// The candidate that was probably meant by `word`: Damerau-Levenshtein distance at most max(1,
/// length / 3), nearest first, the earlier one of equals. Case does not count.
[[nodiscard]] std::optional<std::string> suggest(std::string_view word,
                                                 std::span<const std::string> candidates);
/// "; did you mean \"align\"?" or nothing: to be appended to an error.
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       std::span<const std::string> candidates);

/// `name` as part of an environment variable's name: whatever is no letter, digit or "_" becomes
/// "_".
[[nodiscard]] std::string as_variable(std::string_view name);

/// "512 B", "13.4 GiB".
[[nodiscard]] std::string describe_bytes(std::uint64_t bytes);

/// "4GiB", "1.5 MB", "512": units B, kB MB GB TB PB (powers of 1000), KiB MiB GiB TiB PiB and K M G
/// T P (powers of 1024), in any case. @error invalid_argument
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);

/// Lower-case hex digits, two per byte.
[[nodiscard]] std::string to_hex(std::string_view bytes);
/// Writes digits.size() / 2 bytes to `out`; false when the number of digits is odd or one is none.
[[nodiscard]] bool from_hex(std::string_view digits, std::uint8_t* out);

}  // namespace reprise
