#include "cli/flow_picture.hpp"

#include <algorithm>
#include <tuple>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "cli/markup.hpp"
#include "cli/text.hpp"
#include "scheduler/flow_graph.hpp"

namespace reprise::cli {
namespace {

using Box = FlowPicture::Box;
using Line = FlowPicture::Line;

std::string_view word(const Body& body) {
  if (std::holds_alternative<FunctionBody>(body)) return "function";
  if (std::holds_alternative<CommandBody>(body)) return "command";
  if (std::holds_alternative<NestedBody>(body)) return "flow";
  return "pass";
}

/// The glyph, count, class and colour of each state that there is.
struct StateShare {
  std::string_view glyph;
  std::uint64_t count;
  std::string_view style;
  std::string_view dot_color;
};

std::vector<StateShare> shares_of(const StateColumns& c) {
  std::vector<StateShare> all{
      {"✓", c.success, "ok", "#c8e6c9"},   {"≡", c.cached, "hit", "#b2ebf2"},
      {"✗", c.failed, "bad", "#ffcdd2"},   {"▶", c.running, "run", "#bbdefb"},
      {"·", c.waiting, "wait", "#eeeeee"}, {"⊘", c.cancelled, "stop", "#ffe0b2"},
      {"–", c.skipped, "skip", "#e1bee7"}};
  std::erase_if(all, [](const StateShare& share) { return share.count == 0; });
  return all;
}

/// "✓ 3  ✗ 1", "mapped", or nothing.
std::string note_of(const Box& box) {
  if (!box.states) return box.is_mapped ? "mapped" : "";
  std::string note;
  for (const StateShare& share : shares_of(*box.states))
    note += fmt::format("{}{} {}", note.empty() ? "" : "  ", share.glyph, grouped(share.count));
  return note.empty() ? "no elements" : note;
}

/// What is worst about a group decides its colour.
std::string_view dot_color(const Box& box) {
  if (!box.states) return "#ffffff";
  const auto shares = shares_of(*box.states);
  for (const std::string_view style : {"bad", "run", "stop", "wait", "skip", "hit", "ok"})
    for (const StateShare& share : shares)
      if (share.style == style) return share.dot_color;
  return "#ffffff";
}

// ---- drawing: columns from left to right, in each of them boxes from top to bottom

constexpr std::size_t name_columns_max = 28;
constexpr std::size_t letter_width = 8, box_margin = 10, box_height = 44;
constexpr std::size_t row_height = 60, gap_width = 56, border = 12;
constexpr int sweeps = 4;

struct Place {
  std::size_t x = 0, y = 0, width = 0;
};

/// Boxes of each column, so ordered that few lines cross: each goes to the middle of those it is
/// joined with, column after column to the right and back again.
std::vector<std::vector<std::uint32_t>> ordered(const FlowPicture& picture,
                                                const std::vector<std::uint32_t>& column) {
  std::vector<std::vector<std::uint32_t>> columns(
      column.empty() ? 0 : *std::max_element(column.begin(), column.end()) + 1);
  std::vector<std::vector<std::uint32_t>> before(column.size()), after(column.size());
  for (const Line& line : picture.lines) {
    before[line.to].push_back(line.from);
    after[line.from].push_back(line.to);
  }
  std::vector<double> place(column.size());
  for (std::uint32_t i = 0; i < column.size(); ++i) {
    place[i] = static_cast<double>(columns[column[i]].size());
    columns[column[i]].push_back(i);
  }
  std::vector<double> wish(column.size());
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    const bool to_the_right = sweep % 2 == 0;
    for (std::size_t k = 0; k < columns.size(); ++k) {
      auto& boxes = columns[to_the_right ? k : columns.size() - 1 - k];
      for (const std::uint32_t box : boxes) {
        const auto& joined = to_the_right ? before[box] : after[box];
        double sum = 0;
        for (const std::uint32_t other : joined) sum += place[other];
        wish[box] = joined.empty() ? place[box] : sum / static_cast<double>(joined.size());
      }
      std::stable_sort(boxes.begin(), boxes.end(),
                       [&](std::uint32_t a, std::uint32_t b) { return wish[a] < wish[b]; });
      for (std::size_t i = 0; i < boxes.size(); ++i) place[boxes[i]] = static_cast<double>(i);
    }
  }
  return columns;
}

std::size_t width_of(const Box& box) {
  const std::size_t name = std::min(display_width(escape_for_terminal(box.name)), name_columns_max);
  return std::max(name, display_width(note_of(box))) * letter_width + 2 * box_margin;
}

void draw_box(std::string& out, const Box& box, const Place& at) {
  const std::string name = escape_for_terminal(box.name);
  out += fmt::format(
      "<g><title>{}</title><rect class=\"box\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
      "rx=\"5\"/>\n",
      markup_text(name), at.x, at.y, at.width, box_height);
  out += fmt::format("<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>\n", at.x + box_margin,
                     at.y + 17, markup_text(shorten(name, name_columns_max)));
  out += fmt::format("<text class=\"note\" x=\"{}\" y=\"{}\">{}</text>\n", at.x + box_margin,
                     at.y + 33, markup_text(note_of(box)));
  const std::uint64_t total = box.states ? box.states->total() : 0;
  double x = static_cast<double>(at.x + box_margin);
  const auto room = static_cast<double>(at.width - 2 * box_margin);
  if (total > 0)
    for (const StateShare& share : shares_of(*box.states)) {
      const double width = room * static_cast<double>(share.count) / static_cast<double>(total);
      out +=
          fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"3\"/>\n",
                      share.style, x, at.y + box_height - 6, width);
      x += width;
    }
  out += "</g>\n";
}

constexpr std::string_view svg_style = R"(<style>
.flow{font:13px ui-monospace,monospace;--paper:#fff;--ink:#1c2024;--faint:#60646c;--edge:#8b8d98;
--ok:#2b7a3d;--hit:#0b7285;--bad:#c62828;--run:#1565c0;--wait:#b0b4ba;--stop:#b26a00;--skip:#7b4fa3}
@media (prefers-color-scheme:dark){.flow{--paper:#18191b;--ink:#edeef0;--faint:#b0b4ba;--edge:#777b84;
--ok:#5bb98c;--hit:#4ccce6;--bad:#ff6369;--run:#70b8ff;--wait:#5a6169;--stop:#ffb454;--skip:#bf7af0}}
.flow .box{fill:var(--paper);stroke:var(--edge)}.flow .name{fill:var(--ink)}.flow .note{fill:var(--faint);font-size:12px}
.flow path{fill:none;stroke:var(--edge)}.flow .order{stroke-dasharray:4 3}.flow marker path{fill:var(--edge);stroke:none}
.flow .ok{fill:var(--ok)}.flow .hit{fill:var(--hit)}.flow .bad{fill:var(--bad)}.flow .run{fill:var(--run)}
.flow .wait{fill:var(--wait)}.flow .stop{fill:var(--stop)}.flow .skip{fill:var(--skip)}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>
)";

}  // namespace

FlowPicture picture_of(const FlowSpec& flow) {
  FlowPicture picture;
  picture.flow = flow.name;
  const scheduler::FlowGraph graph(flow);
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n) {
    const NodeId node{n};
    picture.boxes.push_back(
        {flow.nodes[n].name, word(flow.kind_of(node).body), graph.is_mapped(node), {}});
    for (const scheduler::Edge& edge : graph.downstream(node))
      picture.lines.push_back({n, edge.to.value, false, edge.elementwise});
  }
  const auto by_ends = [](const Line& a, const Line& b) {
    return std::tie(a.to, a.from) < std::tie(b.to, b.from);
  };
  std::sort(picture.lines.begin(), picture.lines.end(), by_ends);
  // Of several edges between two nodes one remains; it is elementwise if all of them are.
  std::vector<Line> lines;
  for (const Line& line : picture.lines)
    if (lines.empty() || by_ends(lines.back(), line))
      lines.push_back(line);
    else
      lines.back().is_elementwise = lines.back().is_elementwise && line.is_elementwise;
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n)
    scheduler::FlowGraph::for_each_upstream(flow, NodeId{n}, [&](NodeId from, const Input& input) {
      if (input.source != Input::Source::state_only)
        std::lower_bound(lines.begin(), lines.end(), Line{from.value, n}, by_ends)->has_value =
            true;
    });
  picture.lines = std::move(lines);
  return picture;
}

FlowPicture picture_of(const journal::RunView& view) {
  FlowPicture picture = picture_of(view.flow());
  for (const journal::Group& group : view.groups())
    picture.boxes[group.node.value].states = columns_of(group.states, group.cached);
  return picture;
}

Json graph_json(const FlowPicture& picture, Json run, Json state) {
  Json groups = Json::array();
  for (const Box& box : picture.boxes)
    groups.push_back({{"group", box.name},
                      {"body", box.body},
                      {"mapped", box.is_mapped},
                      {"states", box.states ? columns_json(*box.states) : Json(nullptr)}});
  Json edges = Json::array();
  for (const Line& line : picture.lines)
    edges.push_back({{"from", picture.boxes[line.from].name},
                     {"to", picture.boxes[line.to].name},
                     {"value", line.has_value},
                     {"elementwise", line.is_elementwise}});
  return {{"schema", "reprise.graph/1"}, {"flow", picture.flow},
          {"run", std::move(run)},       {"state", std::move(state)},
          {"groups", std::move(groups)}, {"edges", std::move(edges)}};
}

std::string to_dot(const FlowPicture& picture) {
  std::string dot = fmt::format(
      "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", "
      "fillcolor=\"#ffffff\", fontname=\"monospace\"];\n",
      dot_text(picture.flow));
  for (std::size_t i = 0; i < picture.boxes.size(); ++i) {
    const Box& box = picture.boxes[i];
    std::string label = dot_text(box.name);
    if (const std::string note = note_of(box); !note.empty())
      label.insert(label.size() - 1, "\\n" + note);
    dot += fmt::format("  n{} [label={}, fillcolor=\"{}\"{}];\n", i, label, dot_color(box),
                       box.is_mapped ? ", peripheries=2" : "");
  }
  for (const Line& line : picture.lines)
    dot += fmt::format("  n{} -> n{}{};\n", line.from, line.to,
                       line.has_value ? "" : " [style=dashed]");
  return dot + "}";
}

std::vector<std::uint32_t> columns_of(const FlowPicture& picture) {
  const std::size_t count = picture.boxes.size();
  std::vector<std::uint32_t> column(count, 0), waits(count, 0), order;
  std::vector<std::vector<std::uint32_t>> after(count);
  for (const Line& line : picture.lines) {
    after[line.from].push_back(line.to);
    ++waits[line.to];
  }
  for (std::uint32_t i = 0; i < count; ++i)
    if (waits[i] == 0) order.push_back(i);
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const std::uint32_t to : after[order[i]]) {
      column[to] = std::max(column[to], column[order[i]] + 1);
      if (--waits[to] == 0) order.push_back(to);
    }
  return column;
}

std::string to_svg(const FlowPicture& picture) {
  const auto columns = ordered(picture, columns_of(picture));
  std::size_t most = 0;
  for (const auto& boxes : columns) most = std::max(most, boxes.size());
  std::vector<Place> places(picture.boxes.size());
  std::size_t x = border;
  for (const auto& boxes : columns) {
    std::size_t width = 0;
    for (const std::uint32_t box : boxes) width = std::max(width, width_of(picture.boxes[box]));
    for (std::size_t i = 0; i < boxes.size(); ++i)
      places[boxes[i]] = {x, border + i * row_height + (most - boxes.size()) * row_height / 2,
                          width};
    x += width + gap_width;
  }
  const std::size_t width = columns.empty() ? 2 * border : x - gap_width + border;
  const std::size_t height = 2 * border + (most == 0 ? 0 : (most - 1) * row_height + box_height);
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"flow\" role=\"img\" width=\"{0}\" "
      "height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n<title>{2}</title>\n{3}",
      width, height, markup_text(picture.flow), svg_style);
  for (const Line& line : picture.lines) {
    const Place& from = places[line.from];
    const Place& to = places[line.to];
    const std::size_t x1 = from.x + from.width, y1 = from.y + box_height / 2;
    const std::size_t x2 = to.x, y2 = to.y + box_height / 2, bend = gap_width / 2;
    out += fmt::format("<path{} marker-end=\"url(#tip)\" d=\"M{} {}C{} {} {} {} {} {}\"/>\n",
                       line.has_value ? "" : " class=\"order\"", x1, y1, x1 + bend, y1, x2 - bend,
                       y2, x2, y2);
  }
  for (std::size_t i = 0; i < places.size(); ++i) draw_box(out, picture.boxes[i], places[i]);
  return out + "</svg>";
}

}  // namespace reprise::cli
