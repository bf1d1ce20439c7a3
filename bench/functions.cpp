// P1, P3 and P7: functions in this process, beside a bare thread pool and a bare hand-over between
// threads.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "bench/flows.hpp"
#include "bench/measure.hpp"
#include "bench/support.hpp"
#include "core/assert.hpp"

namespace reprise::bench {

namespace {

/// The least that a pool does: a locked queue of functions and threads that take from it.
class BarePool {
 public:
  explicit BarePool(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  ~BarePool() {
    {
      const std::lock_guard guard(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void run(std::size_t count, const std::function<void()>& body) {
    std::unique_lock guard(mutex_);
    left_ = count;
    for (std::size_t i = 0; i < count; ++i) queue_.push_back(body);
    changed_.notify_all();
    done_.wait(guard, [this] { return left_ == 0; });
  }

 private:
  void work() {
    std::unique_lock guard(mutex_);
    for (;;) {
      changed_.wait(guard, [this] { return closed_ || !queue_.empty(); });
      if (queue_.empty()) return;
      std::function<void()> body = std::move(queue_.front());
      queue_.pop_front();
      guard.unlock();
      body();
      guard.lock();
      if (--left_ == 0) done_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_, done_;
  std::deque<std::function<void()>> queue_;
  std::size_t left_ = 0;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

/// Seconds of one hand-over between two threads and back, by condition variable.
double round_trip() {
  constexpr int trips = 2000;
  std::mutex mutex;
  std::condition_variable changed;
  int turn = 0;
  std::thread other([&] {
    std::unique_lock guard(mutex);
    for (int i = 0; i < trips; ++i) {
      changed.wait(guard, [&] { return turn == 1; });
      turn = 0;
      changed.notify_one();
    }
  });
  const double took = seconds_of([&] {
    std::unique_lock guard(mutex);
    for (int i = 0; i < trips; ++i) {
      turn = 1;
      changed.notify_one();
      changed.wait(guard, [&] { return turn == 0; });
    }
  });
  other.join();
  return took / trips;
}

}  // namespace

std::vector<Figure> functions_p1(const Settings& settings) {
  const auto count = static_cast<std::size_t>(100'000 * settings.size);
  const auto flow = no_ops(count, false);
  Figure memory{"P1",
                fmt::format("{} no-op functions, no journal", count),
                "tasks/s",
                {},
                "bare thread pool",
                {},
                ">= 1,000,000",
                false,
                {}};
  Figure durable{"P1",
                 fmt::format("{} no-op functions, durable", count),
                 "tasks/s",
                 {},
                 "bare thread pool",
                 {},
                 ">= 300,000",
                 false,
                 {}};
  BarePool pool(std::max(1U, std::thread::hardware_concurrency()));
  const auto engine = open_engine("");
  const auto journalled = open_engine(fresh_folder(settings.folder));
  run_flow(*engine, flow);  // warm up
  run_flow(*journalled, flow);
  for (int i = 0; i < settings.repetitions; ++i) {
    const double floor = static_cast<double>(count) / seconds_of([&] { pool.run(count, [] {}); });
    memory.floor.push_back(floor);
    durable.floor.push_back(floor);
    memory.runs.push_back(static_cast<double>(count) / run_flow(*engine, flow));
    durable.runs.push_back(static_cast<double>(count) / run_flow(*journalled, flow));
  }
  memory.met = median(memory.runs) >= 1e6;
  durable.met = median(durable.runs) >= 3e5;
  return {memory, durable};
}

std::vector<Figure> chain_p3(const Settings& settings) {
  const std::size_t count = 1000;
  const auto flow = no_ops(count, true);
  Figure memory{"P3",
                "chain of 1,000 no-ops, no journal",
                "us/task",
                {},
                "thread hand-over and back",
                {},
                "<= 15",
                false,
                {}};
  Figure durable{"P3",
                 "chain of 1,000 no-ops, durable",
                 "us/task",
                 {},
                 "thread hand-over and back",
                 {},
                 "<= 15",
                 false,
                 {}};
  const auto engine = open_engine("");
  const auto journalled = open_engine(fresh_folder(settings.folder));
  run_flow(*engine, flow);
  run_flow(*journalled, flow);
  for (int i = 0; i < settings.repetitions; ++i) {
    const double floor = round_trip() * 1e6;
    memory.floor.push_back(floor);
    durable.floor.push_back(floor);
    memory.runs.push_back(run_flow(*engine, flow) * 1e6 / count);
    durable.runs.push_back(run_flow(*journalled, flow) * 1e6 / count);
  }
  memory.met = median(memory.runs) <= 15;
  durable.met = median(durable.runs) <= 15;
  return {memory, durable};
}

std::vector<Figure> short_tasks_p7(const Settings& settings) {
  const auto count = static_cast<std::size_t>(2000 * settings.size);
  const auto flow = sleeps_and_tree(count);
  const auto engine = open_engine(fresh_folder(settings.folder), 2);
  BarePool pool(2);
  Figure figure{"P7",
                fmt::format("{} x 1 ms on 2 slots, then a tree", count),
                "s",
                {},
                "bare pool, no tree",
                {},
                "<= 1.02 x ideal",
                false,
                {}};
  for (int i = 0; i < settings.repetitions; ++i) {
    figure.floor.push_back(seconds_of([&] {
      pool.run(count, [] { std::this_thread::sleep_for(std::chrono::milliseconds{1}); });
    }));
    figure.runs.push_back(run_flow(*engine, flow));
  }
  const double ideal = static_cast<double>(count) * 1e-3 / 2;
  figure.met = median(figure.runs) <= 1.02 * ideal;
  figure.note = fmt::format("{:.3f} x ideal", median(figure.runs) / ideal);
  return {figure};
}

}  // namespace reprise::bench
