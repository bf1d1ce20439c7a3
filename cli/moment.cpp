#include "cli/moment.hpp"

#include <fmt/format.h>

#include "cli/data_access.hpp"
#include "cli/run_selector.hpp"
#include "core/text.hpp"

namespace reprise::cli {

Result<Time> moment_of(const std::string& text, const GlobalOptions& globals) {
  const auto moment = parse_moment(text, now());
  if (moment || is_dated(text)) return moment;
  if (!RunSelector::parse(text)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is neither a time nor a run: give 2h for two hours ago, a time "
                            "as 2026-11-20T17:02:00Z, or the id of a run",
                            escape_for_terminal(text)));
  }
  const auto reading = open_for_reading(globals);
  if (!reading) return tl::unexpected(reading.error());
  const auto row = find_run(text, *reading->journal);
  if (!row) return tl::unexpected(row.error());
  if (!row->finished)
    return fail(ErrorCode::conflict,
                fmt::format("run {} has not ended; give a time instead", row->id.short_text()));
  return *row->finished;
}

}  // namespace reprise::cli
