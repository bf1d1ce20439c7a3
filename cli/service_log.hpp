// What a service tells of itself on stderr.
#pragma once

#include <string_view>

#include "cli/console.hpp"
#include "core/log_line.hpp"

namespace reprise::cli {

/// Safe from any thread.
class ServiceLog {
 public:
  ServiceLog(Console& console, LogFormat format, LogLevel least)
      : console_(console), format_(format), least_(least), for_journal_(writes_to_journal()) {}

  void operator()(LogLevel level, std::string_view message) {
    if (level < least_) return;
    console_.say(log_line(format_, level, message, now(), for_journal_));
  }
  void info(std::string_view message) { (*this)(LogLevel::info, message); }

 private:
  Console& console_;
  LogFormat format_;
  LogLevel least_;
  bool for_journal_;
};

}  // namespace reprise::cli
