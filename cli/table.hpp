// Tables for people: columns as wide as their widest cell, the last one as wide as there is room.
#pragma once

#include <string>
#include <vector>

#include "cli/style.hpp"

namespace reprise::cli {

struct Cell {
  std::string text;  // printable, without colours
  Ink ink = Ink::plain;
  Cell(std::string t = {}, Ink i = Ink::plain) : text(std::move(t)), ink(i) {}
  Cell(const char* t) : text(t) {}
};

/// "✓ success", in its colour.
[[nodiscard]] Cell state_cell(RunState state);

struct Table {
  std::vector<std::string> heads;
  std::vector<bool> right;  // per column: aligned to the right; missing = left
  std::vector<std::vector<Cell>> rows;

  /// Head and rows, no line wider than `columns`.
  [[nodiscard]] std::vector<std::string> lines(std::size_t columns, Style style) const;
};

}  // namespace reprise::cli
