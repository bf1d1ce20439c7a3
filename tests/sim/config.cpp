#include "tests/sim/config.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace reprise::sim {

using namespace std::chrono_literals;

std::string_view name(FaultKind kind) {
  static constexpr std::string_view names[fault_kinds] = {"worker_crash",
                                                          "worker_pause",
                                                          "worker_crash_at_boundary",
                                                          "worker_leaves",
                                                          "worker_clock",
                                                          "server_crash",
                                                          "server_crash_at_boundary",
                                                          "server_pause",
                                                          "client_crash",
                                                          "reset",
                                                          "block_to",
                                                          "block_from",
                                                          "block_both",
                                                          "slow_network",
                                                          "disk_full",
                                                          "disk_error",
                                                          "slow_disk",
                                                          "redis_down",
                                                          "redis_loses_replies",
                                                          "redis_read_only",
                                                          "redis_full",
                                                          "redis_failover",
                                                          "redis_wiped",
                                                          "redis_clock"};
  return names[static_cast<std::size_t>(kind)];
}

// Each seed has a few kinds of faults, and other times for everything: where all kinds come in
// every seed, some hide what others would show.
Config Config::of(std::uint64_t seed) {
  Config config;
  config.seed = seed;
  Random random(seed);
  config.length = random.between(4s, 15s);
  const std::size_t workers = random.between(1, 4);
  for (std::size_t i = 0; i < workers; ++i)
    config.worker_slots.push_back(static_cast<std::uint32_t>(random.between(i == 0 ? 2 : 1, 4)));
  config.one_stays_dead = workers > 1 && random.one_in(5);
  config.clients = random.between(1, 2);
  config.has_redis = random.one_in(3);
  config.durability = random.one_in(5) ? Durability::sync : Durability::group;
  config.fleet.ping_every = random.between(300ms, 1s);
  config.fleet.suspect_after = config.fleet.ping_every + random.between(500ms, 2s);
  config.fleet.lost_after = config.fleet.suspect_after + random.between(1s, 6s);
  config.fleet.reconcile_window = random.between(500ms, 4s);
  config.node.lost_after = config.fleet.lost_after;
  config.node.orphan_after = config.fleet.lost_after + random.between(2s, 20s);
  config.resume_window = random.between(1s, 10s);
  config.silence = random.between(3s, 10s);
  config.net.most = random.one_in(3) ? random.between(5ms, 60ms) : 2ms;
  config.net.slow_percent = random.one_in(5) ? random.between(1, 5) : 0;
  Random work = random.fork();
  config.workload = make_workload(work, config.clients, config.length);

  std::vector<FaultKind> kinds;
  for (std::size_t i = 0; i < fault_kinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    const bool is_of_redis = kind >= FaultKind::redis_down;
    if (is_of_redis && !config.has_redis) continue;
    if (random.percent(is_of_redis ? 40 : 25)) kinds.push_back(kind);
  }
  if (kinds.empty()) return config;
  const std::size_t count = random.between(1, 8);
  for (std::size_t i = 0; i < count; ++i) {
    Fault fault;
    fault.kind = random.pick(kinds);
    fault.at = random.between(200ms, config.length);
    fault.lasts = random.one_in(3) ? random.between(3s, 15s) : random.between(10ms, 3s);
    fault.who = random.next() >> 1;
    config.faults.push_back(fault);
  }
  std::ranges::sort(config.faults, {}, &Fault::at);
  return config;
}

std::string Config::describe_faults() const {
  std::string text;
  for (const Fault& fault : faults)
    text += fmt::format("  at {:.3f} s for {:.3f} s: {} ({})\n", seconds(fault.at),
                        seconds(fault.lasts), name(fault.kind), fault.who % 97);
  return text;
}

}  // namespace reprise::sim
