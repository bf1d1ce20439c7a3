// Run ids: ULIDs (https://github.com/ulid/spec), 48 bits of milliseconds and 80 random bits,
// sortable by time.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise {

struct RunId {
  std::array<std::uint8_t, 16> bytes{};

  /// Unique; later calls in one process give greater ids, also within a millisecond. Safe from any
  /// thread.
  [[nodiscard]] static RunId generate(Time now);
  /// The id with this time and with bits that depend on `seed` alone: for what has to find the same
  /// id again.
  [[nodiscard]] static RunId derived(Time at, std::string_view seed);
  /// When it was made, to the millisecond.
  [[nodiscard]] Time time() const;
  /// 26 characters of Crockford base 32, upper case.
  [[nodiscard]] std::string text() const;
  /// The first 10 characters: how people see and type a run.
  [[nodiscard]] std::string short_text() const { return text().substr(0, 10); }
  /// Exactly 26 characters, any case; I, L and O are read as 1, 1 and 0. @error invalid_argument
  [[nodiscard]] static Result<RunId> parse(std::string_view text);

  auto operator<=>(const RunId&) const = default;
};

}  // namespace reprise

template <>
struct std::hash<reprise::RunId> {
  std::size_t operator()(const reprise::RunId& id) const noexcept {
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()});
  }
};
