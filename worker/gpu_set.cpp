#include "worker/gpu_set.hpp"

#include "core/assert.hpp"

namespace reprise::worker {

std::optional<std::vector<std::uint32_t>> GpuSet::take(const AttemptId& attempt,
                                                       std::uint64_t count) {
  if (owners_.contains(attempt)) return std::nullopt;
  std::vector<std::uint32_t> taken;
  for (std::uint32_t i = 0; i < free_.size() && taken.size() < count; ++i)
    if (free_[i]) taken.push_back(i);
  if (taken.size() < count) return std::nullopt;
  for (const std::uint32_t index : taken) free_[index] = false;
  owners_[attempt] = taken;
  return taken;
}

void GpuSet::release(const AttemptId& attempt) {
  const auto owner = owners_.find(attempt);
  if (owner == owners_.end()) return;
  for (const std::uint32_t index : owner->second) free_[index] = true;
  owners_.erase(owner);
}

void GpuSet::check_invariants() const {
  std::vector<bool> owned(free_.size(), false);
  for (const auto& [attempt, indices] : owners_)
    for (const std::uint32_t index : indices) {
      REPRISE_ASSERT(!owned.at(index), index);
      owned[index] = true;
    }
  for (std::size_t i = 0; i < free_.size(); ++i) REPRISE_ASSERT(free_[i] != owned[i], i);
}

}  // namespace reprise::worker
