#include "bench/support.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <vector>

#include <fmt/format.h>

#include "bench/measure.hpp"
#include "core/assert.hpp"

namespace reprise::bench {

std::unique_ptr<Engine> open_engine(const std::string& folder, unsigned slots) {
  EngineOptions options;
  options.data = folder;
  options.slots = slots;
  if (folder.empty()) options.durability = Durability::none;
  auto engine = Engine::open(std::move(options));
  REPRISE_ASSERT(engine.has_value(), engine.error().message);
  return std::move(*engine);
}

double run_flow(Engine& engine, const std::shared_ptr<const FlowSpec>& flow) {
  RunId id;
  const double took = seconds_of([&] {
    RunOptions options;
    options.always_new = true;
    const auto started = engine.submit(flow, options);
    REPRISE_ASSERT(started.has_value(), started.error().message);
    id = started->id;
    const auto result = engine.wait(id);
    REPRISE_ASSERT(result && result->state == RunState::success, result ? result->message : "");
  });
  engine.forget(id);
  return took;
}

std::string write_trace(const std::string& folder, std::size_t tasks) {
  const std::string path = folder + "/trace.json";
  std::ofstream out(path);
  const std::size_t layer = std::max<std::size_t>(1, tasks / 10);
  const auto id = [](std::size_t n) { return fmt::format("task{:08}", n); };
  std::vector<std::vector<std::size_t>> children(tasks);
  std::vector<std::vector<std::size_t>> parents(tasks);
  for (std::size_t n = layer; n < tasks; ++n) {
    for (const std::size_t parent :
         {n - layer, (n - layer) / layer * layer + (n - layer + 1) % layer}) {
      if (!parents[n].empty() && parents[n][0] == parent) continue;
      parents[n].push_back(parent);
      children[parent].push_back(n);
    }
  }
  const auto list = [&](const std::vector<std::size_t>& ids) {
    std::string text;
    for (const std::size_t n : ids) text += (text.empty() ? "\"" : ",\"") + id(n) + "\"";
    return "[" + text + "]";
  };
  out << R"({"name":"bench","schemaVersion":"1.5","workflow":{"specification":{"files":[],"tasks":[)";
  for (std::size_t n = 0; n < tasks; ++n)
    out << (n > 0 ? ",\n" : "\n")
        << fmt::format(
               R"({{"id":"{}","name":"t","parents":{},"children":{},"inputFiles":[],"outputFiles":[]}})",
               id(n), list(parents[n]), list(children[n]));
  out << "]}}}\n";
  return path;
}

std::string fresh_folder(const std::string& folder) {
  static std::atomic<int> serial{0};
  const auto path = std::filesystem::path(folder) / fmt::format("d{}", serial++);
  std::filesystem::create_directories(path);
  return path.string();
}

}  // namespace reprise::bench
