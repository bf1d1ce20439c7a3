#include "bench/support.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bench/measure.hpp"
#include "core/assert.hpp"

extern char** environ;

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

std::shared_ptr<const FlowSpec> no_ops(std::size_t count, bool chained) {
  FlowBuilder builder("no-ops");
  TaskKind kind;
  kind.cache_name = "trace.noop";
  kind.body = FunctionBody{"trace.noop@1"};
  const std::uint32_t index = builder.add_kind(std::move(kind));
  NodeId last;
  for (std::size_t i = 0; i < count; ++i) {
    const NodeId node = builder.add_node(fmt::format("n{}", i), index);
    if (chained && i > 0) builder.add_state_only(last);
    last = node;
  }
  auto flow = std::move(builder).finish();
  REPRISE_ASSERT(flow.has_value(), flow.error().message);
  return std::make_shared<const FlowSpec>(std::move(*flow));
}

std::shared_ptr<const FlowSpec> sleeps_and_tree(std::size_t count) {
  constexpr std::size_t fan_in = 4;
  FlowBuilder builder("sleep-and-sum");
  TaskKind sleep, sum;
  sleep.cache_name = "trace.sleep";
  sleep.body = FunctionBody{"trace.sleep@1"};
  sleep.signature = {{{"seconds", "f64"}}, {{"result", "nil"}}};
  sum.cache_name = "trace.noop";
  sum.body = FunctionBody{"trace.noop@1"};
  const auto sleeping = builder.add_kind(std::move(sleep));
  const auto summing = builder.add_kind(std::move(sum));
  const Payload millisecond = *Payload::of(Value{1e-3});
  std::vector<NodeId> level;
  for (std::size_t i = 0; i < count; ++i) {
    level.push_back(builder.add_node(fmt::format("s{}", i), sleeping));
    builder.add_constant("seconds", millisecond);
  }
  for (int depth = 0; level.size() > 1; ++depth) {
    std::vector<NodeId> above;
    for (std::size_t i = 0; i < level.size(); i += fan_in) {
      above.push_back(builder.add_node(fmt::format("r{}.{}", depth, i / fan_in), summing));
      for (std::size_t j = i; j < std::min(i + fan_in, level.size()); ++j)
        builder.add_upstream("values", level[j], {.gathered = true});
    }
    level = std::move(above);
  }
  auto flow = std::move(builder).finish();
  REPRISE_ASSERT(flow.has_value(), flow.error().message);
  return std::make_shared<const FlowSpec>(std::move(*flow));
}

double bare_spawn(std::size_t count) {
  const auto half = [](std::size_t times) {
    char program[] = "/bin/true";
    char* argv[] = {program, nullptr};
    for (std::size_t i = 0; i < times; ++i) {
      pid_t pid = 0;
      REPRISE_ASSERT(posix_spawn(&pid, program, nullptr, nullptr, argv, environ) == 0, i);
      int status = 0;
      waitpid(pid, &status, 0);
    }
  };
  return seconds_of([&] {
    std::thread other(half, count / 2);
    half(count - count / 2);
    other.join();
  });
}

double run_program(const std::vector<std::string>& argv) {
  std::vector<char*> raw;
  for (const std::string& arg : argv) raw.push_back(const_cast<char*>(arg.c_str()));
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  int status = 0;
  const double took = seconds_of([&] {
    pid_t pid = 0;
    const int failed = posix_spawnp(&pid, raw[0], &actions, nullptr, raw.data(), environ);
    REPRISE_ASSERT(failed == 0, argv[0], failed);
    waitpid(pid, &status, 0);
  });
  posix_spawn_file_actions_destroy(&actions);
  REPRISE_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0, argv[0], argv.back(), status);
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
