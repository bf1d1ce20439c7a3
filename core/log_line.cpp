#include "core/log_line.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "core/text.hpp"

namespace reprise {
namespace {

constexpr std::array<std::string_view, 3> formats{"text", "logfmt", "json"};
constexpr std::array<std::string_view, 4> levels{"debug", "info", "warning", "error"};

template <class Named, std::size_t count>
std::optional<Named> find(const std::array<std::string_view, count>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Named>(found - names.begin());
}

// As syslog(3) numbers them.
int priority_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return 7;
    case LogLevel::info:
      return 6;
    case LogLevel::warning:
      return 4;
    case LogLevel::error:
      return 3;
  }
  return 6;
}

std::string quoted_for_logfmt(std::string_view text) {
  std::string result = "\"";
  for (const char c : escape_for_terminal(text)) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

std::string_view name(LogFormat format) {
  return formats[static_cast<std::size_t>(format)];
}

std::string_view name(LogLevel level) {
  return levels[static_cast<std::size_t>(level)];
}

std::optional<LogFormat> parse_log_format(std::string_view name) {
  return find<LogFormat>(formats, name);
}

std::optional<LogLevel> parse_log_level(std::string_view name) {
  return find<LogLevel>(levels, name);
}

std::string log_line(LogFormat format, LogLevel level, std::string_view message, Time at,
                     bool for_journal) {
  std::string line = for_journal ? fmt::format("<{}>", priority_of(level)) : "";
  switch (format) {
    case LogFormat::text:
      if (level >= LogLevel::warning) line += fmt::format("{}: ", name(level));
      return line + escape_for_terminal(message);
    case LogFormat::logfmt:
      if (!for_journal) line += fmt::format("time={} ", to_rfc3339(at));
      return line + fmt::format("level={} msg={}", name(level), quoted_for_logfmt(message));
    case LogFormat::json: {
      nlohmann::ordered_json entry;
      if (!for_journal) entry["time"] = to_rfc3339(at);
      entry["level"] = name(level);
      entry["msg"] = message;
      return line + entry.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
  }
  return line;
}

// systemd.exec(5): JOURNAL_STREAM is "device:inode" of what the journal listens to.
bool writes_to_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat about {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &about) != 0) return false;
  return fmt::format("{}:{}", about.st_dev, about.st_ino) == stream;
}

}  // namespace reprise
