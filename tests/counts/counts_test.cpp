// Instructions of the hot paths, beside those of the last time somebody looked: times depend on the
// machine and its other work, counts do not.
#include <boost/test/unit_test.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(counts)

namespace {

constexpr double tolerance = 0.05;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  BOOST_REQUIRE_MESSAGE(value != nullptr, name << " is not set; ctest sets it");
  return value;
}

/// What a command printed; empty where it failed.
std::string output_of(const std::string& command) {
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  BOOST_REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> part{};
  for (std::size_t n = 0; (n = std::fread(part.data(), 1, part.size(), pipe)) > 0;)
    text.append(part.data(), n);
  return ::pclose(pipe) == 0 ? text : std::string();
}

using Counts = std::map<std::string, std::uint64_t>;

/// From lines such as "1,234 (5.6%)  ???:reprise::bench::measured_keys(…) […]": each function with
/// all that it called.
Counts counted(const std::string& annotated) {
  constexpr std::string_view prefix = "???:reprise::bench::measured_";
  Counts counts;
  std::istringstream lines(annotated);
  for (std::string line; std::getline(lines, line);) {
    const auto found = line.find(prefix);
    if (found == std::string::npos) continue;
    std::uint64_t count = 0;
    for (const char c : line.substr(0, line.find('(')))
      if (c >= '0' && c <= '9') count = count * 10 + static_cast<std::uint64_t>(c - '0');
    const auto begin = found + prefix.size();
    counts[line.substr(begin, line.find('(', begin) - begin)] += count;
  }
  return counts;
}

Counts read(const std::filesystem::path& path, std::string& compiler) {
  Counts counts;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("compiler ")) {
      compiler = line.substr(9);
    } else if (!line.empty() && line[0] != '#') {
      std::istringstream words(line);
      std::string name;
      words >> name >> counts[name];
    }
  }
  return counts;
}

void write(const std::filesystem::path& path, const Counts& counts) {
  std::ofstream file(path);
  file << "# Instructions of the functions measured_* in bench/hot_paths.cpp, counted by "
          "callgrind.\n"
          "# To accept new ones: REPRISE_UPDATE_COUNTS=1 ./dev test -L counts\n"
       << "compiler " << __VERSION__ << '\n';
  for (const auto& [name, count] : counts) file << name << ' ' << count << '\n';
}

}  // namespace

BOOST_AUTO_TEST_CASE(hot_paths_need_no_more_instructions_than_before) {
  const auto expected_file =
      std::filesystem::path(environment("REPRISE_SOURCE_DIR")) / "tests/counts/expected.txt";
  if (output_of("valgrind --version").empty()) {
    std::cout << "SKIPPED: valgrind is not installed; ./dev install test does that\n";
    return;
  }
  const reprise::testing::TemporaryFolder folder;
  const std::string said =
      output_of(fmt::format("valgrind --tool=callgrind --callgrind-out-file={}/out "
                            "--toggle-collect='reprise::bench::measured_*' "
                            "{}/reprise_hot_paths",
                            folder.path().string(), environment("REPRISE_BIN_DIR")));
  BOOST_REQUIRE_MESSAGE(said.find("done") != std::string::npos, said);
  const Counts now = counted(output_of(fmt::format(
      "callgrind_annotate --inclusive=yes --threshold=100 {}/out", folder.path().string())));
  BOOST_TEST_REQUIRE(!now.empty());
  if (std::getenv("REPRISE_UPDATE_COUNTS") != nullptr) {
    write(expected_file, now);
    std::cout << "wrote " << expected_file.string() << '\n';
    return;
  }
  std::string compiler;
  const Counts before = read(expected_file, compiler);
  if (compiler != __VERSION__) {
    std::cout << "not compared: the counts are those of compiler " << compiler << ", this is "
              << __VERSION__ << '\n';
    return;
  }
  for (const auto& [name, count] : now) {
    const auto known = before.find(name);
    BOOST_TEST_REQUIRE((known != before.end()), name << " has no count in " << expected_file);
    const double ratio = static_cast<double>(count) / static_cast<double>(known->second);
    std::cout << fmt::format("{:<16}{:>12} instructions, {:+.1f} %\n", name, count,
                             100 * (ratio - 1));
    BOOST_TEST(ratio <= 1 + tolerance,
               name << " takes " << count << " instructions instead of " << known->second
                    << "; if that is worth it: REPRISE_UPDATE_COUNTS=1 ./dev test -L counts");
    BOOST_TEST(ratio >= 1 - 2 * tolerance,
               name << " takes only " << count << " instructions instead of " << known->second
                    << "; keep it that way: REPRISE_UPDATE_COUNTS=1 ./dev test -L counts");
  }
  BOOST_TEST(now.size() == before.size());
}

BOOST_AUTO_TEST_SUITE_END()
