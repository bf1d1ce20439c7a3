// The dependence patterns of Task Bench (Slaughter et al., SC20), written anew from their
// definition and checked against the lists that its own program prints, with its kernel and its
// validation: every output names its task, and every input is checked to come from the right one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flow/flow_spec.hpp"
#include "worker/functions.hpp"

namespace reprise::bench {

enum class Pattern {
  trivial,
  no_comm,
  stencil_1d,
  stencil_1d_periodic,
  dom,
  tree,
  fft,
  all_to_all,
  nearest,
  spread,
  random_nearest,
};

/// A graph of `steps` rows of at most `width` points. Point p of row t waits for points of row
/// t - 1.
struct Graph {
  Pattern pattern = Pattern::trivial;
  std::int64_t steps = 4;
  std::int64_t width = 4;
  std::int64_t radix = 3;
  std::int64_t period = 3;  // of spread and random_nearest
  double fraction = 0.25;   // of random_nearest
  std::int64_t index = 0;   // of the graph, which enters what is random

  [[nodiscard]] std::int64_t first_point(std::int64_t step) const;
  [[nodiscard]] std::int64_t points(std::int64_t step) const;
  /// Points of row `step` - 1, ascending.
  [[nodiscard]] std::vector<std::int64_t> dependencies(std::int64_t step, std::int64_t point) const;
};

/// SipHash-2-4 with Task Bench's key, as a number in [0, 1).
[[nodiscard]] double random_uniform(const std::vector<std::int64_t>& words);

/// Task Bench's compute_bound kernel: 128 x `iterations` + 64 floating point operations.
/// @return something that depends on all of them
double compute(std::int64_t iterations);

/// What task (step, point) gives: its place, over and over, `bytes` long.
[[nodiscard]] std::string output_of(std::int64_t step, std::int64_t point, std::size_t bytes = 16);

/// Adds "bench.point@1": runs the kernel and checks its inputs. @error of a run: the body throws
/// when an input is not what it must be
void add_task_bench(worker::FunctionTable& table);

enum class Executor { function, command };

/// The graphs as one flow whose tasks run the kernel `iterations` long.
/// @param kernel  program of the commands: reprise_kernel
[[nodiscard]] std::shared_ptr<const FlowSpec> task_bench_flow(const std::vector<Graph>& graphs,
                                                              std::int64_t iterations,
                                                              Executor executor,
                                                              const std::string& kernel);

}  // namespace reprise::bench
