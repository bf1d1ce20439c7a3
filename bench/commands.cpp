// P4, P5 and P12: commands, reruns and cold starts, beside bare posix_spawn in the same run.
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "bench/bare.hpp"
#include "bench/flows.hpp"
#include "bench/measure.hpp"
#include "bench/process.hpp"
#include "bench/support.hpp"
#include "core/assert.hpp"

namespace reprise::bench {

std::vector<Figure> commands_p4(const Settings& settings) {
  const auto count = static_cast<std::size_t>(5000 * settings.size);
  FlowBuilder builder("true");
  TaskKind kind;
  kind.cache_name = "true";
  CommandBody body;
  body.argv.push_back({"/bin/true", {}});
  kind.body = std::move(body);
  const auto index = builder.add_kind(std::move(kind));
  for (std::size_t i = 0; i < count; ++i) builder.add_node(fmt::format("n{}", i), index);
  const auto flow = finish(std::move(builder));
  const auto engine = open_engine(fresh_folder(settings.folder), 2);
  Figure figure{"P4",
                fmt::format("{} x /bin/true, output captured, durable", count),
                "tasks/s",
                {},
                "posix_spawn + wait",
                {},
                ">= 0.90 x floor",
                false,
                {}};
  Figure captured{"P4",
                  "the same by a loop that makes the same calls",
                  "tasks/s",
                  {},
                  "posix_spawn + wait",
                  {},
                  "",
                  false,
                  {}};
  Figure asked = captured;
  asked.what = "that loop with a context's file and an actor that is asked for the next";
  for (int i = 0; i < settings.repetitions; ++i) {
    figure.floor.push_back(static_cast<double>(count) / bare_spawn(count));
    figure.runs.push_back(static_cast<double>(count) / run_flow(*engine, flow));
    captured.runs.push_back(static_cast<double>(count) / bare_capture(count));
    asked.runs.push_back(static_cast<double>(count) /
                         bare_asked(count, fresh_folder(settings.folder)));
  }
  captured.floor = asked.floor = figure.floor;
  figure.met = median(figure.runs) >= 0.9 * median(figure.floor);
  return {figure, captured, asked};
}

std::vector<Figure> rerun_p5(const Settings& settings) {
  const auto count = static_cast<std::size_t>(10'000 * settings.size);
  const std::string folder = fresh_folder(settings.folder);
  const std::string trace = write_trace(folder, count);
  const std::vector<std::string> rerun{settings.program, "run",        trace, "--data",
                                       folder + "/data", "--progress", "none"};
  run_program(rerun);
  Figure graph{"P5",
               fmt::format("rerun of {} cached tasks, new process", count),
               "ms",
               {},
               "reprise version",
               {},
               "<= 100",
               false,
               {}};

  const auto files = static_cast<std::size_t>(1000 * settings.size);
  const std::string flow = folder + "/files.yaml";
  {
    std::ofstream out(flow);
    out << "version: 1\nname: files\ntasks:\n";
    for (std::size_t i = 0; i < files; ++i)
      out << fmt::format(
          "  f{0}: {{shell: \"echo {0} > out{0}.txt\", outputs: [out{0}.txt], cache: true}}\n", i);
    out << "outputs:\n";
    for (std::size_t i = 0; i < files; ++i)
      out << fmt::format("  o{0}: \"${{{{ f{0}.outputs['out{0}.txt'] }}}}\"\n", i);
  }
  const std::vector<std::string> restore{settings.program, "run",        flow,   "--data",
                                         folder + "/data", "--progress", "none", "--out",
                                         folder + "/out"};
  run_program(restore);
  Figure restored{"P5",
                  fmt::format("{} deleted output files restored", files),
                  "ms",
                  {},
                  "reprise version",
                  {},
                  "<= 150",
                  false,
                  {}};
  for (int i = 0; i < settings.repetitions; ++i) {
    const double floor = run_program({settings.program, "version"}) * 1e3;
    graph.floor.push_back(floor);
    restored.floor.push_back(floor);
    graph.runs.push_back(run_program(rerun) * 1e3);
    std::filesystem::remove_all(folder + "/out");
    restored.runs.push_back(run_program(restore) * 1e3);
  }
  graph.met = median(graph.runs) <= 100;
  restored.met = median(restored.runs) <= 150;
  return {graph, restored};
}

std::vector<Figure> start_p12(const Settings& settings) {
  const std::string folder = fresh_folder(settings.folder);
  const std::string flow = folder + "/one.yaml";
  std::ofstream(flow) << "version: 1\nname: one\ntasks:\n  only: {run: [/bin/true]}\n";
  const std::vector<std::string> run{settings.program, "run",        flow,  "--data",
                                     folder + "/data", "--progress", "none"};
  run_program(run);
  Figure one{"P12", "one-task flow, cold start to exit", "ms", {}, "/bin/true", {}, "<= 40", false,
             {}};
  Figure version{"P12", "reprise version", "ms", {}, "/bin/true", {}, "<= 10", false, {}};
  for (int i = 0; i < std::max(settings.repetitions, 10); ++i) {
    const double floor = run_program({"/bin/true"}) * 1e3;
    one.floor.push_back(floor);
    version.floor.push_back(floor);
    one.runs.push_back(run_program(run) * 1e3);
    version.runs.push_back(run_program({settings.program, "version"}) * 1e3);
  }
  one.met = median(one.runs) <= 40;
  version.met = median(version.runs) <= 10;
  return {one, version};
}

}  // namespace reprise::bench
