// What a service tells of itself: one line per event, as text, logfmt or JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.hpp"

namespace reprise {

enum class LogFormat : std::uint8_t { text, logfmt, json };
enum class LogLevel : std::uint8_t { debug, info, warning, error };

[[nodiscard]] std::string_view name(LogFormat format);
[[nodiscard]] std::string_view name(LogLevel level);
/// By their names; nullopt: there is none of this name.
[[nodiscard]] std::optional<LogFormat> parse_log_format(std::string_view name);
[[nodiscard]] std::optional<LogLevel> parse_log_level(std::string_view name);

/// One line without its end. `for_journal`: begins with the priority as systemd's journal reads it,
/// which has its own time.
[[nodiscard]] std::string log_line(LogFormat format, LogLevel level, std::string_view message,
                                   Time at, bool for_journal);

/// stderr goes to the journal of systemd.
[[nodiscard]] bool writes_to_journal();

}  // namespace reprise
