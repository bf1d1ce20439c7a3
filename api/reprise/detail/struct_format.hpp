// Structs: adapted by REPRISE_ADAPT, by MSGPACK_DEFINE… inside them, or by an msgpack adaptor
// somebody else wrote.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>

#include <msgpack.hpp>

#include "reprise/adapt.hpp"
#include "reprise/detail/format.hpp"

namespace reprise::codec {

// --- REPRISE_ADAPT
// ------------------------------------------------------------------------------------------------

template <adapted T>
struct format<T> {
  static constexpr bool carried = true;
  static void write(writer& out, const T& value) {
    const auto record = description();
    std::apply(
        [&](const auto&... fields) {
          out.begin_record(record.name, std::to_string(record.version), sizeof...(fields));
          ((out.text(fields.name), codec::write(out, value.*(fields.member))), ...);
        },
        record.fields);
  }
  static void read(reader& from, const object& in, T& value) {
    const auto record = description();
    const object parts = from.items(in, ext_record);
    if (parts.via.array.size != 3) throw msgpack::type_error();
    std::string name, version;
    format<std::string>::read(from, parts.via.array.ptr[0], name);
    format<std::string>::read(from, parts.via.array.ptr[1], version);
    if (name != record.name || version != std::to_string(record.version))
      throw decode_error("the record is a " + name + "@" + version);
    const object& fields = parts.via.array.ptr[2];
    if (fields.type != msgpack::type::MAP) throw msgpack::type_error();
    std::apply([&](const auto&... each) { (read_field(from, fields, each, value), ...); },
               record.fields);
  }
  static std::string type() {
    return "rec<" + std::string(description().name) + "@" + std::to_string(description().version) +
           ">";
  }

 private:
  static constexpr auto description() { return reprise_record(static_cast<const T*>(nullptr)); }

  template <class Member>
  static void read_field(reader& from, const object& fields, const field<T, Member>& wanted,
                         T& value) {
    for (std::uint32_t i = 0; i < fields.via.map.size; ++i) {
      const object& key = fields.via.map.ptr[i].key;
      if (key.type == msgpack::type::STR &&
          std::string_view(key.via.str.ptr, key.via.str.size) == wanted.name)
        return format<Member>::read(from, fields.via.map.ptr[i].val, value.*(wanted.member));
    }
    throw decode_error("the record has no field \"" + std::string(wanted.name) + "\"");
  }
};

// --- MSGPACK_DEFINE, MSGPACK_DEFINE_MAP
// ---------------------------------------------------------------------------

/// Types on their way through type_name(), for structs that contain themselves.
class naming {
 public:
  explicit naming(const void* tag);
  ~naming();
  naming(const naming&) = delete;
  naming& operator=(const naming&) = delete;
  /// How many structs out `tag` is being named: 0 = it is not.
  [[nodiscard]] static std::size_t distance(const void* tag);
};

template <class T>
inline constexpr char tag_of = 0;  // its address stands for T

/// Receives what msgpack_pack() packs, like a packer, and notes the types instead of the values.
class shape_writer {
 public:
  template <class T>
  shape_writer& pack(const T& value) {
    if constexpr (std::is_convertible_v<const T&, std::string_view> &&
                  !std::same_as<T, std::string>) {
      return add('"' + std::string(std::string_view(value)) + '"');  // the name of a field
    } else if constexpr (std::same_as<T, std::string>) {
      // MSGPACK_DEFINE_MAP gives names and text fields alike; every other item of a map is a name.
      return in_map_ && at_key_ ? add('"' + value + '"') : add("str");
    } else {
      return add(type_name<T>());
    }
  }
  shape_writer& pack_array(std::size_t) { return add("list"); }
  shape_writer& pack_map(std::size_t) {
    add("map");
    in_map_ = at_key_ = true;
    return *this;
  }
  shape_writer& pack_nil() { return add("nil"); }
  shape_writer& pack_true() { return add("bool"); }
  shape_writer& pack_false() { return add("bool"); }
  shape_writer& pack_float(float) { return add("f64"); }
  shape_writer& pack_double(double) { return add("f64"); }
  shape_writer& pack_int8(std::int8_t) { return add("i64"); }
  shape_writer& pack_int16(std::int16_t) { return add("i64"); }
  shape_writer& pack_int32(std::int32_t) { return add("i64"); }
  shape_writer& pack_int64(std::int64_t) { return add("i64"); }
  shape_writer& pack_int(int) { return add("i64"); }
  shape_writer& pack_long(long) { return add("i64"); }
  shape_writer& pack_uint8(std::uint8_t) { return add("u64"); }
  shape_writer& pack_uint16(std::uint16_t) { return add("u64"); }
  shape_writer& pack_uint32(std::uint32_t) { return add("u64"); }
  shape_writer& pack_uint64(std::uint64_t) { return add("u64"); }
  shape_writer& pack_unsigned_int(unsigned) { return add("u64"); }
  shape_writer& pack_unsigned_long(unsigned long) { return add("u64"); }
  shape_writer& pack_str(std::size_t) { return add("str"); }
  shape_writer& pack_str_body(const char*, std::size_t) { return *this; }
  shape_writer& pack_bin(std::size_t) { return add("bytes"); }
  shape_writer& pack_bin_body(const char*, std::size_t) { return *this; }
  shape_writer& pack_ext(std::size_t, std::int8_t) { return add("any"); }
  shape_writer& pack_ext_body(const char*, std::size_t) { return *this; }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  shape_writer& add(const std::string& item) {
    if (!text_.empty()) text_ += ',';
    text_ += item;
    if (in_map_) at_key_ = !at_key_;
    return *this;
  }

  std::string text_;
  bool in_map_ = false;
  bool at_key_ = false;
};

template <class T>
concept self_packing = !adapted<T> && std::is_class_v<T> &&
                       requires(const T& value, T& target, packer& out, const object& in) {
  value.msgpack_pack(out);
  target.msgpack_unpack(in);
};

template <self_packing T>
struct format<T> {
  static constexpr bool carried = true;
  static void write(writer& out, const T& value) {
    packer pack(out);
    value.msgpack_pack(pack);
  }
  static void read(reader& from, const object& in, T& value) {
    value.msgpack_unpack(from.plain(in));
  }
  static std::string type() {
    if constexpr (requires { std::string_view(T::reprise_type); }) {
      return "rec<" + std::string(T::reprise_type) + ">";
    } else {
      if (const std::size_t distance = naming::distance(&tag_of<T>))
        return "rec<^" + std::to_string(distance) + ">";
      const naming self(&tag_of<T>);
      shape_writer shape;
      T().msgpack_pack(shape);
      return "rec<" + shape.text() + ">";
    }
  }
};

// --- adaptors written for msgpack
// ---------------------------------------------------------------------------------

/// Somebody specialised msgpack::adaptor::pack for T: then it does not derive from msgpack's
/// primary template.
template <class T>
concept foreign =
    std::is_class_v<T> && !adapted<T> && !self_packing<T> &&
    !std::is_base_of_v<msgpack::v1::adaptor::pack<T, void>, msgpack::adaptor::pack<T>>;

template <foreign T>
struct format<T> {
  static constexpr bool carried = true;
  static void write(writer& out, const T& value) {
    packer pack(out);
    msgpack::adaptor::pack<T>()(pack, value);
  }
  static void read(reader& from, const object& in, T& value) { from.plain(in).convert(value); }
  static std::string type() { return "any"; }
};

// --- the way in from msgpack
// --------------------------------------------------------------------------------------

template <class T>
concept written_here = requires(writer& out, const T& value) {
  format<T>::write(out, value);
};

template <class T>
void write(writer& out, const T& value) {
  if constexpr (written_here<T>) {
    format<T>::write(out, value);
  } else {  // msgpack's own small types: nil, raw_ref, ext …
    packer pack(out);
    msgpack::adaptor::pack<T>()(pack, value);
  }
}

template <class T>
struct is_variant : std::false_type {};
template <class... T>
struct is_variant<std::variant<T...>> : std::true_type {};

/// Types that msgpack cannot read, for which fields of MSGPACK_DEFINEd structs come back here.
template <class T>
concept read_here_only = std::is_enum_v<T> || is_variant<T>::value || adapted<T> || requires {
  requires T::reprise_reads_it;
};

}  // namespace reprise::codec

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  template <class T>
  struct convert<T, std::enable_if_t<reprise::codec::read_here_only<T>>> {
    const msgpack::object& operator()(const msgpack::object& in, T& value) const {
      reprise::codec::reader from;
      reprise::codec::format<T>::read(from, in, value);
      return in;
    }
  };

  }  // namespace adaptor
}  // MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS)
}  // namespace msgpack
