// A value of any type a task may take or give, as a tree; the form in which expressions, files and people see values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/digest.hpp"

namespace reprise {

struct Value;

/// Raw bytes; never equal to text of the same bytes.
struct Bytes {
  std::string data;
  bool operator==(const Bytes&) const = default;
};

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
    if (value > static_cast<std::uint64_t>(INT64_MAX)) data = value;
    else data = static_cast<std::int64_t>(value);
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

/// JSON text of a value for people and `--json`: bytes as {"$bytes": base64}, files as {"$file": "sha256:…", "size": n},
/// NaN and infinities as null, invalid UTF-8 replaced. Never fails.
[[nodiscard]] std::string to_json(const Value& value);

}  // namespace reprise
