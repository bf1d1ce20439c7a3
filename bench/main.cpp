// reprise_bench [ID…] [--json FILE] [--repeat N] [--size FACTOR] [--quick] [--details]: every
// figure beside its floor from the same run.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/cluster.hpp"
#include "bench/measure.hpp"

namespace {

using reprise::bench::Figure;

std::string number(double value) {
  if (value >= 1000) return fmt::format("{:.0f}", value);
  if (value >= 10) return fmt::format("{:.1f}", value);
  return fmt::format("{:.2f}", value);
}

void print(const Figure& figure) {
  if (figure.runs.empty()) {
    std::cout << fmt::format("{:<5}{:<46}{:>12} {:<9}  {}\n", figure.id, figure.what, "-",
                             figure.unit, figure.note)
              << std::flush;
    return;
  }
  const double value = reprise::bench::median(figure.runs);
  std::string floor = "-", ratio = "-";
  if (!figure.floor.empty()) {
    const double least = reprise::bench::median(figure.floor);
    floor = number(least);
    ratio = fmt::format("{:.2f}", value / least);
  }
  std::cout << fmt::format("{:<5}{:<46}{:>12} {:<9}{:>12}{:>8}  {:<16}{:<7}{:>5.0f} %  {}\n",
                           figure.id, figure.what, number(value), figure.unit, floor, ratio,
                           figure.goal,
                           figure.goal.empty() ? ""
                           : figure.met        ? "met"
                                               : "missed",
                           reprise::bench::spread_percent(figure.runs), figure.note)
            << std::flush;
}

void print_details(const Figure& figure) {
  for (const std::string& line : figure.details) std::cout << "     " << line << '\n';
}

nlohmann::json to_json(const Figure& figure) {
  return {{"id", figure.id},
          {"what", figure.what},
          {"unit", figure.unit},
          {"runs", figure.runs},
          {"median", reprise::bench::median(figure.runs)},
          {"floor", figure.floor},
          {"floor_name", figure.floor_name},
          {"goal", figure.goal},
          {"met", figure.met},
          {"note", figure.note}};
}

}  // namespace

int main(int argc, char** argv) {
  // Started by a benchmark: a worker whose functions are the benchmarks' own.
  if (argc > 2 && std::string_view(argv[1]) == "worker")
    return reprise::bench::serve({argv + 3, argv + argc});
  reprise::bench::Settings settings;
  std::vector<std::string> ids;
  std::string json_file;
  bool quick = false, details = false, with_peers = false;
  CLI::App app{"Measures Reprise beside what the machine gives at best."};
  app.add_option("id", ids, "which, e.g. P1 P4; default: all");
  app.add_option("--json", json_file, "also write the figures to FILE");
  app.add_option("--repeat", settings.repetitions, "repetitions of each")
      ->check(CLI::Range(1, 100));
  app.add_option("--size", settings.size, "factor on the amount of work")
      ->check(CLI::Range(0.001, 100.0));
  app.add_option("--only", settings.only, "of P10, only lines with this in them, e.g. rows");
  app.add_flag("--quick", quick, "a tenth of the work, twice");
  app.add_flag("--peers", with_peers, "also measure what people use instead, where installed");
  app.add_flag("--details", details, "also print the tables behind figures, e.g. P9's by graph");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    settings.repetitions = 2;
    settings.size = 0.1;
  }

  settings.program =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "reprise").string();
  std::string pattern = (std::filesystem::temp_directory_path() / "reprise-bench-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    std::cerr << "cannot make a temporary folder\n";
    return 1;
  }
  settings.folder = pattern;

  std::cout << fmt::format("{:<5}{:<46}{:>12} {:<9}{:>12}{:>8}  {:<16}{:<7}{:>7}\n", "id", "work",
                           "figure", "unit", "floor", "ratio", "goal", "", "spread");
  nlohmann::json all = nlohmann::json::array();
  const auto is_wanted = [&](const std::string& id) {
    return ids.empty() || std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  const auto take = [&](const Figure& figure) {
    if (!is_wanted(figure.id)) return;
    print(figure);
    if (details) print_details(figure);
    all.push_back(to_json(figure));
  };
  for (const auto& entry : reprise::bench::all())
    if (is_wanted(entry.id))
      for (const Figure& figure : entry.run(settings)) take(figure);
  const bool is_missed = std::any_of(all.begin(), all.end(), [](const nlohmann::json& figure) {
    return !figure["goal"].get<std::string>().empty() && !figure["met"].get<bool>();
  });
  if (is_missed)
    std::cout << "Of goals that were missed, docs/performance.md says where the time goes.\n";
  if (with_peers)
    for (const Figure& figure : reprise::bench::peers(settings)) take(figure);
  if (!json_file.empty())
    std::ofstream(json_file)
        << nlohmann::json{{"schema", "reprise.bench/1"}, {"figures", all}}.dump(2) << '\n';
  std::error_code ignored;
  std::filesystem::remove_all(settings.folder, ignored);
  return 0;
}
