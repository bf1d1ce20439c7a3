// One seed from its beginning to its end: a phase in which things break, then everything is healed
// and has to come to an end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tests/sim/config.hpp"
#include "tests/sim/world.hpp"

namespace reprise::sim {

struct Verdict {
  std::optional<Invariant> broken;
  std::string what;  // is broken; empty: nothing
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;
  Duration simulated{0};
  std::uint64_t executions = 0;
  std::map<std::string, World::Site, std::less<>> sites;
};

/// @param is_verbose  prints the trace
[[nodiscard]] Verdict simulate(const Config& config, bool is_verbose = false);

/// Leaves out faults one by one as long as the same invariant breaks.
[[nodiscard]] Config shrink(Config config, const Verdict& verdict);

/// What is printed of a seed that failed: what is broken, by which faults, and how to see it again.
[[nodiscard]] std::string report(const Config& config, const Verdict& verdict);

}  // namespace reprise::sim
