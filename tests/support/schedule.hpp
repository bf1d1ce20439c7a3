// A run without a clock: the scheduler's order of tasks, played through on workers whose tasks take
// exactly as long as they are expected to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flow/flow_spec.hpp"

namespace reprise::test {

/// From the first start to the last end, in seconds, on `slots` workers with one slot each. Tasks
/// that end at the same moment are reported together. Aborts where a task runs twice or before an
/// upstream of it ended.
[[nodiscard]] double makespan(const std::shared_ptr<const FlowSpec>& flow, std::uint32_t slots);

/// A recorded task graph with what others know about it.
struct KnownGraph {
  std::string file;  // below the folder of recorded workflows
  std::shared_ptr<const FlowSpec> flow;
  struct Makespans {
    std::uint32_t processors = 0;
    double least = 0;  // no schedule is shorter
    double list = 0;   // critical path first
    double fifo = 0;   // in the order of becoming ready
    std::optional<double> optimum;
  };
  std::vector<Makespans> known;  // for 2 and 8 processors
};

/// All graphs in `folder` that expected.tsv names. Throws where one cannot be read.
[[nodiscard]] std::vector<KnownGraph> known_graphs(const std::filesystem::path& folder);

}  // namespace reprise::test
