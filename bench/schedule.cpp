// P9: how good the scheduler's order is, on graphs of which the best, or a good, order is known.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "bench/measure.hpp"
#include "tests/support/schedule.hpp"

namespace reprise::bench {

namespace {

std::filesystem::path workflows(const Settings& settings) {
  if (const char* given = std::getenv("REPRISE_SHARED_DIR"); given != nullptr)
    return std::filesystem::path(given) / "workflows";
  // The repository is two folders above build/bin/reprise.
  return std::filesystem::path(settings.program).parent_path() / "../../../shared/workflows";
}

}  // namespace

std::vector<Figure> schedules_p9(const Settings& settings) {
  std::vector<Figure> figures;
  for (const std::uint32_t processors : {2U, 8U}) {
    Figure& figure = figures.emplace_back();
    figure.id = "P9";
    figure.what = fmt::format("makespan by list_P, mean of all graphs, P = {}", processors);
    figure.goal = "<= 1.02";
    figure.details.push_back(fmt::format("{:<62}{:>3}{:>14}{:>14}{:>14}{:>14}", "graph", "P",
                                         "makespan", "list_P", "fifo_P", "optimum"));
  }
  const std::filesystem::path folder = workflows(settings);
  if (!std::filesystem::exists(folder / "expected.tsv")) {
    for (Figure& figure : figures)
      figure.note = "not measured: REPRISE_SHARED_DIR names no folder with recorded workflows";
    return figures;
  }
  std::size_t worse = 0;
  for (const test::KnownGraph& graph : test::known_graphs(folder)) {
    for (std::size_t i = 0; i < graph.known.size(); ++i) {
      const auto& known = graph.known[i];
      const double took = test::makespan(graph.flow, known.processors);
      figures[i].runs.push_back(took / known.list);
      worse += known.list < known.fifo && took >= known.fifo;
      figures[i].details.push_back(fmt::format(
          "{:<62}{:>3}{:>14.3f}{:>14.3f}{:>14.3f}{:>14}", graph.file, known.processors, took,
          known.list, known.fifo, known.optimum ? fmt::format("{:.0f}", *known.optimum) : "-"));
    }
  }
  for (Figure& figure : figures) {
    double sum = 0;
    for (const double ratio : figure.runs) sum += ratio;
    const auto most = std::max_element(figure.runs.begin(), figure.runs.end());
    figure.note = fmt::format("{} graphs, at most {:.4f}; {} beyond fifo_P where list_P is not",
                              figure.runs.size(), *most, worse);
    const double mean = sum / static_cast<double>(figure.runs.size());
    figure.met = mean <= 1.02 && worse == 0;
    figure.runs = {mean};
  }
  return figures;
}

}  // namespace reprise::bench
