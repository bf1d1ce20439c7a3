#include "flow/diagnostics.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/text.hpp"

namespace reprise {

namespace {

constexpr std::size_t tab_width = 4;
// A line longer than this is shown as a window around the mistake: minified JSON is one line of
// megabytes.
constexpr std::size_t max_columns_shown = 110;
constexpr std::size_t context_columns = 40;

struct Colours {
  std::string_view error, warning, frame, bold, label, reset;
};
constexpr Colours plain_text{};
constexpr Colours ansi{.error = "\x1b[1;31m",
                       .warning = "\x1b[1;33m",
                       .frame = "\x1b[1;34m",
                       .bold = "\x1b[1m",
                       .label = "\x1b[1;31m",
                       .reset = "\x1b[0m"};

/// Line `number` (from 1) of `text` without its line end; empty when there is no such line.
std::string_view line_of(std::string_view text, std::uint32_t number) {
  std::size_t begin = 0;
  for (std::uint32_t line = 1; line < number; ++line) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return {};
    begin = end + 1;
  }
  std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Length of the character that starts at text[at]; 1 for anything that is not UTF-8.
std::size_t character_length(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t length = lead < 0x80    ? 1
                             : lead >= 0xf0 ? 4
                             : lead >= 0xe0 ? 3
                             : lead >= 0xc0 ? 2
                                            : 1;
  return std::min(length, text.size() - at);
}

/// What is printed for one character: tabs become spaces, what cannot be printed is escaped.
std::string shown(std::string_view character) {
  if (character == "\t") return std::string(tab_width, ' ');
  return escape_for_terminal(character);
}

struct Excerpt {
  std::string line;              // as shown
  std::size_t caret_column = 0;  // columns before the first caret
  std::size_t caret_count = 1;
};

/// The part of `line` around columns [span.column, span.end_column), with the place of the carets.
Excerpt excerpt(std::string_view line, SourceSpan span) {
  struct Cell {
    std::string text;
    std::size_t width;
  };
  // Only the neighbourhood of the mistake is laid out, so that the cost does not depend on the
  // line's length.
  const std::size_t first =
      span.column > 2 * max_columns_shown ? span.column - 2 * max_columns_shown : 1;
  const std::size_t last = std::size_t{span.column} + 2 * max_columns_shown;
  std::vector<Cell> cells;
  std::size_t column = 1;
  bool more_behind = false;
  for (std::size_t at = 0; at < line.size(); ++column) {
    const std::size_t length = character_length(line, at);
    if (column > last) {
      more_behind = true;
      break;
    }
    if (column >= first) {
      std::string text = shown(line.substr(at, length));
      const std::size_t width = display_width(text);
      cells.push_back({std::move(text), width});
    }
    at += length;
  }
  const std::size_t total_begin = std::min<std::size_t>(span.column - first, cells.size());
  const std::size_t total_end =
      std::max(total_begin,
               std::min<std::size_t>(std::max(span.end_column, span.column) - first, cells.size()));

  // Cut in front of and behind the mistake when the line is too long to be read.
  std::size_t begin = 0;
  std::size_t end = cells.size();
  std::size_t width = 0;
  for (const Cell& cell : cells) width += cell.width;
  bool cut_front = first > 1;
  bool cut_back = more_behind;
  if (cut_front || cut_back || width > max_columns_shown) {
    std::size_t room = 0;
    begin = total_begin;
    while (begin > 0 && room + cells[begin - 1].width <= context_columns)
      room += cells[--begin].width;
    if (begin > 0)
      cut_front = true;
    else if (first == 1)
      cut_front = false;
    end = total_begin;
    while (end < cells.size() && room + cells[end].width <= max_columns_shown)
      room += cells[end++].width;
    if (end < cells.size()) cut_back = true;
  }
  Excerpt result;
  result.line = cut_front ? "…" : "";
  result.caret_column = cut_front ? 1 : 0;
  result.caret_count = 0;
  for (std::size_t i = begin; i < end; ++i) {
    result.line += cells[i].text;
    if (i < total_begin)
      result.caret_column += cells[i].width;
    else if (i < total_end)
      result.caret_count += cells[i].width;
  }
  if (cut_back) result.line += "…";
  result.caret_count = std::max<std::size_t>(result.caret_count, 1);
  while (result.line.ends_with(' ') && result.line.size() > result.caret_column)
    result.line.pop_back();
  return result;
}

class Renderer {
 public:
  Renderer(std::string_view file_name, std::string_view text, bool colour)
      : file_(escape_for_terminal(file_name)), text_(text), colours_(colour ? ansi : plain_text) {}

  void render(const Diagnostic& diagnostic) {
    const bool is_error = diagnostic.severity == Diagnostic::Severity::error;
    out_ += fmt::format("{}{}[{}]{}{}: {}{}\n", is_error ? colours_.error : colours_.warning,
                        is_error ? "error" : "warning", diagnostic.code, colours_.reset,
                        colours_.bold, escape_for_terminal(diagnostic.message), colours_.reset);
    std::uint32_t highest = diagnostic.span.line;
    for (const RelatedPlace& place : diagnostic.related)
      highest = std::max(highest, place.span.line);
    gutter_ = fmt::formatted_size("{}", highest);

    std::string label = diagnostic.label;
    if (label.empty() && !diagnostic.suggestion.empty()) {
      label = fmt::format("did you mean '{}'?", diagnostic.suggestion);
    }
    place("-->", diagnostic.span, label, true);
    for (const RelatedPlace& related : diagnostic.related)
      place(":::", related.span, related.label, false);
    help(diagnostic);
  }

  void line(std::string_view text) { out_ += fmt::format("{}\n", text); }
  [[nodiscard]] std::string take() && { return std::move(out_); }

 private:
  void place(std::string_view arrow, SourceSpan span, std::string_view label, bool primary) {
    if (span.line == 0) {
      out_ += fmt::format("{:{}}{}{}{} {}\n", "", gutter_ + 1, colours_.frame, arrow,
                          colours_.reset, file_);
      if (!label.empty())
        out_ += fmt::format("{:{}}{}={} {}\n", "", gutter_ + 2, colours_.frame, colours_.reset,
                            escape_for_terminal(label));
      return;
    }
    out_ += fmt::format("{:{}}{}{}{} {}:{}:{}\n", "", gutter_ + 1, colours_.frame, arrow,
                        colours_.reset, file_, span.line, span.column);
    const Excerpt view = excerpt(line_of(text_, span.line), span);
    const std::string bar =
        fmt::format("{:{}}{}|{}", "", gutter_ + 2, colours_.frame, colours_.reset);
    out_ += fmt::format("{}\n", bar);
    out_ += fmt::format(" {}{:>{}} |{} {}\n", colours_.frame, span.line, gutter_, colours_.reset,
                        view.line);
    if (view.line.empty()) out_.erase(out_.size() - 2, 1);
    out_ += fmt::format("{} {:{}}{}{}", bar, "", view.caret_column,
                        primary ? colours_.label : colours_.frame,
                        std::string(view.caret_count, primary ? '^' : '-'));
    if (!label.empty()) out_ += fmt::format(" {}", escape_for_terminal(label));
    out_ += fmt::format("{}\n", colours_.reset);
  }

  void help(const Diagnostic& diagnostic) {
    const std::string page = fmt::format("(reprise help {})", diagnostic.code);
    const std::string lead =
        fmt::format("{:{}}{}={} ", "", gutter_ + 2, colours_.frame, colours_.reset);
    for (std::size_t i = 0; i < diagnostic.help.size(); ++i) {
      const bool last = i + 1 == diagnostic.help.size();
      out_ += fmt::format("{}{}help{}: {}{}\n", lead, colours_.bold, colours_.reset,
                          escape_for_terminal(diagnostic.help[i]), last ? "          " + page : "");
    }
    if (diagnostic.help.empty()) {
      out_ += fmt::format("{}{}help{}: reprise help {}\n", lead, colours_.bold, colours_.reset,
                          diagnostic.code);
    }
  }

  std::string file_;
  std::string_view text_;
  Colours colours_;
  std::size_t gutter_ = 1;
  std::string out_;
};

nlohmann::json json_of(SourceSpan span) {
  return {{"line", span.line}, {"column", span.column}, {"end_column", span.end_column}};
}

}  // namespace

void sort_by_position(std::vector<Diagnostic>& diagnostics) {
  std::ranges::stable_sort(diagnostics, {}, [](const Diagnostic& d) {
    return std::tuple(d.span.line, d.span.column, std::string_view(d.code));
  });
}

std::string render(std::span<const Diagnostic> diagnostics, std::string_view file_name,
                   std::string_view text, bool colour) {
  Renderer renderer(file_name, text, colour);
  const std::size_t count = std::min(diagnostics.size(), max_shown_diagnostics);
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) renderer.line("");
    renderer.render(diagnostics[i]);
  }
  if (diagnostics.size() > count) {
    renderer.line("");
    renderer.line(fmt::format("… and {} more", diagnostics.size() - count));
  }
  return std::move(renderer).take();
}

std::string describe(std::span<const Diagnostic> diagnostics, std::size_t most) {
  std::string text;
  std::size_t count = 0;
  for (const Diagnostic& diagnostic : diagnostics) {
    if (diagnostic.severity != Diagnostic::Severity::error || ++count > most) continue;
    if (!text.empty()) text += "; ";
    if (diagnostic.span.line > 0)
      text += fmt::format("{}:{}: ", diagnostic.span.line, diagnostic.span.column);
    text += escape_for_terminal(diagnostic.message);
  }
  if (count > most) text += fmt::format("; and {} more", count - most);
  return text;
}

std::string to_json(std::span<const Diagnostic> diagnostics, std::string_view file_name) {
  nlohmann::json list = nlohmann::json::array();
  for (const Diagnostic& d : diagnostics) {
    nlohmann::json item = json_of(d.span);
    item["pointer"] = d.pointer;
    item["file"] = file_name;
    item["code"] = d.code;
    item["severity"] = d.severity == Diagnostic::Severity::error ? "error" : "warning";
    item["message"] = d.message;
    item["suggestion"] =
        d.suggestion.empty() ? nlohmann::json(nullptr) : nlohmann::json(d.suggestion);
    item["help"] = d.help;
    nlohmann::json related = nlohmann::json::array();
    for (const RelatedPlace& place : d.related) {
      nlohmann::json entry = json_of(place.span);
      entry["message"] = place.label;
      related.push_back(std::move(entry));
    }
    item["related"] = std::move(related);
    list.push_back(std::move(item));
  }
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace reprise
