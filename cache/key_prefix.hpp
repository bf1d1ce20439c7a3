// "k1:3fa9" as people type it: the range of keys that begin so.
#pragma once

#include <string_view>

#include "core/cache_key.hpp"
#include "core/result.hpp"

namespace reprise::cache {

struct KeyRange {
  Key first;
  Key last;
};

/// @param prefix  0 to 64 hex digits, with or without "k1:". @error invalid_argument
[[nodiscard]] Result<KeyRange> keys_with_prefix(std::string_view prefix);

/// The same for digests of values. @param prefix  hex digits, with or without "sha256:"
[[nodiscard]] Result<KeyRange> digests_with_prefix(std::string_view prefix);

/// Values that `Store::versions` may put at hand altogether.
inline constexpr std::uint64_t values_at_hand_bytes = 64ull << 20;

}  // namespace reprise::cache
