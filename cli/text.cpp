#include "cli/text.hpp"

namespace reprise::cli {

std::string escape_log_line(std::string_view line) {
  std::string result;
  for (;;) {
    const std::size_t tab = line.find('\t');
    result += escape_for_terminal(line.substr(0, tab));
    if (tab == std::string_view::npos) return result;
    result += '\t';
    line.remove_prefix(tab + 1);
  }
}

std::string pad(std::string_view text, std::size_t columns) {
  std::string result = shorten(text, columns);
  const std::size_t width = display_width(result);
  if (width < columns) result.append(columns - width, ' ');
  return result;
}

std::string pad_left(std::string_view text, std::size_t columns) {
  std::string result = shorten(text, columns);
  const std::size_t width = display_width(result);
  if (width < columns) result.insert(0, columns - width, ' ');
  return result;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string counted(std::uint64_t number, std::string_view noun) {
  return grouped(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

std::string short_value(const std::string& text) {
  constexpr std::size_t columns = 40;
  if (text.starts_with("sha256:") && text.size() == 71) return text.substr(0, 19) + "…";
  return shorten(escape_for_terminal(text), columns);
}

}  // namespace reprise::cli
