#include "cache/key_prefix.hpp"

#include <string>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cache {

namespace {

Result<KeyRange> range_of(std::string_view prefix, std::string_view mark, std::string_view what) {
  constexpr std::size_t digits = 2 * sizeof(Digest);
  std::string_view hex = prefix;
  if (hex.starts_with(mark)) hex.remove_prefix(mark.size());
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
          "\"{}\" is no {} and no beginning of one: up to {} hex digits, with or without \"{}\"",
          escape_for_terminal(prefix), what, digits, mark));
}

}  // namespace

Result<KeyRange> keys_with_prefix(std::string_view prefix) {
  return range_of(prefix, "k1:", "key");
}

Result<KeyRange> digests_with_prefix(std::string_view prefix) {
  return range_of(prefix, "sha256:", "digest");
}

}  // namespace reprise::cache
