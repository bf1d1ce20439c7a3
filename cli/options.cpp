#include "cli/options.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cli {

bool is_dated(std::string_view text) {
  return text.size() > 4 && text[4] == '-' &&
         std::all_of(text.begin(), text.begin() + 4, [](char c) { return c >= '0' && c <= '9'; });
}

Result<Time> parse_moment(std::string_view text, Time now) {
  if (const auto ago = parse_duration(text)) return now - *ago;
  auto time = parse_rfc3339(text);
  if (time || is_dated(text)) return time;
  return fail(
      ErrorCode::invalid_argument,
      fmt::format("\"{}\" is neither a duration such as 2h nor a time such as 2026-11-20T17:00:00Z",
                  escape_for_terminal(text)));
}

}  // namespace reprise::cli
