// The workers of a server as clients are told them: the answer to the query "workers".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/fleet.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

struct ListedWorker {
  std::string name;
  WorkerView::Health health = WorkerView::Health::alive;
  std::uint32_t slots = 0;
  std::uint64_t in_hand = 0;  // attempts that it has and did not report
  Duration silence{0};        // since it was heard of
  Duration age{0};            // since it joined
  Resources capacity{0, 0, {}};
  std::uint32_t cpu_milli = 0;     // that what it has in hand asked for
  std::uint64_t memory_bytes = 0;  // … may take
  std::map<std::string, std::string> labels;
  std::vector<std::string> functions;
  std::string enforcement;
  std::string version;
};

[[nodiscard]] std::string encode_workers(const std::vector<WorkerView>& workers, Time now);
/// @error corrupt
[[nodiscard]] Result<std::vector<ListedWorker>> decode_workers(std::string_view bytes);

}  // namespace reprise::cluster
