#include "cache/key_prefix.hpp"

#include <string>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cache {

Result<KeyRange> keys_with_prefix(std::string_view prefix) {
  constexpr std::size_t digits = 2 * sizeof(Digest);
  std::string_view hex = prefix;
  if (hex.starts_with("k1:")) hex.remove_prefix(3);
  std::string first(hex);
  std::string last(hex);
  KeyRange range;
  if (hex.size() <= digits) {
    first.resize(digits, '0');
    last.resize(digits, 'f');
    if (from_hex(first, range.first.digest.bytes.data()) &&
        from_hex(last, range.last.digest.bytes.data()))
      return range;
  }
  return fail(
      ErrorCode::invalid_argument,
      fmt::format(
          "\"{}\" is no key and no beginning of one: up to {} hex digits, with or without \"k1:\"",
          escape_for_terminal(prefix), digits));
}

}  // namespace reprise::cache
