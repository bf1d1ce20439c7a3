// Results are kept before they are reported: what a worker's shell does with attempts that ended,
// wherever they ran. Pure.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "actors/messages.hpp"

namespace reprise::actors {

class ResultKeeper {
 public:
  struct Step {
    std::vector<scheduler::Report> reports;  // nothing is to be kept of these: they can be told
    GiveUp given_up;                         // its keys, if any, for the cache
    Store store;                             // its commits, if any, for the cache; then stored()
  };

  /// @param keeps  there is a cache to keep results in
  [[nodiscard]] Step finished(std::vector<Finished> batch, bool keeps);
  /// The cache's answer. @return what can be told now
  [[nodiscard]] std::vector<scheduler::Report> stored(const Stored& answer);

 private:
  std::uint64_t last_ticket_ = 0;
  std::unordered_map<std::uint64_t, std::vector<scheduler::Report>> storing_;
};

}  // namespace reprise::actors
