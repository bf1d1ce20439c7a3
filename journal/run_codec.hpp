// Parts of a run's row as bytes, for journals that keep rows in a database.
#pragma once

#include <string>
#include <string_view>

#include "journal/journal.hpp"

namespace reprise::journal {

[[nodiscard]] std::string encode_parameters(const Parameters& parameters);
/// @error corrupt
[[nodiscard]] Result<Parameters> decode_parameters(std::string_view bytes);

[[nodiscard]] std::string encode_summary(const Summary& summary);
/// Counts that an older program did not know are zero. @error corrupt
[[nodiscard]] Result<Summary> decode_summary(std::string_view bytes);

/// A whole row, for other places than a database. @error corrupt
[[nodiscard]] std::string encode_row(const RunRow& row);
[[nodiscard]] Result<RunRow> decode_row(std::string_view bytes);

/// The smallest and the greatest id whose text begins with `prefix`; nullopt: no id does.
struct IdRange {
  RunId first;
  RunId last;
};
[[nodiscard]] std::optional<IdRange> ids_with_prefix(std::string_view prefix);

}  // namespace reprise::journal
