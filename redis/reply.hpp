// What a Redis server answered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reprise::redis {

struct Reply {
  enum class Kind : std::uint8_t { nil, status, error, integer, text, array };

  Kind kind = Kind::nil;
  std::int64_t integer = 0;
  std::string text{};  // of a status, an error or a text: any bytes
  std::vector<Reply> elements{};

  [[nodiscard]] bool is_nil() const { return kind == Kind::nil; }
  [[nodiscard]] bool is_error() const { return kind == Kind::error; }
  [[nodiscard]] bool is_text() const { return kind == Kind::text; }
  [[nodiscard]] bool is_integer() const { return kind == Kind::integer; }
  [[nodiscard]] bool is_array() const { return kind == Kind::array; }
  [[nodiscard]] bool is_status(std::string_view what) const {
    return kind == Kind::status && text == what;
  }
  bool operator==(const Reply&) const = default;
};

/// What an error reply means: denied (NOPERM, NOAUTH, WRONGPASS, READONLY), exhausted (OOM),
/// unavailable (LOADING, BUSY, MISCONF, CLUSTERDOWN … trying again may help), corrupt (WRONGTYPE),
/// internal (everything else). @param who  begins the message
[[nodiscard]] Error error_of(const Reply& reply, std::string_view who);

/// The server is there but does not serve anybody at the moment.
[[nodiscard]] bool is_not_serving(const Reply& reply);

}  // namespace reprise::redis
