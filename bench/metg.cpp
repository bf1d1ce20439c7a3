// P8: the smallest tasks that still keep half of the machine busy, METG(50 %), of Task Bench's
// patterns.
#include <algorithm>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "bench/bare.hpp"
#include "bench/cluster.hpp"
#include "bench/measure.hpp"
#include "bench/process.hpp"
#include "bench/support.hpp"
#include "bench/task_bench.hpp"
#include "core/assert.hpp"

namespace reprise::bench {

namespace {

constexpr std::int64_t processors = 2;

double work_of(std::int64_t iterations) {
  return 128.0 * static_cast<double>(iterations) + 64;
}

/// Floating point operations a second of the bare kernel on both processors: the peak.
double peak() {
  constexpr std::int64_t iterations = 1 << 20;
  const double took = seconds_of([] {
    std::thread other([] { compute(iterations); });
    compute(iterations);
    other.join();
  });
  return processors * work_of(iterations) / took;
}

struct Point {
  double granularity_us = 0;
  double efficiency = 0;
};

/// Microseconds per task at which half of the peak is reached; nullopt: no two points lie on both
/// sides of it.
/// @param seconds  of a run with tasks of so many iterations; @param tasks  of each run
template <class Seconds>
std::optional<double> metg(Seconds seconds, double tasks, std::int64_t from, double best) {
  std::optional<Point> last;
  for (std::int64_t iterations = from; iterations >= 1; iterations /= 2) {
    const double took = seconds(iterations);
    const Point point{took * processors / tasks * 1e6, tasks * work_of(iterations) / took / best};
    if (point.efficiency < 0.5) {
      if (!last) return std::nullopt;  // begun too low
      const double share = (last->efficiency - 0.5) / (last->efficiency - point.efficiency);
      return last->granularity_us + share * (point.granularity_us - last->granularity_us);
    }
    last = point;
  }
  return std::nullopt;
}

std::vector<Graph> graphs_of(const std::string& name, std::int64_t steps) {
  Graph graph;
  graph.steps = steps;
  graph.width = processors;
  graph.radix = 5;
  if (name == "stencil_1d") graph.pattern = Pattern::stencil_1d;
  if (name == "nearest" || name == "4 x nearest") graph.pattern = Pattern::nearest;
  if (name == "spread") {
    graph.pattern = Pattern::spread;
    graph.period = 1;  // at most width / radix, rounded up
  }
  std::vector<Graph> graphs{graph};
  if (name == "4 x nearest")
    for (std::int64_t i = 1; i < 4; ++i) {
      graph.index = i;
      graphs.push_back(graph);
    }
  return graphs;
}

template <class Run>
Figure measure(const Settings& settings, std::string with, const std::string& pattern,
               std::int64_t steps, std::int64_t from, Executor executor, Run run) {
  const auto graphs = graphs_of(pattern, steps);
  const std::string kernel = settings.program + "_kernel";
  Figure figure;
  figure.id = "P8";
  figure.what = fmt::format("METG(50 %) {}, {}", pattern, with);
  figure.unit = "us";
  const double tasks = static_cast<double>(graphs.size()) * static_cast<double>(steps) * processors;
  for (int i = 0; i < std::max(1, settings.repetitions / 2); ++i) {
    const auto found = metg(
        [&](std::int64_t iterations) {
          return run(task_bench_flow(graphs, iterations, executor, kernel));
        },
        tasks, from, peak());
    if (found) figure.runs.push_back(*found);
  }
  if (figure.runs.empty()) figure.note = "not found: never half of the peak";
  return figure;
}

void judge(Figure& figure, double most, std::string goal) {
  figure.goal = std::move(goal);
  figure.met = !figure.runs.empty() && median(figure.runs) <= most;
}

const char* const patterns[] = {"stencil_1d", "nearest", "spread", "4 x nearest"};

}  // namespace

std::vector<Figure> metg_p8(const Settings& settings) {
  std::vector<Figure> figures;
  const auto steps = static_cast<std::int64_t>(1000 * std::min(settings.size, 1.0));
  auto functions = std::make_shared<worker::FunctionTable>();
  worker::add_builtins(*functions);
  add_task_bench(*functions);
  EngineOptions options;
  options.data = fresh_folder(settings.folder);
  options.functions = functions;
  options.slots = processors;
  const auto engine = Engine::open(options);
  REPRISE_ASSERT(engine.has_value(), engine.error().message);
  const auto bare = [&](std::int64_t rows, std::int64_t from, auto seconds) {
    std::vector<double> all;
    for (int i = 0; i < std::max(1, settings.repetitions / 2); ++i)
      if (const auto found = metg([&](std::int64_t n) { return seconds(rows, n); },
                                  static_cast<double>(rows) * processors, from, peak()))
        all.push_back(*found);
    return all;
  };
  const auto beside = [&](std::string name, const std::vector<double>& floor) {
    figures.back().floor_name = std::move(name);
    figures.back().floor = floor;
  };
  const auto met = bare(steps, 1 << 14, bare_rows);
  const auto told = bare(steps, 1 << 17, bare_remote_rows);
  Figure relayed;
  relayed.id = "P8";
  relayed.what = "METG(50 %), the floor with threads that read";
  relayed.unit = "us";
  relayed.runs = bare(steps, 1 << 17, bare_relayed_rows);
  relayed.floor = told;
  for (const char* pattern : patterns) {
    figures.push_back(measure(settings, "functions, durable", pattern, steps, 1 << 14,
                              Executor::function,
                              [&](const auto& flow) { return run_flow(**engine, flow); }));
    judge(figures.back(), 15, "<= 15");
    beside("two threads that meet after every row", met);
  }
  {
    Cluster cluster(settings, Trust::secret, 1, {settings.program + "_bench"});
    for (const char* pattern : patterns) {
      figures.push_back(measure(settings, "cluster, durable", pattern, steps, 1 << 17,
                                Executor::function,
                                [&](const auto& flow) { return cluster.run(flow); }));
      judge(figures.back(), 150, "<= 150");
      beside("two threads that are told of each row over TCP", told);
    }
    figures.push_back(std::move(relayed));
  }
  const double spawn = 2e6 * bare_spawn(1000) / 1000;  // us of one processor
  const std::int64_t command_steps = std::max<std::int64_t>(steps / 5, 10);
  for (const char* pattern : {"stencil_1d", "nearest", "spread"}) {
    figures.push_back(measure(settings, "commands, durable", pattern, command_steps, 1 << 18,
                              Executor::command,
                              [&](const auto& flow) { return run_flow(**engine, flow); }));
    beside("posix_spawn + wait", {spawn});
    judge(figures.back(), 2.2 * spawn, "<= 2.20 x floor");
  }
  Figure& rows = figures.emplace_back();
  rows.id = "P8";
  rows.what = "METG(50 %), two threads, a command each per row";
  rows.unit = "us";
  rows.runs = bare(command_steps, 1 << 18, [&](std::int64_t n, std::int64_t iterations) {
    return bare_command_rows(n, iterations, settings.program + "_kernel",
                             fresh_folder(settings.folder));
  });
  beside("posix_spawn + wait", {spawn});
  return figures;
}

}  // namespace reprise::bench
