// What this machine lets the process have: processors and memory, as its affinity, its control
// group and the machine itself allow.
#pragma once

#include <cstdint>
#include <filesystem>

#include "flow/flow_spec.hpp"

namespace reprise::worker {

struct Machine {
  std::uint32_t cpu_milli = 1000;  // at least one processor
  std::uint64_t memory_bytes = 0;  // 0 = not known
  bool operator==(const Machine&) const = default;
};

[[nodiscard]] Machine this_machine();
/// The same of files as Linux has them. @param group  the process's own control group (version 2);
/// those above it count, up to `groups`
[[nodiscard]] Machine machine_from(std::uint32_t cpus, const std::filesystem::path& meminfo,
                                   const std::filesystem::path& groups,
                                   const std::filesystem::path& group);

/// Attempts at once where nobody said: as many as processors, of which `cpu_milli` may be said.
[[nodiscard]] unsigned slots_for(std::uint32_t cpu_milli, const Machine& machine);

/// What was declared; where it does not say: a processor for each slot, the machine's memory.
[[nodiscard]] Resources capacity_of(Resources declared, unsigned slots, const Machine& machine);
[[nodiscard]] std::uint32_t gpus_in(const Resources& capacity);

}  // namespace reprise::worker
