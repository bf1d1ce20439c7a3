#include "cli/service_log.hpp"

#include <charconv>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/text.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

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

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : escape_for_terminal(text)) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

std::string_view name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "info";
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
      return line + fmt::format("level={} msg={}", name(level), quoted(message));
    case LogFormat::json: {
      Json entry = Json::object();
      if (!for_journal) entry["time"] = to_rfc3339(at);
      entry["level"] = name(level);
      entry["msg"] = message;
      return line + to_line(entry);
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

void ServiceLog::operator()(LogLevel level, std::string_view message) {
  if (level < least_) return;
  console_.say(log_line(format_, level, message, now(), for_journal_));
}

}  // namespace reprise::cli
