// What a process said last, for the message of a failure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "worker/process.hpp"

namespace reprise::worker {

/// Keeps the last bytes of a stream, which goes on to a log.
class TailSink final : public OutputSink {
 public:
  explicit TailSink(OutputSink& log) : log_(log) {}
  void write(std::string_view bytes) override;
  /// The last line that is not blank, safe to print.
  [[nodiscard]] std::string last_line() const;

 private:
  OutputSink& log_;
  std::string tail_;
};

/// "ended by signal 11 (SIGSEGV)"
[[nodiscard]] std::string described_signal(int signal);

}  // namespace reprise::worker
