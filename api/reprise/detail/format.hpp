// How each C++ type is written, read and named: one `format<T>` per sort of type.
//
//   nil     monostate                    bool    bool
//   i64     signed integers, char        u64     unsigned integers       (range-checked when read)
//   f64     float, double                str     string
//   bytes   vector and array of char, unsigned char, std::byte; reprise::bytes
//   list    vector, deque, list, array, complex
//   map     map, unordered_map           set     set, unordered_set
//   tuple   tuple, pair                  opt     optional: nil or the value
//   time    system_clock::time_point     enum    as its underlying integer
//   variant tuple of the alternative's index and its value, named rec<oneof<…>>
//   struct  record (REPRISE_ADAPT), or what its msgpack_pack() writes (MSGPACK_DEFINE…)
#pragma once

#include <array>
#include <chrono>
#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <msgpack.hpp>

#include "reprise/adapt.hpp"
#include "reprise/detail/packer.hpp"
#include "reprise/detail/reader.hpp"

namespace reprise::codec {

using object = msgpack::object;

/// Each has: write(writer&, const T&), read(reader&, const object&, T&), type() and `carried`:
/// values of T can be carried.
template <class T>
struct format {
  static constexpr bool carried = false;
};

/// T can be an argument or result of a task.
template <class T>
concept carriable = !std::is_reference_v<T> && std::default_initializable<T> && std::movable<T> &&
                    format<T>::carried;

/// Name of a type in signatures, in the portable grammar; never a compiler's name for it.
template <class T>
[[nodiscard]] std::string type_name() {
  return format<T>::type();
}

// --- numbers, truth, nothing
// --------------------------------------------------------------------------------------

template <>
struct format<std::monostate> {
  static constexpr bool carried = true;
  static void write(writer& out, std::monostate) { out.nil(); }
  static void read(reader&, const object& in, std::monostate&) {
    if (!in.is_nil()) throw msgpack::type_error();
  }
  static std::string type() { return "nil"; }
};

template <>
struct format<bool> {
  static constexpr bool carried = true;
  static void write(writer& out, bool value) { out.boolean(value); }
  static void read(reader&, const object& in, bool& value) { in.convert(value); }
  static std::string type() { return "bool"; }
};

template <class T>
concept plain_integer =
    std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <plain_integer T>
struct format<T> {
  static constexpr bool carried = true;
  static void write(writer& out, T value) {
    if constexpr (std::is_signed_v<T>)
      out.integer(value);
    else
      out.natural(value);
  }
  static void read(reader&, const object& in, T& value) {
    if (in.type == msgpack::type::POSITIVE_INTEGER && std::in_range<integer>(in.via.u64))
      value = static_cast<T>(in.via.u64);
    else if (in.type == msgpack::type::NEGATIVE_INTEGER && std::in_range<integer>(in.via.i64))
      value = static_cast<T>(in.via.i64);
    else
      throw msgpack::type_error();
  }
  static std::string type() { return std::is_signed_v<T> ? "i64" : "u64"; }

 private:
  // std::in_range takes no character types.
  using integer =
      std::conditional_t<std::is_same_v<T, char>,
                         std::conditional_t<std::is_signed_v<char>, signed char, unsigned char>, T>;
};

template <std::floating_point T>
requires(!std::same_as<T, long double>) struct format<T> {
  static constexpr bool carried = true;
  static void write(writer& out, T value) { out.real(static_cast<double>(value)); }
  static void read(reader&, const object& in, T& value) { in.convert(value); }  // integers too
  static std::string type() { return "f64"; }
};

template <class T>
requires std::is_enum_v<T>
struct format<T> {
  using number = std::underlying_type_t<T>;
  static constexpr bool carried = true;
  static void write(writer& out, T value) {
    format<number>::write(out, static_cast<number>(value));
  }
  static void read(reader& from, const object& in, T& value) {
    number plain{};
    format<number>::read(from, in, plain);
    value = static_cast<T>(plain);
  }
  static std::string type() { return format<number>::type(); }
};

template <class Period>
struct format<std::chrono::time_point<std::chrono::system_clock, Period>> {
  using time = std::chrono::time_point<std::chrono::system_clock, Period>;
  static constexpr bool carried = true;
  static void write(writer& out, const time& value) {
    using namespace std::chrono;
    const auto whole = floor<seconds>(value.time_since_epoch());
    const auto rest = duration_cast<nanoseconds>(value.time_since_epoch() - whole);
    out.time(whole.count(), static_cast<std::uint32_t>(rest.count()));
  }
  static void read(reader&, const object& in, time& value) { in.convert(value); }
  static std::string type() { return "time"; }
};

// --- text and bytes
// -----------------------------------------------------------------------------------------------

template <>
struct format<std::string> {
  static constexpr bool carried = true;
  static void write(writer& out, const std::string& value) { out.text(value); }
  static void read(reader&, const object& in, std::string& value) {
    if (in.type != msgpack::type::STR) throw msgpack::type_error();
    value.assign(in.via.str.ptr, in.via.str.size);
  }
  static std::string type() { return "str"; }
};

// Views can be written, so that field names need no copies, but not be read: nobody would own the
// text.
template <>
struct format<std::string_view> {
  static constexpr bool carried = false;
  static void write(writer& out, std::string_view value) { out.text(value); }
  static std::string type() { return "str"; }
};
template <>
struct format<const char*> : format<std::string_view> {};
template <>
struct format<char*> : format<std::string_view> {};
template <std::size_t size>
struct format<char[size]> : format<std::string_view> {};

template <class T>
concept byte_like =
    std::same_as<T, char> || std::same_as<T, unsigned char> || std::same_as<T, std::byte>;

template <class Bytes>
struct bytes_format {
  static constexpr bool carried = true;
  static void write(writer& out, const Bytes& value) {
    out.bytes({reinterpret_cast<const char*>(value.data()), value.size()});
  }
  static void read(reader&, const object& in, Bytes& value) {
    if (in.type != msgpack::type::BIN) throw msgpack::type_error();
    const auto* first = reinterpret_cast<const typename Bytes::value_type*>(in.via.bin.ptr);
    if constexpr (requires { value.assign(first, first + in.via.bin.size); }) {
      value.assign(first, first + in.via.bin.size);
    } else {
      if (in.via.bin.size != value.size()) throw msgpack::type_error();
      std::copy(first, first + in.via.bin.size, value.begin());
    }
  }
  static std::string type() { return "bytes"; }
};

template <byte_like T, class Allocator>
struct format<std::vector<T, Allocator>> : bytes_format<std::vector<T, Allocator>> {};
template <byte_like T, std::size_t size>
struct format<std::array<T, size>> : bytes_format<std::array<T, size>> {};

// --- containers
// ---------------------------------------------------------------------------------------------------

template <class Sequence>
struct list_format {
  using item = typename Sequence::value_type;
  static constexpr bool carried = format<item>::carried;
  static void write(writer& out, const Sequence& values) {
    out.begin_list(values.size());
    for (const auto& value : values) format<item>::write(out, value);
  }
  static void read(reader& from, const object& in, Sequence& values) {
    const object list = from.items(in, ext_tuple);
    values.clear();
    if constexpr (requires { values.reserve(1); }) values.reserve(list.via.array.size);
    for (std::uint32_t i = 0; i < list.via.array.size; ++i) {
      item value{};
      format<item>::read(from, list.via.array.ptr[i], value);
      values.push_back(std::move(value));
    }
  }
  static std::string type() { return "list<" + type_name<item>() + ">"; }
};

template <class T, class Allocator>
struct format<std::vector<T, Allocator>> : list_format<std::vector<T, Allocator>> {};
template <class T, class Allocator>
struct format<std::deque<T, Allocator>> : list_format<std::deque<T, Allocator>> {};
template <class T, class Allocator>
struct format<std::list<T, Allocator>> : list_format<std::list<T, Allocator>> {};

template <class T, std::size_t size>
struct format<std::array<T, size>> {
  static constexpr bool carried = format<T>::carried;
  static void write(writer& out, const std::array<T, size>& values) {
    out.begin_list(size);
    for (const T& value : values) format<T>::write(out, value);
  }
  static void read(reader& from, const object& in, std::array<T, size>& values) {
    const object list = from.items(in, ext_tuple);
    if (list.via.array.size != size) throw msgpack::type_error();
    for (std::size_t i = 0; i < size; ++i) format<T>::read(from, list.via.array.ptr[i], values[i]);
  }
  static std::string type() { return "list<" + type_name<T>() + ">"; }
};

template <class T>
struct format<std::complex<T>> {
  using parts = std::array<T, 2>;
  static constexpr bool carried = format<T>::carried;
  static void write(writer& out, const std::complex<T>& value) {
    format<parts>::write(out, {value.real(), value.imag()});
  }
  static void read(reader& from, const object& in, std::complex<T>& value) {
    parts both{};
    format<parts>::read(from, in, both);
    value = {both[0], both[1]};
  }
  static std::string type() { return format<parts>::type(); }
};

template <class Set>
struct set_format {
  using item = typename Set::value_type;
  static constexpr bool carried = format<item>::carried;
  static void write(writer& out, const Set& values) {
    out.begin_set(values.size());
    for (const item& value : values) format<item>::write(out, value);
  }
  static void read(reader& from, const object& in, Set& values) {
    const object list = from.items(in, ext_set);
    values.clear();
    for (std::uint32_t i = 0; i < list.via.array.size; ++i) {
      item value{};
      format<item>::read(from, list.via.array.ptr[i], value);
      values.insert(std::move(value));
    }
  }
  static std::string type() { return "set<" + type_name<item>() + ">"; }
};

template <class T, class Compare, class Allocator>
struct format<std::set<T, Compare, Allocator>> : set_format<std::set<T, Compare, Allocator>> {};
template <class T, class Hash, class Equal, class Allocator>
struct format<std::unordered_set<T, Hash, Equal, Allocator>>
    : set_format<std::unordered_set<T, Hash, Equal, Allocator>> {};

template <class Map>
struct map_format {
  using key = typename Map::key_type;
  using mapped = typename Map::mapped_type;
  static constexpr bool carried = format<key>::carried && format<mapped>::carried;
  static void write(writer& out, const Map& values) {
    out.begin_map(values.size());
    for (const auto& [k, v] : values) {
      format<key>::write(out, k);
      format<mapped>::write(out, v);
    }
  }
  static void read(reader& from, const object& in, Map& values) {
    if (in.type != msgpack::type::MAP) throw msgpack::type_error();
    values.clear();
    for (std::uint32_t i = 0; i < in.via.map.size; ++i) {
      key k{};
      mapped v{};
      format<key>::read(from, in.via.map.ptr[i].key, k);
      format<mapped>::read(from, in.via.map.ptr[i].val, v);
      values.insert_or_assign(std::move(k), std::move(v));
    }
  }
  static std::string type() { return "map<" + type_name<key>() + "," + type_name<mapped>() + ">"; }
};

template <class K, class V, class Compare, class Allocator>
struct format<std::map<K, V, Compare, Allocator>> : map_format<std::map<K, V, Compare, Allocator>> {
};
template <class K, class V, class Hash, class Equal, class Allocator>
struct format<std::unordered_map<K, V, Hash, Equal, Allocator>>
    : map_format<std::unordered_map<K, V, Hash, Equal, Allocator>> {};

// --- products and sums
// --------------------------------------------------------------------------------------------

template <class Tuple, class... T>
struct tuple_format {
  static constexpr bool carried = (format<T>::carried && ...);
  static void write(writer& out, const Tuple& values) {
    out.begin_tuple(sizeof...(T));
    std::apply([&](const T&... value) { (format<T>::write(out, value), ...); }, values);
  }
  static void read(reader& from, const object& in, Tuple& values) {
    const object list = from.items(in, ext_tuple);
    if (list.via.array.size != sizeof...(T)) throw msgpack::type_error();
    [[maybe_unused]] const object* next = list.via.array.ptr;
    std::apply([&](T&... value) { (format<T>::read(from, *next++, value), ...); }, values);
  }
  static std::string type() {
    std::string names;
    ((names += names.empty() ? "" : ",", names += type_name<T>()), ...);
    return "tuple<" + names + ">";
  }
};

template <class... T>
struct format<std::tuple<T...>> : tuple_format<std::tuple<T...>, T...> {};
template <class A, class B>
struct format<std::pair<A, B>> : tuple_format<std::pair<A, B>, A, B> {};

template <class T>
struct format<std::optional<T>> {
  static constexpr bool carried = format<T>::carried;
  static void write(writer& out, const std::optional<T>& value) {
    if (value)
      format<T>::write(out, *value);
    else
      out.nil();
  }
  static void read(reader& from, const object& in, std::optional<T>& value) {
    if (in.is_nil()) {
      value.reset();
      return;
    }
    T present{};
    format<T>::read(from, in, present);
    value = std::move(present);
  }
  static std::string type() { return "opt<" + type_name<T>() + ">"; }
};

template <class... T>
struct format<std::variant<T...>> {
  using variant = std::variant<T...>;
  static constexpr bool carried = (format<T>::carried && ...);
  static void write(writer& out, const variant& value) {
    out.begin_tuple(2);
    out.natural(value.index());
    std::visit([&]<class A>(const A& alternative) { format<A>::write(out, alternative); }, value);
  }
  static void read(reader& from, const object& in, variant& value) {
    const object list = from.items(in, ext_tuple);
    if (list.via.array.size != 2) throw msgpack::type_error();
    std::size_t index = 0;
    format<std::size_t>::read(from, list.via.array.ptr[0], index);
    if (!emplace(from, list.via.array.ptr[1], value, index, std::index_sequence_for<T...>{}))
      throw msgpack::type_error();
  }
  static std::string type() {
    std::string names;
    ((names += names.empty() ? "" : ",", names += type_name<T>()), ...);
    return "rec<oneof<" + names + ">>";
  }

 private:
  template <std::size_t... I>
  static bool emplace(reader& from, const object& in, variant& value, std::size_t index,
                      std::index_sequence<I...>) {
    return ((I == index && (format<std::variant_alternative_t<I, variant>>::read(
                                from, in, value.template emplace<I>()),
                            true)) ||
            ...);
  }
};

}  // namespace reprise::codec
