// What a service tells of itself, a line per event.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/log_line.hpp"
#include "core/time.hpp"

namespace reprise {

/// Safe from any thread, as far as `write` is.
class ServiceLog {
 public:
  using Write = std::function<void(const std::string& line)>;  // to stderr, with the line's end

  ServiceLog(Write write, LogFormat format, LogLevel least)
      : write_(std::move(write)),
        format_(format),
        least_(least),
        for_journal_(writes_to_journal()) {}

  void operator()(LogLevel level, std::string_view message) const {
    if (level >= least_) write_(log_line(format_, level, message, now(), for_journal_));
  }
  void info(std::string_view message) const { (*this)(LogLevel::info, message); }
  void error(std::string_view message) const { (*this)(LogLevel::error, message); }

 private:
  Write write_;
  LogFormat format_;
  LogLevel least_;
  bool for_journal_;
};

}  // namespace reprise
