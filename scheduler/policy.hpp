// What whoever runs a scheduler decides about all of its runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/time.hpp"
#include "scheduler/limits.hpp"

namespace reprise::scheduler {

struct Policy {
  LimitSizes limits;                      // concurrency limits by name
  std::map<std::string, double> weights;  // of namespaces, more than 0; those not named have 1
  // Workers in a row that may be lost with a task before it is taken for what they die of.
  std::uint32_t lost_limit = 5;
  // Workers may reject an attempt of one task so often before it fails.
  std::uint32_t reject_limit = 16;
  // A task waits so long for something else than a slot before that is recorded.
  Duration tell_after{std::chrono::seconds{1}};
  // So many nested runs are under way at once, at each depth by itself: outer ones wait for inner
  // ones and must not keep them from beginning. Each keeps a file open.
  std::uint32_t nested_max = 64;
};

}  // namespace reprise::scheduler
