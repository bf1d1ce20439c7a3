// cmp1, the canonical msgpack profile that values are hashed and kept in: one value, one byte
// string.
//
// The same value always encodes to the same bytes and different values to different bytes, whatever
// program, order or integer width made them: shortest integers, floats always as float64 (1.0 is
// not 1), maps and sets sorted by encoded key, tuples, sets and files as extension types. Nesting
// is limited to 64 levels.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/value.hpp"

namespace reprise {

inline constexpr int max_value_depth = 64;  // the root is level 0

/// Canonical bytes of `value`.
/// @error invalid_argument: text is not UTF-8, duplicate map keys, or nesting above
/// max_value_depth.
[[nodiscard]] Result<std::string> encode(const Value& value);

/// The value that `bytes` encode. Accepts any msgpack, canonical or not; trailing bytes are an
/// error. Never allocates more than a small multiple of bytes.size().
/// @error corrupt
[[nodiscard]] Result<Value> decode(std::string_view bytes);

/// Encoded elements of an encoded list, tuple (ext 1) or set (ext 2), without decoding them.
/// @error invalid_argument: not a list; corrupt: does not decode
[[nodiscard]] Result<std::vector<std::string_view>> list_elements(std::string_view bytes);

/// Header + elements: the encoding of a list whose elements are already encoded.
[[nodiscard]] std::string encode_list(const std::vector<std::string_view>& elements);

}  // namespace reprise
