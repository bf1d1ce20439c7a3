// msgpack's packer over the canonical writer: what msgpack_pack() and foreign adaptors write
// becomes canonical bytes. msgpack's own packer cannot be used: it turns 1.0 into the integer 1 and
// keeps maps in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <msgpack.hpp>

#include "reprise/detail/writer.hpp"

namespace reprise::codec {

/// Writes any value (defined in reprise/codec.hpp).
template <class T>
void write(writer& out, const T& value);

}  // namespace reprise::codec

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(v1) {
  template <>
  class packer<reprise::codec::writer> {
   public:
    explicit packer(reprise::codec::writer& out) : out_(out) {}
    packer(const packer&) = delete;
    packer& operator=(const packer&) = delete;

    template <class T>
    packer& pack(const T& value) {
      reprise::codec::write(out_, value);
      return *this;
    }

    packer& pack_nil() { return out_.nil(), *this; }
    packer& pack_true() { return out_.boolean(true), *this; }
    packer& pack_false() { return out_.boolean(false), *this; }
    packer& pack_float(float value) { return out_.real(static_cast<double>(value)), *this; }
    packer& pack_double(double value) { return out_.real(value), *this; }

    packer& pack_int8(std::int8_t value) { return out_.integer(value), *this; }
    packer& pack_int16(std::int16_t value) { return out_.integer(value), *this; }
    packer& pack_int32(std::int32_t value) { return out_.integer(value), *this; }
    packer& pack_int64(std::int64_t value) { return out_.integer(value), *this; }
    packer& pack_uint8(std::uint8_t value) { return out_.natural(value), *this; }
    packer& pack_uint16(std::uint16_t value) { return out_.natural(value), *this; }
    packer& pack_uint32(std::uint32_t value) { return out_.natural(value), *this; }
    packer& pack_uint64(std::uint64_t value) { return out_.natural(value), *this; }
    // The fixed widths are for transport; one number has one encoding here.
    packer& pack_fix_int8(std::int8_t value) { return out_.integer(value), *this; }
    packer& pack_fix_int16(std::int16_t value) { return out_.integer(value), *this; }
    packer& pack_fix_int32(std::int32_t value) { return out_.integer(value), *this; }
    packer& pack_fix_int64(std::int64_t value) { return out_.integer(value), *this; }
    packer& pack_fix_uint8(std::uint8_t value) { return out_.natural(value), *this; }
    packer& pack_fix_uint16(std::uint16_t value) { return out_.natural(value), *this; }
    packer& pack_fix_uint32(std::uint32_t value) { return out_.natural(value), *this; }
    packer& pack_fix_uint64(std::uint64_t value) { return out_.natural(value), *this; }
    packer& pack_char(char value) { return out_.integer(value), *this; }
    packer& pack_wchar(wchar_t value) { return out_.integer(value), *this; }
    packer& pack_signed_char(signed char value) { return out_.integer(value), *this; }
    packer& pack_short(short value) { return out_.integer(value), *this; }
    packer& pack_int(int value) { return out_.integer(value), *this; }
    packer& pack_long(long value) { return out_.integer(value), *this; }
    packer& pack_long_long(long long value) { return out_.integer(value), *this; }
    packer& pack_unsigned_char(unsigned char value) { return out_.natural(value), *this; }
    packer& pack_unsigned_short(unsigned short value) { return out_.natural(value), *this; }
    packer& pack_unsigned_int(unsigned value) { return out_.natural(value), *this; }
    packer& pack_unsigned_long(unsigned long value) { return out_.natural(value), *this; }
    packer& pack_unsigned_long_long(unsigned long long value) { return out_.natural(value), *this; }

    packer& pack_array(std::size_t items) { return out_.begin_list(items), *this; }
    packer& pack_map(std::size_t entries) { return out_.begin_map(entries), *this; }
    packer& pack_str(std::size_t size) { return out_.begin_text(size), *this; }
    packer& pack_str_body(const char* data, std::size_t size) { return append(data, size); }
    packer& pack_v4raw(std::size_t size) { return out_.begin_text(size), *this; }
    packer& pack_v4raw_body(const char* data, std::size_t size) { return append(data, size); }
    packer& pack_bin(std::size_t size) { return out_.begin_bytes(size), *this; }
    packer& pack_bin_body(const char* data, std::size_t size) { return append(data, size); }
    packer& pack_ext(std::size_t size, std::int8_t code) {
      return out_.begin_extension(code, size), *this;
    }
    packer& pack_ext_body(const char* data, std::size_t size) { return append(data, size); }

   private:
    packer& append(const char* data, std::size_t size) { return out_.append({data, size}), *this; }

    reprise::codec::writer& out_;
  };

}  // MSGPACK_API_VERSION_NAMESPACE(v1)
}  // namespace msgpack

namespace reprise::codec {

using packer = msgpack::packer<writer>;

/// Found by argument-dependent lookup before msgpack's own operator, which would go around the
/// canonical writer.
template <class T>
packer& operator<<(packer& out, const T& value) {
  return out.pack(value);
}

}  // namespace reprise::codec
