// The functions of expressions, as a table that checking and evaluation share.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "flow/expression.hpp"

namespace reprise::expression {

enum class FunctionId : std::uint8_t {
  size,
  contains,
  starts_with,
  ends_with,
  matches,
  to_string,
  to_int,
  to_float,
  json,
  join,
  quote,
  range,
};

struct FunctionRule {
  FunctionId id = FunctionId::size;
  std::string_view name;
  std::size_t min_arguments = 1;
  std::size_t max_arguments = 1;
  // Per argument the kinds of values it may be: s string, i int, f float, b bool, l list, m map, F
  // file, n null, B bytes; empty = any.
  std::array<std::string_view, 2> accepts;
  Type result;
  std::string_view usage;  // "1 argument"
  std::string_view example;
};

[[nodiscard]] std::span<const FunctionRule> function_rules();
[[nodiscard]] const FunctionRule* find_function(std::string_view name);
[[nodiscard]] bool accepts(std::string_view accepted, Type::Kind kind);

/// What is wrong with a regular expression (ECMAScript grammar without back references), if
/// anything.
[[nodiscard]] std::optional<std::string> pattern_problem(std::string_view pattern);
/// Whether `pattern` matches anywhere in `text`. @error invalid_argument
[[nodiscard]] Result<bool> matches(std::string_view text, std::string_view pattern);

}  // namespace reprise::expression
