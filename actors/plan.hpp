// What a run would do, found out by the same scheduler and the same keys as a real run, without
// starting anything.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/explain.hpp"
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

/// What would happen to one task, and why.
struct Prediction {
  enum class Outcome : std::uint8_t { hit, run, skip };

  std::string task;  // as shown: "align", "align[s3]"
  NodeId node;
  Outcome outcome = Outcome::run;
  // From the closed list of docs/caching.md; "upstream": what it depends on runs first, so its
  // arguments are not known yet, and its key depends on them; empty for a task that is skipped, or
  // fails without having run.
  std::string reason;
  std::optional<Key> key;
  std::optional<RunId> origin;  // of a hit
  cache::MissExplanation miss;  // of a task that was looked up and not found
};

struct Plan {
  std::vector<NodePlan> nodes;          // in order of the flow
  std::vector<Prediction> predictions;  // of every task that is known yet, when asked for
  std::uint64_t tasks = 0, cached = 0, run = 0, skipped = 0;
  Duration saving{0};         // usual durations of what would be served; 0 = nothing is known
  Duration critical_path{0};  // longest way through what would run, by usual durations
};

struct PlanRequest {
  std::map<std::string, Duration> usual{};  // how long nodes usually take, by name
  std::optional<Time> as_of{};  // of a run that sees the cache as it was then; none = now
  bool explain = false;         // gives `predictions`, which costs a question per miss
  KeySpace space{};             // of the run
  // Whether the content of a file that a result speaks of is right; nullopt: it is not here. None:
  // all are here and right.
  std::function<std::optional<bool>(const FileValue& file)> has_file{};
};

/// Asks and changes nothing, as far as `store` lets itself be asked like that.
///
/// A result whose upstreams all would be served is looked up; what depends on something that runs
/// is looked up where its key leaves out what it is given; else it is counted as run, though it may
/// turn out to be cached when that gives the same value as before.
/// @error invalid_argument: flow or parameters; not_found: `as_of` lies before the history that is
/// kept; unavailable, io: the store
[[nodiscard]] Result<Plan> make_plan(std::shared_ptr<const FlowSpec> flow,
                                     const Parameters& parameters, cache::Store& store,
                                     worker::FileHasher& hasher, const PlanRequest& request = {});

}  // namespace reprise
