#include "worker/output_tail.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::worker {

namespace {

constexpr std::size_t kept_bytes = 4 << 10;
constexpr std::size_t message_columns = 200;

}  // namespace

void TailSink::write(std::string_view bytes) {
  log_.write(bytes);
  tail_ += bytes.substr(bytes.size() - std::min(bytes.size(), kept_bytes));
  if (tail_.size() > 2 * kept_bytes) tail_.erase(0, tail_.size() - kept_bytes);
}

std::string TailSink::last_line() const {
  std::string_view rest = tail_;
  const std::size_t last = rest.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos) return {};
  rest = rest.substr(0, last + 1);
  rest = rest.substr(rest.rfind('\n') + 1);
  rest = rest.substr(rest.rfind('\r') + 1);  // of a progress bar, what is to be seen
  return shorten(escape_for_terminal(rest), message_columns);
}

std::string described_signal(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return fmt::format("ended by signal {} ({})", signal,
                     name != nullptr ? fmt::format("SIG{}", name) : "unknown");
}

}  // namespace reprise::worker
