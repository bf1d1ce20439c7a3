#include "cli/table.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t least_text = 10;  // of a column that is shortened
constexpr std::size_t least_last = 24;  // of the last one, if it has that much: a time and a word

// Columns of names, as far as that can be seen: keys, times and ids are all of one width.
std::vector<bool> shortenable(const Table& table, const std::vector<std::size_t>& widths) {
  std::vector<bool> may(widths.size());
  for (std::size_t c = 0; c + 1 < widths.size(); ++c) {
    if (c < table.right.size() && table.right[c]) continue;
    may[c] = widths[c] > least_last;
    for (const auto& row : table.rows)
      if (c < row.size() && display_width(row[c].text) != widths[c]) may[c] = true;
  }
  return may;
}

// Names may be long; what stands behind them is looked for. The longest ones give way.
void make_room(std::vector<std::size_t>& widths, const std::vector<bool>& may,
               std::size_t columns) {
  if (widths.empty()) return;
  std::size_t needed = std::min(widths.back(), least_last);
  for (std::size_t c = 0; c + 1 < widths.size(); ++c) needed += widths[c] + gap;
  for (; needed > columns; --needed) {
    std::size_t* widest = nullptr;
    for (std::size_t c = 0; c + 1 < widths.size(); ++c)
      if (may[c] && widths[c] > least_text && (!widest || widths[c] > *widest)) widest = &widths[c];
    if (!widest) return;
    --*widest;
  }
}

}  // namespace

std::vector<std::string> Table::lines(std::size_t columns, Style style) const {
  std::vector<std::size_t> widths(heads.size());
  for (std::size_t c = 0; c < heads.size(); ++c) {
    widths[c] = display_width(heads[c]);
    for (const auto& row : rows)
      if (c < row.size()) widths[c] = std::max(widths[c], display_width(row[c].text));
  }
  make_room(widths, shortenable(*this, widths), columns);
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

Cell state_cell(RunState state) {
  return {fmt::format("{} {}", glyph(state), name(state)), ink(state)};
}

}  // namespace reprise::cli
