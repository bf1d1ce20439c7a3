// P6, P10 and P11: what a million tasks cost, beside a thousand.
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>
#include <filesystem>
#include <future>
#include <thread>

#include <fmt/format.h>
#ifdef REPRISE_HAS_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif

#include "bench/flows.hpp"
#include "bench/measure.hpp"
#include "bench/support.hpp"
#include "cluster/fleet.hpp"
#include "core/assert.hpp"
#include "scheduler/scheduler.hpp"

namespace reprise::bench {

namespace {

/// Bytes of the heap that are in use, what rounding costs included.
double heap_bytes() {
#ifdef REPRISE_HAS_JEMALLOC
  std::uint64_t epoch = 1;  // figures are as of the last one
  std::size_t bytes = 0, size = sizeof bytes;
  REPRISE_ASSERT(::mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch) == 0 &&
                     ::mallctl("stats.allocated", &bytes, &size, nullptr, 0) == 0,
                 "no such figure");
  return static_cast<double>(bytes);
#else
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
#endif
}

Payload number(std::int64_t value) {
  return *Payload::of(Value{value});
}

/// `count` tasks in rows of `width`; each takes the results of two of the row before.
std::shared_ptr<const FlowSpec> layered(std::size_t count, std::size_t width) {
  FlowBuilder builder("layered");
  const auto kind = builder.add_kind(no_op());
  for (std::size_t i = 0; i < count; ++i) {
    builder.add_node(fmt::format("n{}", i), kind);
    if (i < width) continue;
    const auto above = static_cast<std::uint32_t>(i - width);
    builder.add_upstream("a", NodeId{above});
    builder.add_upstream("b", NodeId{above % width == 0 ? above + 1 : above - 1});
  }
  return finish(std::move(builder));
}

/// One task before, or after, `count` others.
std::shared_ptr<const FlowSpec> fan(std::size_t count, bool in) {
  FlowBuilder builder("fan");
  const auto kind = builder.add_kind(no_op());
  NodeId first;
  if (!in) first = builder.add_node("hub", kind);
  for (std::size_t i = 0; i < count; ++i) {
    builder.add_node(fmt::format("n{}", i), kind);
    if (!in) builder.add_upstream("hub", first);
  }
  if (in) {
    builder.add_node("hub", kind);
    // Not in the order of their numbers, which would be kinder than what people write.
    for (std::size_t i = 0; i < count; ++i)
      builder.add_upstream("all", NodeId{static_cast<std::uint32_t>((i * 7919) % count)},
                           {.gathered = true});
  }
  return finish(std::move(builder));
}

/// The scheduler alone, with everything around it played: every attempt ends at once with a number.
class Played {
 public:
  explicit Played(const std::shared_ptr<const FlowSpec>& flow) {
    auto context = std::make_shared<RunContext>();
    context->flow = flow;
    context->cache = CacheMode::off;
    scheduler::Submit submit;
    submit.run = scheduler::RunIndex{0};
    submit.context = std::move(context);
    handle(std::move(submit));
  }

  /// @return the most bytes of the heap that were in use meanwhile
  double run() {
    double most = heap_bytes();
    std::size_t steps = 0;
    while (!sent_.empty()) {
      scheduler::Reported reported;
      for (; !sent_.empty(); sent_.pop_front()) {
        scheduler::Report& report = reported.reports.emplace_back();
        report.attempt = {scheduler::RunIndex{0}, sent_.front().task, sent_.front().number};
        report.outcome.state = TaskState::success;
        report.outcome.executed = true;
        report.outcome.value = number(static_cast<std::int64_t>(++serial_));
      }
      handle(std::move(reported));
      if (++steps % 100 == 0) most = std::max(most, heap_bytes());
    }
    REPRISE_ASSERT(has_ended_, serial_);
    return std::max(most, heap_bytes());
  }

 private:
  void handle(scheduler::Event event) {
    scheduler::Effects effects = scheduler_.handle(std::move(event), Time{});
    for (Attempt& attempt : effects.dispatches) sent_.push_back(std::move(attempt));
    has_ended_ = has_ended_ || !effects.ended.empty();
  }
  scheduler::Scheduler scheduler_{2};
  std::deque<Attempt> sent_;
  std::uint64_t serial_ = 0;
  bool has_ended_ = false;
};

Figure bytes_figure(std::string what, std::string goal) {
  Figure figure;
  figure.id = "P6";
  figure.what = std::move(what);
  figure.unit = "bytes";
  figure.goal = std::move(goal);
  return figure;
}

/// Nanoseconds per task of a run in an engine, and of its submit alone.
struct Cost {
  double run_ns = 0;
  double submit_ns = 0;
};

Cost cost_of(Engine& engine, const std::shared_ptr<const FlowSpec>& flow, std::size_t tasks,
             std::size_t times) {
  Cost cost;
  for (std::size_t i = 0; i < times; ++i) {
    RunOptions options;
    options.always_new = true;
    const auto begin = std::chrono::steady_clock::now();
    const auto started = engine.submit(flow, options);
    REPRISE_ASSERT(started.has_value(), started.error().message);
    const auto submitted = std::chrono::steady_clock::now();
    const auto result = engine.wait(started->id);
    const auto ended = std::chrono::steady_clock::now();
    REPRISE_ASSERT(result && result->state == RunState::success, result ? result->message : "");
    engine.forget(started->id);
    cost.submit_ns += std::chrono::duration<double, std::nano>(submitted - begin).count();
    cost.run_ns += std::chrono::duration<double, std::nano>(ended - begin).count();
  }
  const double all = static_cast<double>(tasks * times);
  return {cost.run_ns / all, cost.submit_ns / all};
}

/// From the end of one engine, with half of the run's tasks done, to the first task that another
/// one begins.
double restart_seconds(const std::string& folder, const std::shared_ptr<const FlowSpec>& flow) {
  const std::size_t half = flow->nodes.size() / 2;
  {
    const auto engine = open_engine(folder, 2);
    std::atomic<std::size_t> done{0};
    std::promise<void> reached;
    engine->listen([&](const journal::Batch& batch) {
      const std::size_t before = done.load();
      for (const journal::TaskChange& change : batch.tasks) done += is_finished(change.state);
      if (before < half && done >= half) reached.set_value();
    });
    REPRISE_ASSERT(engine->submit(flow, {}).has_value(), folder);
    reached.get_future().wait();
    engine->abandon();
  }
  std::promise<void> went_on;
  std::atomic<bool> told{false};
  std::atomic<std::size_t> again{0};
  return seconds_of([&] {
    const auto engine = open_engine(folder, 2);
    engine->listen([&](const journal::Batch& batch) {
      again += batch.tasks.size();
      if (!batch.tasks.empty() && !told.exchange(true)) went_on.set_value();
    });
    const auto started = engine->submit(flow, {});
    REPRISE_ASSERT(started.has_value() && started->continued, folder);
    went_on.get_future().wait();
    engine->abandon();
  });
}

/// Nanoseconds per run of `count` runs of one task, one after the other, in one data folder.
double runs_in_a_row(const Settings& settings, std::size_t count) {
  const auto engine = open_engine(fresh_folder(settings.folder), 2);
  const auto one = no_ops(1, false);
  run_flow(*engine, one);
  const double took = seconds_of([&] {
    for (std::size_t i = 0; i < count; ++i) run_flow(*engine, one);
  });
  return took * 1e9 / static_cast<double>(count);
}

/// Bytes that the journal of a run holds for each of its tasks.
double journal_bytes(const Settings& settings, std::size_t count) {
  const std::string folder = fresh_folder(settings.folder);
  const auto size = [&] {
    std::uintmax_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().filename().string().starts_with("journal.db")) bytes += entry.file_size();
    return bytes;
  };
  // Closed, a journal has no log of its own beside it.
  { run_flow(*open_engine(folder, 2), no_ops(1, false)); }
  const std::uintmax_t empty = size();
  { run_flow(*open_engine(folder, 2), no_ops(count, false)); }
  return static_cast<double>(size() - empty) / static_cast<double>(count);
}

/// Nanoseconds per worker when `count` of them join a server that has `waiting` tasks for them:
/// fleet and scheduler alone, each told of the other as their actors do.
double joining(std::size_t count, std::size_t waiting) {
  scheduler::Scheduler scheduler{std::vector<scheduler::WorkerOffer>{}, scheduler::Policy{}};
  cluster::Fleet fleet;
  std::size_t sent = 0;
  const auto handle = [&](scheduler::Event event) {
    scheduler::Effects effects = scheduler.handle(std::move(event), Time{});
    sent += effects.dispatches.size();
    fleet.dispatch(std::move(effects.dispatches));
  };
  auto context = std::make_shared<RunContext>();
  context->flow = no_ops(waiting, false);
  context->cache = CacheMode::off;
  scheduler::Submit submit;
  submit.run = scheduler::RunIndex{0};
  submit.context = std::move(context);
  handle(std::move(submit));
  const double took = seconds_of([&] {
    for (std::size_t i = 1; i <= count; ++i) {
      cluster::WorkerCard card;
      card.name = fmt::format("w{}", i);
      card.slots = 4;
      card.capacity = {4000, 8ull << 30, {}};
      card.functions = {"trace.noop@1"};
      fleet.joined(i, std::move(card), Time{});
      for (auto effects = fleet.take_effects(); effects.workers; effects = fleet.take_effects())
        handle(std::move(*effects.workers));
    }
  });
  REPRISE_ASSERT(sent >= std::min(waiting, 4 * count), sent);
  return took * 1e9 / static_cast<double>(count);
}

}  // namespace

std::vector<Figure> memory_p6(const Settings& settings) {
  const auto count = static_cast<std::size_t>(1'000'000 * settings.size);
  Figure graph = bytes_figure(fmt::format("a task of a graph of {}, two inputs", count), "<= 400");
  Figure waiting = bytes_figure(fmt::format("a waiting element of {} numbers", count), "<= 64");
  Figure named = bytes_figure(fmt::format("a waiting element of {} texts", count), "<= 64");
  const auto all = static_cast<double>(count);
  {
    const double before = heap_bytes();
    const auto flow = layered(count, 1000);
    const double with_flow = heap_bytes();
    Played played(flow);
    const double submitted = heap_bytes();
    const double most = played.run();
    graph.runs.push_back((most - before) / all);
    graph.details.push_back(fmt::format("flow {:.1f}, submitted {:.1f}, while it runs {:.1f}",
                                        (with_flow - before) / all, (submitted - with_flow) / all,
                                        (most - submitted) / all));
  }
  for (Figure* figure : {&waiting, &named}) {
    const double before = heap_bytes();
    const Played played(mapped(count, figure == &named));
    figure->runs.push_back((heap_bytes() - before) / all);
  }
  graph.note = "flow, scheduler and results";
  graph.met = graph.runs.front() <= 400;
  waiting.met = waiting.runs.front() <= 64;
  named.met = named.runs.front() <= 64;
  named.note = "each with its name";
  return {graph, waiting, named};
}

std::vector<Figure> growth_p10(const Settings& settings) {
  const auto large = static_cast<std::size_t>(1'000'000 * settings.size);
  constexpr std::size_t small = 1000;
  std::vector<Figure> figures;
  const auto compare_with = [&](std::size_t least, const char* unit, std::string what,
                                std::size_t most, auto cost) {
    if (what.find(settings.only) == std::string::npos) return;
    Figure figure;
    figure.id = "P10";
    figure.what = std::move(what);
    figure.unit = unit;
    figure.floor_name = fmt::format("the same with {}", least);
    figure.goal = "<= 1.50 x floor";
    const int times = std::max(1, settings.repetitions / 2);
    for (int i = 0; i < times; ++i) {
      figure.floor.push_back(cost(least));
      figure.runs.push_back(cost(most));
    }
    const double ratio = median(figure.runs) / median(figure.floor);
    figure.met = ratio <= 1.5;
    figure.note = fmt::format(
        "grows with the power {:.2f}",
        1 + std::log(ratio) / std::log(static_cast<double>(most) / static_cast<double>(least)));
    figures.push_back(std::move(figure));
  };
  const auto compare = [&](std::string what, std::size_t most, auto cost) {
    compare_with(small, "ns/task", std::move(what), most, cost);
  };
  const auto engine = open_engine("", 2);
  const auto durable = open_engine(fresh_folder(settings.folder), 2);
  const auto repeated = [&](Engine& on, const auto& make, std::size_t tasks) {
    const auto flow = make(tasks);
    const std::size_t times = tasks <= small ? 50 : 1;
    if (tasks <= small) cost_of(on, flow, tasks, 5);  // warm up
    return cost_of(on, flow, tasks, times);
  };
  const auto independent = [](std::size_t n) { return no_ops(n, false); };
  compare(fmt::format("{} independent tasks", large), large,
          [&](std::size_t n) { return repeated(*engine, independent, n).run_ns; });
  compare(fmt::format("{} independent tasks, durable", large), large,
          [&](std::size_t n) { return repeated(*durable, independent, n).run_ns; });
  compare(fmt::format("submit of {} tasks, durable", large), large,
          [&](std::size_t n) { return repeated(*durable, independent, n).submit_ns; });
  // Both in ten rows or more, so that both wait for inputs.
  compare(fmt::format("{} tasks in rows of 100, two inputs", large), large, [&](std::size_t n) {
    return repeated(
               *engine, [](std::size_t m) { return layered(m, 100); }, n)
        .run_ns;
  });
  compare(fmt::format("a mapped task of {}", large), large, [&](std::size_t n) {
    return repeated(
               *engine, [](std::size_t m) { return mapped(m, false); }, n)
        .run_ns;
  });
  compare(fmt::format("fan-in of {}", large / 10), large / 10, [&](std::size_t n) {
    return repeated(
               *engine, [](std::size_t m) { return fan(m, true); }, n)
        .run_ns;
  });
  compare(fmt::format("fan-out of {}", large / 10), large / 10, [&](std::size_t n) {
    return repeated(
               *engine, [](std::size_t m) { return fan(m, false); }, n)
        .run_ns;
  });
  compare_with(small, "bytes/task", fmt::format("journal of {} tasks", large), large,
               [&](std::size_t n) { return journal_bytes(settings, n); });
  compare_with(small / 10, "ns/worker", fmt::format("{} workers that join at once", small), small,
               [](std::size_t n) { return joining(n, 10 * small); });
  compare_with(small, "ns/run", fmt::format("{} runs in a row, durable", large / 100), large / 100,
               [&](std::size_t n) { return runs_in_a_row(settings, n); });
  return figures;
}

std::vector<Figure> restart_p11(const Settings& settings) {
  const auto count = static_cast<std::size_t>(1'000'000 * settings.size);
  const auto flow = no_ops(count, false);
  Figure figure;
  figure.id = "P11";
  figure.what = fmt::format("going on with a run of {}, half done", count);
  figure.unit = "s";
  figure.goal = "<= 3";
  for (int i = 0; i < std::max(1, settings.repetitions / 2); ++i)
    figure.runs.push_back(restart_seconds(fresh_folder(settings.folder), flow));
  figure.met = median(figure.runs) <= 3;
  return {figure};
}

}  // namespace reprise::bench
