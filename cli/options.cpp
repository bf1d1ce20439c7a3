#include "cli/options.hpp"

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cli {

Result<Assignment> parse_assignment(std::string_view text, std::string_view option) {
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos)
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\" has no \"=\"; write {} NAME=VALUE", option,
                            escape_for_terminal(text), option));
  if (sign == 0)
    return fail(ErrorCode::invalid_argument, fmt::format("{} \"{}\" has no name before the \"=\"",
                                                         option, escape_for_terminal(text)));
  return Assignment{std::string(text.substr(0, sign)), std::string(text.substr(sign + 1))};
}

Result<Time> parse_moment(std::string_view text, Time now) {
  if (const auto ago = parse_duration(text)) return now - *ago;
  if (const auto time = parse_rfc3339(text)) return *time;
  return fail(
      ErrorCode::invalid_argument,
      fmt::format("\"{}\" is neither a duration such as 2h nor a time such as 2026-11-20T17:00:00Z",
                  escape_for_terminal(text)));
}

}  // namespace reprise::cli
