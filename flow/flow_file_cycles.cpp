// Checking that the tasks of a flow file do not need each other in a circle.
#include <algorithm>

#include <fmt/format.h>

#include "flow/flow_file_check.hpp"

namespace reprise::flow_file {

// Depth-first search with a stack of its own; of several cycles through one task one is reported.
void Checker::cycles() {
  enum class Mark : std::uint8_t { unseen, on_path, done };
  const std::size_t count = flow_.tasks.size();
  std::vector<Mark> marks(count, Mark::unseen);
  std::vector<bool> reported(count, false);
  struct Step {
    std::uint32_t task;
    std::size_t next_edge;
  };
  for (std::uint32_t root = 0; root < count; ++root) {
    if (marks[root] != Mark::unseen) continue;
    std::vector<Step> path{{root, 0}};
    marks[root] = Mark::on_path;
    while (!path.empty()) {
      Step& step = path.back();
      const auto& edges = facts_.tasks[step.task].edges;
      if (step.next_edge == edges.size()) {
        marks[step.task] = Mark::done;
        path.pop_back();
        continue;
      }
      const std::uint32_t target = edges[step.next_edge++].to;
      if (marks[target] == Mark::unseen) {
        marks[target] = Mark::on_path;
        path.push_back({target, 0});
      } else if (marks[target] == Mark::on_path) {
        std::vector<std::uint32_t> way;
        for (auto at = path.rbegin(); at != path.rend(); ++at) {
          way.push_back(at->task);
          if (at->task == target) break;
        }
        std::ranges::reverse(way);
        const bool known =
            std::ranges::any_of(way, [&](std::uint32_t task) { return reported[task]; });
        for (const std::uint32_t task : way) reported[task] = true;
        if (!known) report_cycle(way);
      }
    }
  }
}

void Checker::report_cycle(const std::vector<std::uint32_t>& found) {
  // Begin with the task that was written first, so that the message does not depend on the search.
  std::vector<std::uint32_t> way = found;
  std::rotate(way.begin(), std::min_element(way.begin(), way.end()), way.end());
  constexpr std::size_t most = 10;
  const auto name = [&](std::size_t i) { return flow_.tasks[way[i % way.size()]].name; };
  const auto edge = [&](std::size_t i) {
    const auto& edges = facts_.tasks[way[i]].edges;
    return std::ranges::find(edges, way[(i + 1) % way.size()], &TaskFacts::Edge::to)->span;
  };
  std::string path;
  for (std::size_t i = 0; i <= way.size(); ++i) {
    if (way.size() > most && i == most / 2) {
      path += fmt::format(" → … {} more …", way.size() - most);
      i = way.size() - most / 2;
    }
    path += (i > 0 ? " → " : "") + name(i);
  }
  Diagnostic& diagnostic = complaints_.add(
      "RP1201", *flow_.tasks[way[0]].key,
      fmt::format("tasks need each other in a circle: {}", path),
      {.suggestion = {},
       .label = fmt::format("'{}' needs '{}'", name(0), name(1)),
       .help = {"a task can only need tasks that do not need it; remove one of these"}});
  diagnostic.span = edge(0);
  for (std::size_t i = 1; i < way.size() && i < most; ++i) {
    diagnostic.related.push_back({edge(i), fmt::format("'{}' needs '{}'", name(i), name(i + 1))});
  }
}

}  // namespace reprise::flow_file
