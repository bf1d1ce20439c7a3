// Text on its way to a terminal, beyond what core/text.hpp does: columns of tables and whole log
// lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text.hpp"

namespace reprise::cli {

/// escape_for_terminal() that leaves tabs alone: for lines of logs.
[[nodiscard]] std::string escape_log_line(std::string_view line);

/// `text` in exactly `columns` columns: shortened with "…" or filled with spaces. `text` is
/// printable.
[[nodiscard]] std::string pad(std::string_view text, std::size_t columns);
[[nodiscard]] std::string pad_left(std::string_view text, std::size_t columns);

/// The lines of a text without their ends; a last one without end counts.
[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);

/// A value in at most 40 columns, made printable; of a digest, its beginning.
[[nodiscard]] std::string short_value(const std::string& text);

/// "1,204": digits in groups of three.
[[nodiscard]] std::string grouped(std::uint64_t number);

/// "1 task", "1,204 tasks".
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view noun);

}  // namespace reprise::cli
