// Which GPUs are whose: each has at most one owner.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "worker/slot_pool.hpp"

namespace reprise::worker {

class GpuSet {
 public:
  explicit GpuSet(std::uint32_t count = 0) : free_(count, true) {}

  /// The lowest free ones. none: there are not so many, or the attempt has some already
  [[nodiscard]] std::optional<std::vector<std::uint32_t>> take(const AttemptId& attempt,
                                                               std::uint64_t count);
  /// Does nothing about an attempt that has none.
  void release(const AttemptId& attempt);
  void check_invariants() const;

 private:
  std::vector<bool> free_;
  std::map<AttemptId, std::vector<std::uint32_t>> owners_;
};

}  // namespace reprise::worker
