#include "cli/options.hpp"

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cli {

Result<Time> parse_moment(std::string_view text, Time now) {
  if (const auto ago = parse_duration(text)) return now - *ago;
  if (const auto time = parse_rfc3339(text)) return *time;
  return fail(
      ErrorCode::invalid_argument,
      fmt::format("\"{}\" is neither a duration such as 2h nor a time such as 2026-11-20T17:00:00Z",
                  escape_for_terminal(text)));
}

}  // namespace reprise::cli
