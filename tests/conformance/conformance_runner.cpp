// Runs conformance cases on the real engine and says where they come out differently.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tests/conformance/case_file.hpp"
#include "tests/conformance/case_runner.hpp"
#include "tests/conformance/crash_runner.hpp"
#include "tests/conformance/process_pool.hpp"

namespace {

using namespace reprise::conformance;

/// One line, whatever the texts in it are.
std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text;
}

struct Totals {
  int passed = 0, failed = 0, skipped = 0;
  std::uint32_t kills = 0;
};

void show(const Verdict& verdict, Totals& totals) {
  totals.kills += verdict.kills;
  if (verdict.differences.empty()) {
    ++totals.passed;
    return;
  }
  if (!verdict.decision.empty()) {
    ++totals.skipped;
    std::cout << on_one_line(fmt::format("{} skipped: {}", verdict.id, verdict.decision)) << "\n";
    return;
  }
  ++totals.failed;
  for (const Difference& each : verdict.differences)
    std::cout << on_one_line(fmt::format("{} {}: expected {} got {}", verdict.id, each.member,
                                         each.wanted, each.got))
              << std::endl;
}

/// Those that are asked for. @throws CLI::ValidationError: there is no case of an id
std::vector<Json> chosen(std::vector<Json> all, const std::vector<std::string>& ids) {
  if (ids.empty()) return all;
  std::vector<Json> some;
  for (const std::string& id : ids) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Json& each) { return each["id"] == id; });
    if (found == all.end())
      throw CLI::ValidationError(fmt::format("there is no case \"{}\" in the file", id));
    some.push_back(*found);
  }
  return some;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs conformance cases. Exits with 0 when all came out as expected, 1 when some did "
      "not, 2 when they cannot be read.");
  std::string file;
  std::vector<std::string> ids;
  app.add_option("FILE", file, "a list of cases (JSON)")->required();
  app.add_option("ID", ids, "only these cases");
  std::optional<std::uint64_t> seed;
  app.add_option(
      "--crash", seed,
      "kill every run at an event drawn from this number and continue it in a new process");
  try {
    app.parse(argc, argv);
    reprise::expected<std::vector<Json>> all = read_cases(file);
    if (!all) {
      std::cerr << "conformance_runner: " << on_one_line(all.error().message) << "\n";
      return 2;
    }
    const std::vector<Json> cases = chosen(std::move(*all), ids);
    Totals totals;
    run_in_processes(
        cases,
        [&](const Json& each) {
          return seed ? run_case_with_crashes(each, *seed) : run_case(each);
        },
        std::chrono::seconds(seed ? 40 : 15),
        [&](const Verdict& verdict) { show(verdict, totals); });
    if (seed) std::cout << fmt::format("killed and continued {} runs\n", totals.kills);
    std::cout << fmt::format("{} passed, {} failed, {} skipped\n", totals.passed, totals.failed,
                             totals.skipped);
    return totals.failed == 0 ? 0 : 1;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::cerr << "conformance_runner: " << on_one_line(e.what()) << "\n";
    return 2;
  }
}
