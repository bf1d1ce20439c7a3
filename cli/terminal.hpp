// The terminal as a thing: how wide it is, and a region at its bottom that is redrawn in place.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::cli {

struct TerminalSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

[[nodiscard]] bool is_terminal(int fd);
/// As the terminal says; 80 × 24 when it says nothing.
[[nodiscard]] TerminalSize terminal_size(int fd);

/// The bytes that turn what is on the screen into `above` followed by the region `lines`; the state
/// of the region is kept here. Pure: the caller writes the bytes, each result in one write.
class RegionPainter {
 public:
  /// @param above  lines that stay, scrolled by above the region
  [[nodiscard]] std::string paint(const std::vector<std::string>& above,
                                  const std::vector<std::string>& lines, std::size_t columns);
  /// Removes the region and shows the cursor again; empty when there is nothing to remove.
  [[nodiscard]] std::string clear(std::size_t columns);

 private:
  [[nodiscard]] std::string erase(std::size_t columns) const;
  std::vector<std::size_t> drawn_;  // width of each line of the region
  bool hidden_ = false;
};

/// While one lives, a crash (SIGSEGV, SIGABRT, SIGQUIT …) shows the cursor before the process dies.
class CursorInsurance {
 public:
  explicit CursorInsurance(int fd);
  ~CursorInsurance();
  CursorInsurance(const CursorInsurance&) = delete;
  CursorInsurance& operator=(const CursorInsurance&) = delete;
};

inline constexpr std::string_view hide_cursor = "\x1b[?25l";
inline constexpr std::string_view show_cursor = "\x1b[?25h";

/// Columns of `line` without its escape sequences for colours.
[[nodiscard]] std::size_t visible_width(std::string_view line);

}  // namespace reprise::cli
