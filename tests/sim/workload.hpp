// What clients ask for in a simulation, and what bodies do there.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flow/attempt.hpp"
#include "tests/sim/random.hpp"

namespace reprise::sim {

/// Each worker has so much, and tasks ask for less.
inline constexpr std::uint64_t worker_memory = std::uint64_t{4} << 30;
/// The function that all bodies are.
inline constexpr const char* body_function = "sim@1";

/// What the body of a task does; by its cache name, so that equal keys mean equal work.
struct Behavior {
  Duration least{0}, most{0};     // it takes
  std::uint32_t fails_first = 0;  // so many attempts of a task fail
  bool hangs_first = false;       // the first attempt does not end by itself
  std::uint32_t list_width = 0;   // the value is a list of so many numbers; 0: it is a number
  bool is_random = false;         // another value each time
};

/// One submission.
struct Job {
  std::string key;  // the client's, for it
  std::size_t client = 0;
  Duration at{0};                          // since the beginning
  std::optional<Duration> cancel_after{};  // it was accepted
  std::shared_ptr<const FlowSpec> flow;
  CacheMode cache = CacheMode::normal;
  bool is_doomed = false;  // a task of it fails for good
};

struct Workload {
  std::map<std::string, Behavior> behaviors;
  std::vector<Job> jobs;

  [[nodiscard]] const Behavior& behavior_of(const FlowSpec& flow, NodeId node) const {
    return behaviors.at(flow.kind_of(node).cache_name);
  }
  /// Of all bodies.
  [[nodiscard]] Duration shortest() const;
};

[[nodiscard]] Workload make_workload(Random& random, std::size_t clients, Duration length);

/// What a body that is not random gives for these arguments.
[[nodiscard]] Payload value_for(const Behavior& behavior, const std::string& cache_name,
                                const std::vector<Argument>& arguments, std::uint64_t salt);

}  // namespace reprise::sim
