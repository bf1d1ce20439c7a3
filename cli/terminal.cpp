#include "cli/terminal.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cli {
namespace {

std::atomic<int> insured_fd{-1};
constexpr int deadly_signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGQUIT};

void on_deadly_signal(int signal) {
  if (const int fd = insured_fd.load(); fd >= 0)
    (void)!::write(fd, show_cursor.data(), show_cursor.size());
  std::raise(signal);  // SA_RESETHAND put the default back: now it ends the process
}

}  // namespace

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

TerminalSize terminal_size(int fd) {
  winsize size{};
  TerminalSize result;
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col > 0) result.columns = size.ws_col;
    if (size.ws_row > 0) result.rows = size.ws_row;
  }
  return result;
}

std::size_t visible_width(std::string_view line) {
  std::string text;
  while (!line.empty()) {
    if (line[0] != '\x1b') {
      text += line[0];
      line.remove_prefix(1);
      continue;
    }
    const std::size_t end = line.find('m');
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  }
  return display_width(text);
}

std::string RegionPainter::erase(std::size_t columns) const {
  if (drawn_.empty()) return {};
  // After the window became narrower, a line of the region may take several rows.
  std::size_t rows = 0;
  for (const std::size_t width : drawn_)
    rows += width <= columns || columns == 0 ? 1 : (width + columns - 1) / columns;
  // The cursor stands below the region's last line.
  return fmt::format("\x1b[{}A\r\x1b[J", rows);
}

std::string RegionPainter::paint(const std::vector<std::string>& above,
                                 const std::vector<std::string>& lines, std::size_t columns) {
  std::string bytes;
  if (!hidden_ && !lines.empty()) {
    bytes += hide_cursor;
    hidden_ = true;
  }
  bytes += erase(columns);
  for (const std::string& line : above) bytes += line + "\n";
  drawn_.clear();
  for (const std::string& line : lines) {
    bytes += line + "\n";
    drawn_.push_back(visible_width(line));
  }
  return bytes;
}

std::string RegionPainter::clear(std::size_t columns) {
  std::string bytes = erase(columns);
  drawn_.clear();
  if (hidden_) bytes += show_cursor;
  hidden_ = false;
  return bytes;
}

CursorInsurance::CursorInsurance(int fd) {
  insured_fd = fd;
  struct sigaction action {};
  action.sa_handler = on_deadly_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  sigemptyset(&action.sa_mask);
  for (const int signal : deadly_signals) ::sigaction(signal, &action, nullptr);
}

CursorInsurance::~CursorInsurance() {
  insured_fd = -1;
  for (const int signal : deadly_signals) ::signal(signal, SIG_DFL);
}

}  // namespace reprise::cli
