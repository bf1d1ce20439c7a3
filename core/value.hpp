// A value of any type a task may take or give, as a tree; the form in which expressions, files and
// people see values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/digest.hpp"
#include "core/time.hpp"

namespace reprise {

struct Value;

/// Raw bytes; never equal to text of the same bytes.
struct Bytes {
  std::string data;
  bool operator==(const Bytes&) const = default;
};

/// Codes of the extension types.
namespace ext {
inline constexpr std::int8_t tuple = 1;
inline constexpr std::int8_t set = 2;
inline constexpr std::int8_t record = 3;
inline constexpr std::int8_t blob = 4;
inline constexpr std::int8_t file = 5;
inline constexpr std::int8_t directory = 6;
inline constexpr std::int8_t user_hash = 7;
inline constexpr std::int8_t timestamp = -1;
}  // namespace ext

/// Extension types of the canonical encoding: tuple, set, record, file … (docs/protocol.md).
struct Ext {
  std::int8_t code = 0;
  std::string payload;  // canonical bytes; for ext 2 (set) an encoded array
  bool operator==(const Ext&) const = default;
};

using List = std::vector<Value>;
/// Entries in any order; the canonical encoding sorts them. Keys are distinct.
using Map = std::vector<std::pair<Value, Value>>;

struct Value {
  using Data = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string,
                            Bytes, List, Map, Ext>;
  Data data;  // uint64_t only above INT64_MAX; std::string is UTF-8 text

  Value() = default;
  Value(bool value) : data(value) {}
  Value(int value) : data(std::int64_t{value}) {}
  Value(std::int64_t value) : data(value) {}
  Value(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(INT64_MAX))
      data = value;
    else
      data = static_cast<std::int64_t>(value);
  }
  Value(double value) : data(value) {}
  Value(std::string value) : data(std::move(value)) {}
  Value(std::string_view value) : data(std::string(value)) {}
  Value(const char* value) : data(std::string(value)) {}
  Value(Bytes value) : data(std::move(value)) {}
  Value(List value) : data(std::move(value)) {}
  Value(Map value) : data(std::move(value)) {}
  Value(Ext value) : data(std::move(value)) {}

  [[nodiscard]] bool is_nil() const { return std::holds_alternative<std::monostate>(data); }
  template <class T>
  [[nodiscard]] const T* get_if() const {
    return std::get_if<T>(&data);
  }
  /// Entry of a map with text key `key`; nullptr when this is no map or has no such entry.
  [[nodiscard]] const Value* find(std::string_view key) const;

  bool operator==(const Value&) const = default;
};

/// Content of a file, independent of its name, path and time stamps (ext 5).
struct FileValue {
  Digest content;          // SHA-256 of the bytes
  std::uint64_t size = 0;  // bytes
  bool executable = false;

  [[nodiscard]] Value to_value() const;
  bool operator==(const FileValue&) const = default;
};

/// The file that `value` describes. @error invalid_argument: not an ext 5 of the right shape
[[nodiscard]] Result<FileValue> as_file(const Value& value);
[[nodiscard]] bool is_file(const Value& value);

// Values of the other extension types. @error invalid_argument: as encode()

/// A list of fixed length; differs from a list of the same elements.
[[nodiscard]] Result<Value> tuple_value(const List& elements);
/// Elements in any order; equal ones count once.
[[nodiscard]] Result<Value> set_value(const List& elements);
/// A named and versioned type with fields.
[[nodiscard]] Result<Value> record_value(std::string_view type, std::string_view version,
                                         const Map& fields);
/// Stands for a value that cannot be encoded: what counts is the hash that the user's own `method`
/// gave for it.
[[nodiscard]] Result<Value> user_hash_value(std::string_view method, std::string_view hash);
/// Content that is kept elsewhere, by its SHA-256.
[[nodiscard]] Value blob_value(const Digest& content, std::uint64_t size);
[[nodiscard]] Value timestamp_value(Time time);
[[nodiscard]] Value directory_value(const Digest& root);

/// Payload of a timestamp: nanoseconds (4 bytes), then seconds since 1970 (8 bytes), big endian.
[[nodiscard]] std::string timestamp_payload(std::int64_t seconds, std::uint32_t nanoseconds);
/// @error invalid_argument: not a timestamp, or outside of the years that Time covers (1678 to
/// 2261)
[[nodiscard]] Result<Time> as_timestamp(const Value& value);
/// Elements of a list, tuple or set. @error invalid_argument: something else; corrupt: its payload
/// does not decode
[[nodiscard]] Result<List> elements_of(const Value& value);

/// One entry of a directory, for directory_root().
struct DirectoryEntry {
  enum class Kind : std::uint8_t { file = 0, directory = 1, link = 2 };
  std::string name;  // without slashes
  Kind kind = Kind::file;
  Digest content;           // of a file: SHA-256 of its bytes; of a directory: its root
  std::string link_target;  // as it is written in the link; never followed
  bool executable = false;  // files only
  bool operator==(const DirectoryEntry&) const = default;
};

/// Merkle root of a directory; entries in any order. An empty directory has a root, too.
/// @error invalid_argument: a name or a link target is not UTF-8, or a name comes twice
[[nodiscard]] Result<Digest> directory_root(std::vector<DirectoryEntry> entries);

/// JSON text of a value for people and `--json`: bytes as {"$bytes": base64}, files as {"$file":
/// "sha256:…", "size": n} (and "executable": true), tuples and sets as arrays, timestamps as RFC
/// 3339 text, records as their fields, other extension types as {"$ext": code, "$bytes": base64},
/// keys that are numbers, booleans or nil as their JSON text, a map with other keys or with keys
/// that would collide as {"$map": [[key, value]…]}, NaN and infinities as null, invalid UTF-8
/// replaced. Never fails.
[[nodiscard]] std::string to_json(const Value& value);

/// The value that JSON text stands for: objects become maps with text keys; "$…" keys mean nothing
/// special.
/// @error invalid_argument: no JSON (with the position), a key twice, or too deep
[[nodiscard]] Result<Value> from_json(std::string_view text);

}  // namespace reprise
