// What people would use instead, in the same run: with --peers, and only where it is installed.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "bench/measure.hpp"
#include "bench/process.hpp"
#include "bench/support.hpp"
#include "core/assert.hpp"
#include "tests/support/redis_server.hpp"

namespace reprise::bench {

namespace {

bool has(const std::string& test) {
  return std::system((test + " >/dev/null 2>&1").c_str()) == 0;
}

/// The number that a command prints last; nullopt where it fails.
std::optional<double> number_from(const std::string& command) {
  std::FILE* const pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  REPRISE_ASSERT(pipe != nullptr, command);
  std::array<char, 256> line{};
  std::optional<double> number;
  double value = 0;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr)
    if (std::sscanf(line.data(), "%lf", &value) == 1) number = value;
  return ::pclose(pipe) == 0 ? number : std::nullopt;
}

Figure peer(std::string id, std::string what, std::string unit) {
  Figure figure;
  figure.id = std::move(id);
  figure.what = std::move(what);
  figure.unit = std::move(unit);
  figure.met = true;  // nobody else's goals are ours to judge
  return figure;
}

std::string shell(const std::string& folder, const std::string& script) {
  return fmt::format("cd '{}' && {}", folder, script);
}

void measure(Figure& figure, const Settings& settings, const std::string& installed,
             const std::function<std::optional<double>()>& once) {
  if (!has(installed)) {
    figure.note = "not installed";
    return;
  }
  for (int i = 0; i < settings.repetitions; ++i)
    if (const auto value = once()) figure.runs.push_back(*value);
  if (figure.runs.empty()) figure.note = "it failed";
}

/// Rules for `count` outputs that cost nothing to make, for make and for ninja.
void write_build_files(const std::string& folder, std::size_t count) {
  std::ofstream ninja(folder + "/build.ninja"), make(folder + "/Makefile");
  ninja << "rule touch\n  command = touch $out\n";
  std::string all;
  for (std::size_t i = 0; i < count; ++i) {
    ninja << fmt::format("build o{}: touch\n", i);
    all += fmt::format(" o{}", i);
  }
  make << "all:" << all << "\n" << all << ":\n\ttouch $@\n";
}

}  // namespace

std::vector<Figure> peers(const Settings& settings) {
  std::vector<Figure> figures;
  const auto commands = static_cast<std::size_t>(5000 * settings.size);
  const auto outputs = static_cast<std::size_t>(10'000 * settings.size);
  const std::string folder = fresh_folder(settings.folder);
  const auto seconds = [&](const std::string& script) {
    return run_program({"/bin/sh", "-c", shell(folder, script)});
  };
  const auto per_second = [&](const std::string& script) {
    return static_cast<double>(commands) / seconds(script);
  };

  Figure& xargs = figures.emplace_back(
      peer("P4", fmt::format("xargs -P 2, {} x /bin/true", commands), "tasks/s"));
  measure(xargs, settings, "command -v xargs",
          [&] { return per_second(fmt::format("seq {} | xargs -P 2 -n 1 /bin/true", commands)); });
  const std::string always = folder + "/always";
  std::filesystem::create_directories(always);
  {
    std::ofstream ninja(always + "/build.ninja"), make(always + "/Makefile");
    ninja << "rule true\n  command = /bin/true\n";
    std::string all;
    for (std::size_t i = 0; i < commands; ++i) {
      ninja << fmt::format("build n{}: true\n", i);
      all += fmt::format(" n{}", i);
    }
    make << "all:" << all << "\n.PHONY:" << all << "\n" << all << ":\n\t@/bin/true\n";
  }
  Figure& ninja = figures.emplace_back(
      peer("P4", fmt::format("ninja -j 2, {} x /bin/true", commands), "tasks/s"));
  measure(ninja, settings, "command -v ninja",
          [&] { return per_second("ninja -C always -j 2 --quiet"); });
  Figure& make = figures.emplace_back(
      peer("P4", fmt::format("make -j 2, {} x /bin/true", commands), "tasks/s"));
  measure(make, settings, "command -v make", [&] { return per_second("make -C always -j 2 -s"); });

  write_build_files(folder, outputs);
  for (const std::string tool : {"ninja", "make"}) {
    Figure& rerun = figures.emplace_back(
        peer("P5", fmt::format("{} with {} finished outputs (times only)", tool, outputs), "ms"));
    measure(rerun, settings, "command -v " + tool, [&]() -> std::optional<double> {
      static_cast<void>(seconds(tool + " -j 2"));
      return seconds(tool) * 1e3;
    });
  }

  const auto tasks = static_cast<std::size_t>(10'000 * settings.size);
  // Beside the sources, two folders above build/bin/reprise.
  const auto scripts =
      (std::filesystem::path(settings.program).parent_path() / "../../bench/peers").string();
  Figure& dask = figures.emplace_back(
      peer("P2", fmt::format("Dask distributed, {} no-ops, 2 processes", tasks), "tasks/s"));
  // Debian's: another one in the PATH does not see Debian's packages.
  const std::string python = "/usr/bin/python3";
  measure(dask, settings, python + " -c 'import distributed'", [&] {
    return number_from(fmt::format("{} '{}/dask_noops.py' {}", python, scripts, tasks));
  });
  Figure& celery = figures.emplace_back(
      peer("P2", fmt::format("Celery with Redis, {} no-ops, 2 processes", tasks), "tasks/s"));
  testing::RedisServer server;
  measure(celery, settings, python + " -c 'import celery, redis'", [&] {
    return number_from(
        fmt::format("{} '{}/celery_noops.py' {} {}", python, scripts, server.port(), tasks));
  });
  return figures;
}

}  // namespace reprise::bench
