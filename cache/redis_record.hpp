// A version of a result as it lies in Redis: 84 bytes that the server's functions read and write,
// then what only we read. docs/protocol.md, "Redis".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/mac_keys.hpp"
#include "cache/store.hpp"
#include "core/result.hpp"

namespace reprise::cache {

/// Where a version's value is.
enum class ValuePlace : std::uint8_t {
  inside = 0,             // in the record
  inside_compressed = 1,  // in the record, a zstd frame
  apart = 2,              // under its digest in Redis
  elsewhere = 3,          // in a blob directory, on some node
};

inline constexpr std::uint64_t redis_inline_bytes = 4 * 1024;
inline constexpr std::uint64_t redis_value_bytes = 1 << 20;

struct RedisRecord {
  Record record{};             // value by digest and size; bytes are in `value`
  std::uint64_t sequence = 0;  // grows with every version of any key
  bool is_damaged = false;
  bool is_tombstone = false;
  ValuePlace place = ValuePlace::inside;
  std::string value{};  // inside, as stored

  /// @param keys  that sign it; null: nobody does
  [[nodiscard]] std::string encode(const MacKeys* keys = nullptr) const;
  /// @error corrupt; conflict: written by a newer program
  [[nodiscard]] static Result<RedisRecord> decode(std::string_view bytes);
};

/// Whether one who has a key wrote a record as it is: everything but its version and sequence,
/// which the server counts, and a time of commit that the server moved on to keep a key's times in
/// order.
/// @param stored  what decodes as a record
[[nodiscard]] bool is_genuine(std::string_view stored, const MacKeys& keys);

/// A value apart from its record: a byte that says how it is stored, and that.
[[nodiscard]] std::string encode_value(std::string_view bytes);
/// @param size  of the bytes as they were. @error corrupt
[[nodiscard]] Result<std::string> decode_value(std::string_view stored, std::uint64_t size);
/// The same for what has no known size: at most 64 MiB. @error corrupt
[[nodiscard]] Result<std::string> decode_value(std::string_view stored);

}  // namespace reprise::cache
