// An encoded value on its way: what tasks take and give, passed between actors without copying.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/canon.hpp"
#include "core/digest.hpp"

namespace reprise {

/// Canonical bytes of a value with their digest A(v) = H("arg", bytes), the value's identity in
/// keys and stores. Copies share the bytes. Immutable once made.
struct Payload {
  Digest digest;           // none = there is no value (differs from the value nil)
  std::uint64_t size = 0;  // length of the bytes
  std::shared_ptr<const std::string> bytes;  // null: none, nil, or to be fetched by digest

  /// The payload of `bytes`, hashed here. The bytes of nil are shared by all payloads of nil.
  [[nodiscard]] static Payload of(std::string bytes);
  /// @error invalid_argument: as encode()
  [[nodiscard]] static Result<Payload> of(const Value& value);
  [[nodiscard]] static const Payload& nil();

  [[nodiscard]] bool is_none() const { return size == 0; }
  [[nodiscard]] bool is_nil() const;
  /// The bytes; must be at hand.
  [[nodiscard]] std::string_view view() const;
  /// The bytes are here or need none.
  [[nodiscard]] bool is_at_hand() const { return bytes || size == 0 || is_nil(); }
  /// @error corrupt
  [[nodiscard]] Result<Value> value() const;

  bool operator==(const Payload& other) const {
    return digest == other.digest && size == other.size;
  }
};

}  // namespace reprise
