// The hot paths, each once, on one thread, with data made before: what tests/counts/ counts the
// instructions of. Run it under callgrind, which collects within functions named measured_*.
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/flows.hpp"
#include "cache/memory_store.hpp"
#include "cluster/wire.hpp"
#include "core/assert.hpp"
#include "core/cache_key.hpp"
#include "flow/wfformat.hpp"
#include "journal/records.hpp"
#include "scheduler/scheduler.hpp"

namespace reprise::bench {

namespace {

constexpr std::size_t count = 4000;

/// Each takes the result of the one before.
std::shared_ptr<const FlowSpec> chain() {
  FlowBuilder builder("chain");
  const auto kind = builder.add_kind(no_op());
  NodeId last;
  for (std::size_t i = 0; i < count; ++i) {
    const NodeId node = builder.add_node(fmt::format("n{}", i), kind);
    if (i > 0) builder.add_upstream("last", last);
    last = node;
  }
  return finish(std::move(builder));
}

/// Runs a flow through the scheduler, `slots` attempts at a time, each of which ends at once.
void play(const std::shared_ptr<const FlowSpec>& flow, std::uint32_t slots) {
  scheduler::Scheduler scheduler(slots);
  auto context = std::make_shared<RunContext>();
  context->flow = flow;
  context->cache = CacheMode::off;
  scheduler::Submit submit;
  submit.run = scheduler::RunIndex{0};
  submit.context = std::move(context);
  scheduler::Event event = std::move(submit);
  for (bool has_ended = false; !has_ended;) {
    scheduler::Effects effects = scheduler.handle(std::move(event), Time{});
    has_ended = !effects.ended.empty();
    scheduler::Reported reported;
    for (const Attempt& attempt : effects.dispatches) {
      scheduler::Report& report = reported.reports.emplace_back();
      report.attempt = {scheduler::RunIndex{0}, attempt.task, attempt.number};
      report.outcome.state = TaskState::success;
      report.outcome.executed = true;
      report.outcome.value = Payload::nil();
      report.outcome.duration = std::chrono::seconds{1};
    }
    event = std::move(reported);
  }
}

/// A trace of tasks in ten rows, each with two parents.
std::string trace() {
  const std::size_t width = count / 10;
  std::string tasks;
  const auto name = [](std::size_t n) { return fmt::format("\"task{:08}\"", n); };
  for (std::size_t n = 0; n < count; ++n) {
    const std::size_t row = n / width, at = n % width;
    std::string parents, children;
    if (row > 0)
      parents = name((row - 1) * width + at) + "," + name((row - 1) * width + (at + 1) % width);
    if (row < 9)
      children =
          name((row + 1) * width + at) + "," + name((row + 1) * width + (at + width - 1) % width);
    tasks += fmt::format(
        R"({}{{"id":{},"name":"t","parents":[{}],"children":[{}],"inputFiles":[],"outputFiles":[]}})",
        n > 0 ? ",\n" : "", name(n), parents, children);
  }
  return fmt::format(
      R"({{"name":"bench","schemaVersion":"1.5","workflow":{{"specification":{{"files":[],"tasks":[{}]}}}}}})",
      tasks);
}

journal::Batch changes() {
  journal::Batch batch;
  for (std::uint32_t i = 0; i < count; ++i) {
    journal::TaskChange& change = batch.tasks.emplace_back();
    change.task = TaskId{i};
    change.state = TaskState::success;
    change.executed = true;
    change.run_count = 1;
    change.result = Payload::nil();
  }
  return batch;
}

std::vector<Key> fill(cache::Store& store) {
  std::vector<Key> keys;
  std::vector<cache::Commit> commits;
  for (std::size_t i = 0; i < count; ++i) {
    cache::Commit& commit = commits.emplace_back();
    commit.key = Key{digest_in("bench", std::to_string(i))};
    commit.name = "bench";
    commit.value = *Payload::of(Value{fmt::format("value {}", i)});
    keys.push_back(commit.key);
  }
  REPRISE_ASSERT(store.commit(commits, Time{}).has_value(), 0);
  return keys;
}

}  // namespace

// Named for callgrind; not inlined, so that they are there to be named.
[[gnu::noinline]] void measured_independent(const std::shared_ptr<const FlowSpec>& flow) {
  play(flow, 64);
}
[[gnu::noinline]] void measured_chain(const std::shared_ptr<const FlowSpec>& flow) {
  play(flow, 2);
}
[[gnu::noinline]] void measured_mapped(const std::shared_ptr<const FlowSpec>& flow) {
  play(flow, 64);
}
[[gnu::noinline]] void measured_trace(const std::string& text) {
  REPRISE_ASSERT(import_wfformat(text, {}).has_value(), 0);
}
[[gnu::noinline]] void measured_flow_record(const FlowSpec& flow) {
  REPRISE_ASSERT(FlowSpec::decode(flow.encode()).has_value(), 0);
}
[[gnu::noinline]] void measured_journal(const journal::Batch& batch) {
  REPRISE_ASSERT(journal::decode(batch.run, journal::encode(batch)).has_value(), 0);
}
[[gnu::noinline]] void measured_keys(const std::vector<Payload>& values) {
  for (std::size_t i = 0; i < 200; ++i) {
    Material material;
    material.name = "bench";
    material.version = "1";
    for (std::size_t a = 0; a < 20; ++a)
      material.arguments.emplace(fmt::format("a{}", a), values[(i + a) % values.size()].digest);
    REPRISE_ASSERT(!Key::of(material).digest.is_none(), i);
  }
}
[[gnu::noinline]] void measured_memory_hits(cache::Store& store, const std::vector<Key>& keys) {
  for (std::size_t i = 0; i + 64 <= keys.size(); i += 64)
    REPRISE_ASSERT(store.look_up(std::span(keys).subspan(i, 64), Time{})->front().has_value(), i);
}
[[gnu::noinline]] void measured_dispatches(const cluster::wire::Dispatch& message,
                                           const std::shared_ptr<const RunContext>& context) {
  cluster::wire::Dispatch received;
  REPRISE_ASSERT(
      cluster::wire::decode(
          cluster::wire::encode(message), [&](std::uint32_t) { return context; }, received)
          .has_value(),
      0);
}
[[gnu::noinline]] void measured_reports(const cluster::wire::Reports& message) {
  cluster::wire::Reports received;
  REPRISE_ASSERT(cluster::wire::decode(cluster::wire::encode(message), received).has_value(), 0);
}

namespace {

void run_all() {
  static_cast<void>(sha256("the library makes itself ready at its first use"));
  measured_independent(no_ops(count, false));
  measured_chain(chain());
  measured_mapped(mapped(count, false));
  const std::string text = trace();
  measured_trace(text);
  measured_flow_record(*import_wfformat(text, {}));
  measured_journal(changes());
  std::vector<Payload> values;
  for (std::int64_t i = 0; i < 64; ++i) values.push_back(*Payload::of(Value{i}));
  measured_keys(values);
  cache::MemoryStore store;
  const auto keys = fill(store);
  measured_memory_hits(store, keys);

  auto context = std::make_shared<RunContext>();
  context->flow = chain();
  cluster::wire::Dispatch dispatch;
  cluster::wire::Reports reports;
  for (std::uint32_t i = 0; i < count; ++i) {
    Attempt& attempt = dispatch.attempts.emplace_back().attempt;
    attempt.task = TaskId{i};
    attempt.node = NodeId{i};
    attempt.context = context;
    if (i > 0) attempt.arguments.push_back({context->flow->names[0], Payload::nil()});
    scheduler::Report& report = reports.reports.emplace_back();
    report.attempt = {scheduler::RunIndex{0}, TaskId{i}, 1};
    report.outcome.state = TaskState::success;
    report.outcome.executed = true;
    report.outcome.value = Payload::nil();
  }
  measured_dispatches(dispatch, context);
  measured_reports(reports);
}

}  // namespace

}  // namespace reprise::bench

int main() {
  reprise::bench::run_all();
  std::puts("done");
  return 0;
}
