#include "bench/support.hpp"

#include <atomic>
#include <filesystem>

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

std::string fresh_folder(const std::string& folder) {
  static std::atomic<int> serial{0};
  const auto path = std::filesystem::path(folder) / fmt::format("d{}", serial++);
  std::filesystem::create_directories(path);
  return path.string();
}

}  // namespace reprise::bench
