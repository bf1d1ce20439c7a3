// "name=value", as people write it in flags and settings, and the numbers in it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reprise {

/// A name and a value given as "name=value".
struct Assignment {
  std::string name;
  std::string value;
};
/// @error invalid_argument: no "=", or nothing before it. `option` is named in the message.
[[nodiscard]] Result<Assignment> parse_assignment(std::string_view text, std::string_view option);

/// Calls `add` with each assignment of a list, in whose texts commas separate several.
/// @error invalid_argument; what `add` says: the rest is then left
[[nodiscard]] Status for_each_assignment(const std::vector<std::string>& list,
                                         std::string_view option,
                                         const std::function<Status(const Assignment&)>& add);

/// A number within bounds, both included. @param what  named in the message: the flag, mostly
/// @error invalid_argument
[[nodiscard]] Result<std::uint64_t> parse_whole_number(std::string_view text, std::string_view what,
                                                       std::uint64_t least, std::uint64_t most);
[[nodiscard]] Result<double> parse_number(std::string_view text, std::string_view what,
                                          double least, double most);

}  // namespace reprise
