// Reading and writing msgpack piece by piece: what the canonical encoding and every stored record
// are made with.
//
//   std::string bytes;
//   Packer pack(bytes);
//   pack.array(2); pack.text("align"); pack.integer(17);
//
//   Unpacker unpack(bytes);
//   if (unpack.array() == 2) { name = unpack.text(); number = unpack.integer(); }
//   if (!unpack.at_end()) … corrupt …
//
// The reader never throws and never trusts a count: an array of n elements is refused unless n more
// bytes are there, also counting what enclosing arrays still wait for. So memory reserved for
// counts it returned is bounded by the input's size.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/assert.hpp"

namespace reprise {

/// Appends canonical (shortest) msgpack to a string. Floats always take eight bytes; every NaN is
/// the same NaN.
class Packer {
 public:
  explicit Packer(std::string& out) : out_(out) {}

  void nil() { byte(0xc0); }
  void boolean(bool value) { byte(value ? 0xc3 : 0xc2); }
  void unsigned_integer(std::uint64_t value) {
    if (value < 0x80) return byte(static_cast<std::uint8_t>(value));
    if (value <= 0xff) return number<1>(0xcc, value);
    if (value <= 0xffff) return number<2>(0xcd, value);
    if (value <= 0xffff'ffff) return number<4>(0xce, value);
    number<8>(0xcf, value);
  }
  void integer(std::int64_t value) {
    auto bits = static_cast<std::uint64_t>(value);
    if (value >= 0) return unsigned_integer(bits);
    if (value >= -32) return byte(static_cast<std::uint8_t>(bits));
    if (value >= INT8_MIN) return number<1>(0xd0, bits);
    if (value >= INT16_MIN) return number<2>(0xd1, bits);
    if (value >= INT32_MIN) return number<4>(0xd2, bits);
    number<8>(0xd3, bits);
  }
  void real(double value) {
    number<8>(0xcb,
              std::isnan(value) ? 0x7ff8'0000'0000'0000 : std::bit_cast<std::uint64_t>(value));
  }
  void text(std::string_view value) {
    if (value.size() < 32)
      byte(static_cast<std::uint8_t>(0xa0 | value.size()));
    else
      length(0xd9, value.size());
    raw(value);
  }
  void bytes(std::string_view value) {
    length(0xc4, value.size());
    raw(value);
  }
  /// `count` values must follow.
  void array(std::size_t count) {
    if (count < 16)
      byte(static_cast<std::uint8_t>(0x90 | count));
    else
      wide_length(0xdc, count);
  }
  /// `count` pairs of values must follow, for canonical bytes in the order of their encoded keys.
  void map(std::size_t count) {
    if (count < 16)
      byte(static_cast<std::uint8_t>(0x80 | count));
    else
      wide_length(0xde, count);
  }
  void ext(std::int8_t code, std::string_view payload) {
    switch (payload.size()) {
      case 1:
        byte(0xd4);
        break;
      case 2:
        byte(0xd5);
        break;
      case 4:
        byte(0xd6);
        break;
      case 8:
        byte(0xd7);
        break;
      case 16:
        byte(0xd8);
        break;
      default:
        length(0xc7, payload.size());
    }
    byte(static_cast<std::uint8_t>(code));
    raw(payload);
  }
  /// Bytes that are encoded already.
  void raw(std::string_view encoded) { out_.append(encoded); }

 private:
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }

  template <int width>
  void number(std::uint8_t header, std::uint64_t value) {
    char buffer[1 + width];
    buffer[0] = static_cast<char>(header);
    for (int i = 0; i < width; ++i)
      buffer[1 + i] = static_cast<char>(value >> (8 * (width - 1 - i)));  // big endian
    out_.append(buffer, sizeof buffer);
  }
  void length(std::uint8_t header, std::size_t size) {
    if (size <= 0xff) return number<1>(header, size);
    wide_length(static_cast<std::uint8_t>(header + 1), size);
  }
  void wide_length(std::uint8_t header, std::size_t size) {
    REPRISE_ASSERT(size <= 0xffff'ffff, size);
    if (size <= 0xffff) return number<2>(header, size);
    number<4>(static_cast<std::uint8_t>(header + 1), size);
  }

  std::string& out_;
};

/// Reads msgpack from a buffer that must outlive it. After the first thing that does not fit,
/// `failed()` is true for good and every call gives zero or nothing, so that a record can be read
/// straight through and checked once at its end.
class Unpacker {
 public:
  enum class Kind : std::uint8_t {
    nil,
    boolean,
    integer /* < 0 */,
    unsigned_integer,
    real,
    text,
    bytes,
    array,
    map,
    ext,
  };
  /// One value; of an array or a map only its beginning.
  struct Token {
    Kind kind = Kind::nil;
    bool boolean = false;
    std::int8_t code = 0;      // of an ext
    std::int64_t integer = 0;  // negative
    std::uint64_t unsigned_integer = 0;
    double real = 0;
    std::string_view data;    // text, bytes, payload of an ext
    std::uint32_t count = 0;  // elements or pairs
  };

  explicit Unpacker(std::string_view data) : data_(data) {}

  [[nodiscard]] bool next(Token& token);
  /// The next whole value's bytes, however deep.
  [[nodiscard]] std::string_view skip();
  [[nodiscard]] bool next_is_nil() const {
    return position_ < data_.size() && static_cast<std::uint8_t>(data_[position_]) == 0xc0;
  }

  // Each reads one value and fails when it is of another kind.
  void nil();
  [[nodiscard]] bool boolean();
  [[nodiscard]] std::uint64_t unsigned_integer(std::uint64_t max = UINT64_MAX);
  [[nodiscard]] std::uint32_t index() {
    return static_cast<std::uint32_t>(unsigned_integer(UINT32_MAX));
  }
  [[nodiscard]] std::int64_t integer();
  [[nodiscard]] double real();
  [[nodiscard]] std::string_view text();
  [[nodiscard]] std::string_view bytes();
  [[nodiscard]] std::uint32_t array();
  /// An array of exactly `count`.
  void array(std::uint32_t count);
  [[nodiscard]] std::uint32_t map();

  void fail() { failed_ = true; }
  [[nodiscard]] bool failed() const { return failed_; }
  /// Everything was read, and nothing was wrong.
  [[nodiscard]] bool at_end() const { return !failed_ && position_ == data_.size(); }
  [[nodiscard]] std::size_t position() const { return position_; }

 private:
  [[nodiscard]] std::size_t remaining() const { return data_.size() - position_; }
  [[nodiscard]] std::uint64_t number(int width);
  [[nodiscard]] std::string_view take(std::uint64_t size);
  void owe(std::uint64_t values);
  [[nodiscard]] bool expect(Kind kind, Token& token);

  std::string_view data_;
  std::size_t position_ = 0;
  std::uint64_t owed_ = 0;  // values that the arrays and maps entered so far still wait for
  bool failed_ = false;
};

}  // namespace reprise
