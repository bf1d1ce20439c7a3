#include "cli/clock_text.hpp"

#include <cstdint>
#include <ctime>

namespace reprise::cli {
namespace {

std::string formatted(Time time, const char* format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  if (!localtime_r(&seconds, &parts)) return "?";
  char buffer[40];
  const std::size_t length = std::strftime(buffer, sizeof buffer, format, &parts);
  return {buffer, length};
}

}  // namespace

std::string local_text(Time time) {
  return formatted(time, "%Y-%m-%d %H:%M");
}
std::string local_text_seconds(Time time) {
  return formatted(time, "%Y-%m-%d %H:%M:%S");
}

Time made_at(const RunId& run) {
  std::uint64_t milliseconds = 0;
  for (int i = 0; i < 6; ++i)
    milliseconds = (milliseconds << 8) | run.bytes[static_cast<std::size_t>(i)];
  return Time{std::chrono::milliseconds{milliseconds}};
}

}  // namespace reprise::cli
