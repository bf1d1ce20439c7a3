#include "tests/sim/workload.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "flow/flow_builder.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t shared_names = 4;  // of tasks that several flows have in common

struct Made {
  std::shared_ptr<const FlowSpec> flow;
  bool is_doomed = false;
};

Behavior make_behavior(Random& random) {
  Behavior behavior;
  // Short ones wait at workers for those before them (scheduler/placement.hpp).
  behavior.least = random.one_in(4) ? random.between(2ms, 10ms) : random.between(20ms, 100ms);
  behavior.most = behavior.least + (random.one_in(4) ? random.between(1s, 5s) : 300ms);
  if (random.one_in(6)) behavior.list_width = static_cast<std::uint32_t>(random.between(1, 4));
  return behavior;
}

Made make_flow(Random& random, std::size_t number, Workload& workload) {
  FlowBuilder builder(fmt::format("flow-{}", number));
  Made made;
  const std::size_t count = random.between(1, 7);
  std::vector<std::string> names;
  for (std::uint32_t n = 0; n < count; ++n) {
    TaskKind kind;
    const bool is_shared = random.one_in(3);
    kind.cache_name = is_shared ? fmt::format("shared-{}", random.below(shared_names))
                                : fmt::format("task-{}-{}", number, n);
    kind.body = FunctionBody{body_function};
    kind.signature.inputs = {};
    if (!is_shared) workload.behaviors[kind.cache_name] = make_behavior(random);
    Behavior& behavior = workload.behaviors[kind.cache_name];
    kind.cache.enabled = is_shared || random.one_in(4);
    if (kind.cache.enabled && random.one_in(3)) {
      kind.cache.expires_after = random.between(2s, 20s);
      if (random.one_in(2)) kind.cache.life.stale_while_revalidate = 5s;
    }
    kind.retry.max = static_cast<std::uint32_t>(random.below(4));
    kind.retry.delay = random.one_in(2) ? 0ms : random.between(10ms, 1500ms);
    kind.retry.exponential = random.one_in(3);
    if (!is_shared) {
      if (random.one_in(4))
        behavior.fails_first = static_cast<std::uint32_t>(random.between(1, kind.retry.max + 1));
      if (random.one_in(12)) {
        behavior.hangs_first = true;
        behavior.most = behavior.least + 300ms;  // the next one is in time
        behavior.fails_first = 0;
        kind.timeout = random.between(500ms, 3s);
        kind.retry.max = std::max(kind.retry.max, 1U);
      }
      if (behavior.fails_first > kind.retry.max) {
        // Most flows are to come to something.
        made.is_doomed |= random.one_in(3);
        if (made.is_doomed)
          behavior.fails_first = UINT32_MAX;
        else
          kind.retry.max = behavior.fails_first;
      }
      if (!kind.cache.enabled && random.one_in(3)) behavior.is_random = true;
    }
    if (random.one_in(5)) kind.resources.cpu_milli = 2000;
    if (random.one_in(8)) kind.resources.memory_bytes = worker_memory / 8 * random.between(2, 7);
    if (random.one_in(16)) kind.require["zone"] = "first";
    const bool is_mapped = random.one_in(4);
    if (is_mapped && random.one_in(2))
      kind.max_parallel = static_cast<std::uint32_t>(random.between(1, 2));
    builder.add_node(fmt::format("n{}", n), builder.add_kind(kind));
    names.push_back(kind.cache_name);
    bool is_over_upstream = false;
    for (std::uint32_t up = 0; up < n; ++up) {
      if (!random.one_in(3)) continue;
      const bool over = is_mapped && !is_over_upstream &&
                        workload.behaviors[names[up]].list_width > 0 &&
                        !builder.spec().is_mapped(NodeId{up});
      is_over_upstream |= over;
      builder.add_upstream(fmt::format("in{}", up), NodeId{up}, {.mapped = over});
    }
    if (is_mapped && !is_over_upstream) {
      List items;
      const std::size_t width = random.between(1, 5);
      for (std::size_t i = 0; i < width; ++i) items.emplace_back(static_cast<std::int64_t>(i));
      builder.add_constant("item", *Payload::of(Value{std::move(items)}), {.mapped = true});
    } else if (is_shared) {
      builder.add_constant("seed", *Payload::of(Value{static_cast<std::int64_t>(random.below(2))}));
    }
  }
  auto flow = std::move(builder).finish();
  REPRISE_ASSERT(flow.has_value(), flow ? "" : flow.error().message);
  made.flow = std::make_shared<const FlowSpec>(*std::move(flow));
  return made;
}

}  // namespace

Workload make_workload(Random& random, std::size_t clients, Duration length) {
  Workload workload;
  for (std::size_t i = 0; i < shared_names; ++i)
    workload.behaviors[fmt::format("shared-{}", i)] = make_behavior(random);
  std::vector<Made> flows;
  const std::size_t flow_count = random.between(1, 4);
  for (std::size_t i = 0; i < flow_count; ++i) flows.push_back(make_flow(random, i, workload));
  const std::size_t job_count = random.between(2, 7);
  for (std::size_t i = 0; i < job_count; ++i) {
    const Made& made = random.pick(flows);
    Job job;
    job.key = fmt::format("job-{}", i);
    job.client = random.below(clients);
    job.at = random.between(0s, length / 2);
    if (random.one_in(4)) job.cancel_after = random.between(0s, 4s);
    job.flow = made.flow;
    job.is_doomed = made.is_doomed;
    if (random.one_in(6)) job.cache = CacheMode::refresh;
    workload.jobs.push_back(std::move(job));
  }
  return workload;
}

Duration Workload::shortest() const {
  Duration least = Duration::max();
  for (const auto& [name, behavior] : behaviors) least = std::min(least, behavior.least);
  return least;
}

Payload value_for(const Behavior& behavior, const std::string& cache_name,
                  const std::vector<Argument>& arguments, std::uint64_t salt) {
  std::string text = cache_name;
  for (const Argument& argument : arguments) {
    text += fmt::format("\n{}=", argument.name);
    text += argument.value.digest.raw();
  }
  if (salt != 0) text += fmt::format("\n#{}", salt);
  const Digest digest = sha256(text);
  std::uint64_t number = 0;
  for (const char c : digest.raw().substr(0, 7))
    number = number << 8 | static_cast<unsigned char>(c);
  if (behavior.list_width == 0) return *Payload::of(Value{static_cast<std::int64_t>(number)});
  List list;
  for (std::uint32_t i = 0; i < behavior.list_width; ++i)
    list.emplace_back(static_cast<std::int64_t>(number / 16 + i));
  return *Payload::of(Value{std::move(list)});
}

}  // namespace reprise::sim
