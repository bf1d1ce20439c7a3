// What a service tells of itself: one line per event on stderr, as text, logfmt or JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/console.hpp"
#include "core/time.hpp"

namespace reprise::cli {

[[nodiscard]] std::string_view name(LogLevel level);

/// One line without its end. `for_journal`: begins with the priority as systemd's journal reads it,
/// which has its own time.
[[nodiscard]] std::string log_line(LogFormat format, LogLevel level, std::string_view message,
                                   Time at, bool for_journal);

/// stderr goes to the journal of systemd.
[[nodiscard]] bool writes_to_journal();

/// Safe from any thread.
class ServiceLog {
 public:
  ServiceLog(Console& console, LogFormat format, LogLevel least)
      : console_(console), format_(format), least_(least), for_journal_(writes_to_journal()) {}

  void operator()(LogLevel level, std::string_view message);
  void info(std::string_view message) { (*this)(LogLevel::info, message); }

 private:
  Console& console_;
  LogFormat format_;
  LogLevel least_;
  bool for_journal_;
};

}  // namespace reprise::cli
