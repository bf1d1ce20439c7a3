// A figure beside its floor: what was measured, and what the machine gives at best in the same run.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace reprise::bench {

/// One line of the table. A ratio to the floor says more than seconds on a shared machine.
struct Figure {
  std::string id{};            // "P4"
  std::string what{};          // "5,000 x /bin/true, captured"
  std::string unit{};          // "tasks/s", "us/task", "ms"
  std::vector<double> runs{};  // one value per repetition
  std::string floor_name{};    // empty: no floor
  std::vector<double> floor{};
  std::string goal{};  // as people read it: ">= 300,000"
  bool met = false;
  std::string note{};                  // e.g. why it was missed or not measured
  std::vector<std::string> details{};  // a table behind the figure, for --details
};

[[nodiscard]] double median(std::vector<double> values);
/// (max - min) / median, in per cent.
[[nodiscard]] double spread_percent(const std::vector<double>& values);
/// Seconds that `f` takes by the steady clock.
[[nodiscard]] double seconds_of(const std::function<void()>& f);

/// What all benchmarks are given.
struct Settings {
  int repetitions = 5;
  double size = 1;      // factor on the amount of work; below 1 for a quick look
  std::string program;  // path of `reprise`
  std::string folder;   // a temporary folder, emptied between uses
  std::string only;     // of P10, what has this in its name; empty: all
};

using Benchmark = std::function<std::vector<Figure>(const Settings&)>;
struct Entry {
  std::string id;
  std::string what;
  Benchmark run;
};
/// All benchmarks in order of their ids.
[[nodiscard]] std::vector<Entry> all();

// One function per id, in the file named after its subject.
[[nodiscard]] std::vector<Figure> functions_p1(const Settings& settings);
[[nodiscard]] std::vector<Figure> cluster_p2(const Settings& settings);
[[nodiscard]] std::vector<Figure> chain_p3(const Settings& settings);
[[nodiscard]] std::vector<Figure> cluster_p3(const Settings& settings);
[[nodiscard]] std::vector<Figure> commands_p4(const Settings& settings);
[[nodiscard]] std::vector<Figure> rerun_p5(const Settings& settings);
[[nodiscard]] std::vector<Figure> redis_p5(const Settings& settings);
[[nodiscard]] std::vector<Figure> memory_p6(const Settings& settings);
[[nodiscard]] std::vector<Figure> short_tasks_p7(const Settings& settings);
[[nodiscard]] std::vector<Figure> cluster_p7(const Settings& settings);
[[nodiscard]] std::vector<Figure> metg_p8(const Settings& settings);
[[nodiscard]] std::vector<Figure> schedules_p9(const Settings& settings);
[[nodiscard]] std::vector<Figure> growth_p10(const Settings& settings);
[[nodiscard]] std::vector<Figure> restart_p11(const Settings& settings);
[[nodiscard]] std::vector<Figure> start_p12(const Settings& settings);
[[nodiscard]] std::vector<Figure> cache_p13(const Settings& settings);
[[nodiscard]] std::vector<Figure> redis_p13(const Settings& settings);
[[nodiscard]] std::vector<Figure> peers(const Settings& settings);  // of several ids

}  // namespace reprise::bench
