// What a run would do, found out by the same scheduler and the same keys as a real run, without
// starting anything.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/store.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "flow/flow_spec.hpp"
#include "worker/material.hpp"

namespace reprise {

/// What would happen to the tasks of one node.
struct NodePlan {
  NodeId node;
  std::uint32_t tasks = 0;   // elements of a mapped node; 1 for others
  std::uint32_t cached = 0;  // would be served from the cache
  std::uint32_t run = 0;     // would run: no result, or an upstream runs first
  std::uint32_t skipped = 0;
  bool width_unknown =
      false;  // mapped over something that is made in the run: `tasks` is at least 1
};

struct Plan {
  std::vector<NodePlan> nodes;  // in order of the flow
  std::uint64_t tasks = 0, cached = 0, run = 0, skipped = 0;
  Duration saving{0};         // usual durations of what would be served; 0 = nothing is known
  Duration critical_path{0};  // longest way through what would run, by usual durations
};

/// A result whose upstreams all would be served is looked up; what depends on something that runs
/// is counted as run, though it may turn out to be cached when that gives the same value as before.
/// @param usual  how long nodes usually take, by name; may be empty
/// @error invalid_argument: flow or parameters; unavailable, io: the store
[[nodiscard]] Result<Plan> make_plan(std::shared_ptr<const FlowSpec> flow,
                                     const Parameters& parameters, cache::Store& store,
                                     worker::FileHasher& hasher,
                                     const std::map<std::string, Duration>& usual = {});

}  // namespace reprise
