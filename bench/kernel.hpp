// Task Bench's compute_bound kernel, by itself, so that a command can be little more than it.
#pragma once

#include <cstdint>

namespace reprise::bench {

/// 64 lanes, each a multiply and an add per iteration: 128 x `iterations` + 64 floating point
/// operations. @return something that depends on all of them
inline double compute_bound(std::int64_t iterations) {
  double lanes[64];
  for (double& lane : lanes) lane = 1.2345;
  for (std::int64_t i = 0; i < iterations; ++i)
    for (double& lane : lanes) lane = lane * lane + lane;
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace reprise::bench
