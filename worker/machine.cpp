#include "worker/machine.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include <sched.h>

namespace reprise::worker {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t gpus_max = 1024;

std::uint32_t processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return static_cast<std::uint32_t>(CPU_COUNT(&set));
  return std::max(1U, std::thread::hardware_concurrency());
}

std::uint64_t total_memory(const fs::path& meminfo) {
  std::ifstream in(meminfo);
  std::string word;
  while (in >> word) {
    if (word != "MemTotal:") continue;
    std::uint64_t kib = 0;
    in >> kib;
    return in ? kib * 1024 : 0;
  }
  return 0;
}

// "max", or a number.
void lower_memory(Machine& machine, const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t bytes = 0;
  if (!(in >> bytes) || bytes == 0) return;
  machine.memory_bytes = machine.memory_bytes == 0 ? bytes : std::min(machine.memory_bytes, bytes);
}

// "max 100000", or time and period in microseconds.
void lower_cpus(Machine& machine, const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t quota = 0, period = 0;
  if (!(in >> quota >> period) || period == 0) return;
  const std::uint64_t milli = std::max<std::uint64_t>(1000, quota * 1000 / period);
  machine.cpu_milli = static_cast<std::uint32_t>(std::min<std::uint64_t>(machine.cpu_milli, milli));
}

// The process's own group below /sys/fs/cgroup.
fs::path own_group(const fs::path& groups) {
  std::ifstream in("/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line))
    if (line.starts_with("0::/")) return groups / line.substr(4);
  return groups;
}

}  // namespace

Machine machine_from(std::uint32_t cpus, const fs::path& meminfo, const fs::path& groups,
                     const fs::path& group) {
  Machine machine;
  machine.cpu_milli = std::max(1U, cpus) * 1000;
  machine.memory_bytes = total_memory(meminfo);
  for (fs::path at = group;; at = at.parent_path()) {
    lower_cpus(machine, at / "cpu.max");
    lower_memory(machine, at / "memory.max");
    if (at == groups || at == at.parent_path()) break;
  }
  return machine;
}

Machine this_machine() {
  const fs::path groups = "/sys/fs/cgroup";
  return machine_from(processors(), "/proc/meminfo", groups, own_group(groups));
}

unsigned slots_for(std::uint32_t cpu_milli, const Machine& machine) {
  return std::max(1U, (cpu_milli > 0 ? cpu_milli : machine.cpu_milli) / 1000);
}

Resources capacity_of(Resources declared, unsigned slots, const Machine& machine) {
  if (declared.cpu_milli == 0)
    declared.cpu_milli = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(UINT32_MAX, std::uint64_t{slots} * 1000));
  if (declared.memory_bytes == 0) declared.memory_bytes = machine.memory_bytes;
  if (declared.memory_bytes == 0) declared.memory_bytes = UINT64_MAX;  // nobody knows: unlimited
  return declared;
}

std::uint32_t gpus_in(const Resources& capacity) {
  const auto gpus = capacity.custom.find(std::string(gpus_name));
  return gpus == capacity.custom.end()
             ? 0
             : static_cast<std::uint32_t>(std::min<std::uint64_t>(gpus->second, gpus_max));
}

}  // namespace reprise::worker
