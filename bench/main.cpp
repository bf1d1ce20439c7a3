// reprise_bench [ID…] [--json FILE] [--repeat N] [--size FACTOR]: every figure beside its floor
// from the same run.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure.hpp"

namespace {

using reprise::bench::Figure;

std::string number(double value) {
  if (value >= 1000) return fmt::format("{:.0f}", value);
  if (value >= 10) return fmt::format("{:.1f}", value);
  return fmt::format("{:.2f}", value);
}

void print(const Figure& figure) {
  const double value = reprise::bench::median(figure.runs);
  std::string floor = "-", ratio = "-";
  if (!figure.floor.empty()) {
    const double least = reprise::bench::median(figure.floor);
    floor = number(least);
    ratio = fmt::format("{:.2f}", value / least);
  }
  std::cout << fmt::format("{:<5}{:<46}{:>12} {:<9}{:>12}{:>8}  {:<16}{:<7}{:>5.0f} %  {}\n",
                           figure.id, figure.what, number(value), figure.unit, floor, ratio,
                           figure.goal, figure.met ? "met" : "missed",
                           reprise::bench::spread_percent(figure.runs), figure.note)
            << std::flush;
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
  reprise::bench::Settings settings;
  std::vector<std::string> ids;
  std::string json_file;
  CLI::App app{"Measures Reprise beside what the machine gives at best."};
  app.add_option("id", ids, "which, e.g. P1 P4; default: all");
  app.add_option("--json", json_file, "also write the figures to FILE");
  app.add_option("--repeat", settings.repetitions, "repetitions of each")
      ->check(CLI::Range(1, 100));
  app.add_option("--size", settings.size, "factor on the amount of work")
      ->check(CLI::Range(0.001, 100.0));
  CLI11_PARSE(app, argc, argv);

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
  for (const auto& entry : reprise::bench::all()) {
    if (!ids.empty() && std::find(ids.begin(), ids.end(), entry.id) == ids.end()) continue;
    for (const Figure& figure : entry.run(settings)) {
      print(figure);
      all.push_back(to_json(figure));
    }
  }
  if (!json_file.empty())
    std::ofstream(json_file)
        << nlohmann::json{{"schema", "reprise.bench/1"}, {"figures", all}}.dump(2) << '\n';
  std::error_code ignored;
  std::filesystem::remove_all(settings.folder, ignored);
  return 0;
}
