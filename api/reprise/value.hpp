// A value of any type, known only at run time: parameters, outputs, and what tasks of the dynamic
// layer take and give.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "reprise/codec.hpp"
#include "reprise/error.hpp"

namespace reprise {

/// Raw bytes; never equal to text of the same bytes.
struct bytes {
  std::string data;

  static constexpr bool reprise_reads_it = true;
  bool operator==(const bytes&) const = default;
};

/// What the canonical form knows beyond JSON: tuples (code 1), sets (2), records (3), files (5),
/// times (-1). `payload` is canonical; see docs/protocol.md.
struct extension {
  std::int8_t code = 0;
  std::string payload;
  bool operator==(const extension&) const = default;
};

class value {
 public:
  using list = std::vector<value>;
  /// Entries in any order, keys distinct; encoding sorts them.
  using map = std::vector<std::pair<value, value>>;
  using data_type = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double,
                                 std::string, reprise::bytes, list, map, extension>;

  static constexpr bool reprise_reads_it = true;

  value() = default;  // nil
  value(std::nullptr_t) {}
  template <std::same_as<bool> T>
  value(T truth) : data_(truth) {}
  template <codec::plain_integer T>
  value(T number) {
    if (std::cmp_less_equal(widen(number), INT64_MAX))
      data_ = static_cast<std::int64_t>(number);
    else
      data_ = static_cast<std::uint64_t>(number);
  }
  template <std::floating_point T>
  value(T number) : data_(static_cast<double>(number)) {}
  value(std::string text) : data_(std::move(text)) {}
  value(std::string_view text) : data_(std::string(text)) {}
  value(const char* text) : data_(std::string(text)) {}
  value(reprise::bytes raw) : data_(std::move(raw)) {}
  value(list items) : data_(std::move(items)) {}
  value(map entries) : data_(std::move(entries)) {}
  value(extension other) : data_(std::move(other)) {}

  /// Any value that tasks can carry: `value::of(std::set{1, 2})`.
  /// @throws usage_error exhausted: more than 2^32-1 elements; corrupt: nested more than 64 levels
  /// deep
  template <class T>
  [[nodiscard]] static value of(const T& typed) {
    return from_bytes_or_throw(codec::encode(typed).bytes);
  }
  /// The C++ value. @error invalid_argument: it is of another type
  template <codec::carriable T>
  [[nodiscard]] expected<T> as() const {
    return codec::decode<T>(to_bytes());
  }

  /// uint64_t is used above INT64_MAX only.
  [[nodiscard]] const data_type& data() const { return data_; }
  [[nodiscard]] bool is_nil() const { return data_.index() == 0; }
  template <class T>
  [[nodiscard]] const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  /// Entry of a map under a text key; nullptr: this is no map or has no such entry.
  [[nodiscard]] const value* find(std::string_view key) const;
  /// Items of a list, tuple or set, in their order; of anything else nothing.
  [[nodiscard]] list items() const;

  /// Canonical bytes, as of codec::encode().
  [[nodiscard]] std::string to_bytes() const { return codec::encode(*this).bytes; }
  /// @error corrupt
  [[nodiscard]] static expected<value> from_bytes(std::string_view bytes);
  /// JSON text: bytes as {"$bytes": base64}, files as {"$file": "sha256:…"}, NaN and infinities as
  /// null.
  [[nodiscard]] std::string to_json() const;

  /// Equal content; entries of maps may be in another order. 1 and 1.0 differ, so do a list and a
  /// tuple; NaN equals NaN.
  bool operator==(const value& other) const { return to_bytes() == other.to_bytes(); }

 private:
  static constexpr auto widen(std::integral auto number) {
    if constexpr (std::signed_integral<decltype(number)>)
      return static_cast<std::int64_t>(number);
    else
      return static_cast<std::uint64_t>(number);
  }
  [[nodiscard]] static value from_bytes_or_throw(std::string_view bytes);

  data_type data_;
};

namespace codec {

template <>
struct format<reprise::bytes> {
  static constexpr bool carried = true;
  static void write(writer& out, const reprise::bytes& raw) { out.bytes(raw.data); }
  static void read(reader&, const object& in, reprise::bytes& raw) {
    if (in.type != msgpack::type::BIN) throw msgpack::type_error();
    raw.data.assign(in.via.bin.ptr, in.via.bin.size);
  }
  static std::string type() { return "bytes"; }
};

template <>
struct format<value> {
  static constexpr bool carried = true;
  static void write(writer& out, const value& any);
  static void read(reader& from, const object& in, value& any);
  static std::string type() { return "any"; }
};

}  // namespace codec
}  // namespace reprise
