#include "cli/table.hpp"

#include <algorithm>

#include "cli/text.hpp"

namespace reprise::cli {

std::vector<std::string> Table::lines(std::size_t columns, Style style) const {
  constexpr std::size_t gap = 2;
  std::vector<std::size_t> widths(heads.size());
  for (std::size_t c = 0; c < heads.size(); ++c) {
    widths[c] = display_width(heads[c]);
    for (const auto& row : rows)
      if (c < row.size()) widths[c] = std::max(widths[c], display_width(row[c].text));
  }
  std::vector<std::string> result;
  const auto add = [&](const std::vector<Cell>& cells, bool is_head) {
    std::string line;
    std::size_t used = 0;
    for (std::size_t c = 0; c < heads.size() && c < cells.size(); ++c) {
      const bool is_last = c + 1 == heads.size();
      std::size_t width = widths[c];
      if (used + width > columns) width = columns > used ? columns - used : 0;
      if (width == 0) break;
      const bool to_right = c < right.size() && right[c];
      std::string text = to_right  ? pad_left(cells[c].text, width)
                         : is_last ? shorten(cells[c].text, width)
                                   : pad(cells[c].text, width);
      line += style(is_head ? Ink::dim : cells[c].ink, text);
      used += width;
      if (!is_last) {
        line.append(std::min(gap, columns - std::min(columns, used)), ' ');
        used += gap;
      }
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    result.push_back(std::move(line));
  };
  add(std::vector<Cell>(heads.begin(), heads.end()), true);
  for (const auto& row : rows) add(row, false);
  return result;
}

}  // namespace reprise::cli
