// Values as canonical bytes and back. Canonical: the same value always gives the same bytes, so
// that a digest of them identifies it. Which C++ types can be carried: reprise/detail/format.hpp;
// your own structs: reprise/adapt.hpp.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <type_traits>

#include "reprise/detail/format.hpp"
#include "reprise/detail/struct_format.hpp"
#include "reprise/error.hpp"

namespace reprise::codec {

/// These canonical bytes stand for a failure instead of a result.
[[nodiscard]] bool is_failure(std::string_view bytes);

/// Why bytes do not decode, in words; `seen` is what they hold.
[[nodiscard]] error cannot_read(const std::string& type, std::string_view bytes,
                                std::string_view why);

/// Canonical bytes of `value`. Text that is not UTF-8, duplicate keys of a map or nesting above 64
/// levels still encode but must not be cached: `uncacheable` says why.
/// @throws std::length_error when text, bytes or a container has more than 2^32-1 elements;
/// std::logic_error when a
///         hand-written msgpack_pack() announces another number of items than it writes.
template <class T>
[[nodiscard]] encoded encode(const T& value) {
  writer out;
  codec::write(out, value);
  return out.finish();
}

/// The value in `bytes`, which may be any msgpack, canonical or not. Integers are range-checked;
/// lists pass as tuples and sets, integers as floats; memory use is bounded by a multiple of the
/// size of `bytes`.
/// @error invalid_argument: the bytes hold a value of another type; corrupt: they are no msgpack,
/// or more than one value.
template <carriable T>
[[nodiscard]] expected<T> decode(std::string_view bytes) {
  try {
    reader from;
    const msgpack::object root = from.parse(bytes);
    expected<T> made{T{}};
    format<T>::read(from, root, *made);
    return made;
  } catch (const decode_error& e) {
    return tl::unexpected(cannot_read(type_name<T>(), bytes, e.what()));
  } catch (const msgpack::type_error&) {
    return tl::unexpected(cannot_read(type_name<T>(), bytes, ""));
  } catch (const std::exception& e) {  // a user's msgpack_unpack
    return tl::unexpected(cannot_read(type_name<T>(), bytes, e.what()));
  }
}

}  // namespace reprise::codec
