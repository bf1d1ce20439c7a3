#include "bench/measure.hpp"

#include <algorithm>
#include <chrono>

namespace reprise::bench {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double spread_percent(const std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double middle = median(values);
  return middle == 0 ? 0 : 100 * (*most - *least) / middle;
}

double seconds_of(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Entry> all() {
  return {{"P1", "independent no-op functions", functions_p1},
          {"P2", "independent no-op functions, cluster", cluster_p2},
          {"P3", "a chain of no-op functions", chain_p3},
          {"P3", "a chain, and single tasks, cluster", cluster_p3},
          {"P4", "commands", commands_p4},
          {"P5", "rerun of a cached graph", rerun_p5},
          {"P5", "the same from Redis", redis_p5},
          {"P6", "memory of the scheduler", memory_p6},
          {"P7", "1 ms tasks and a tree of reductions", short_tasks_p7},
          {"P7", "the same, cluster", cluster_p7},
          {"P8", "the smallest tasks worth their while", metg_p8},
          {"P9", "quality of schedules", schedules_p9},
          {"P10", "growth", growth_p10},
          {"P11", "restart", restart_p11},
          {"P12", "cold start", start_p12},
          {"P13", "cost of the cache", cache_p13},
          {"P13", "cost of Redis", redis_p13}};
}

}  // namespace reprise::bench
