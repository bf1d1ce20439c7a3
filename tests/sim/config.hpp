// Everything that one seed decides before a simulation begins, and what may be set instead.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "actors/engine.hpp"
#include "cluster/fleet.hpp"
#include "cluster/node.hpp"
#include "tests/sim/net.hpp"
#include "tests/sim/planted_bug.hpp"
#include "tests/sim/workload.hpp"

namespace reprise::sim {

enum class FaultKind : std::uint8_t {
  worker_crash,  // and comes again
  worker_pause,
  worker_crash_at_boundary,
  worker_leaves,  // drained; another one comes in its place
  worker_clock,   // its clock jumps
  server_crash,
  server_crash_at_boundary,
  server_pause,
  client_crash,
  reset,       // a node's connection
  block_to,    // nothing reaches the server from a node
  block_from,  // … a node from the server
  block_both,
  slow_network,
  disk_full,
  disk_error,  // one append fails
  slow_disk,
  redis_down,
  redis_loses_replies,
  redis_read_only,
  redis_full,
  redis_failover,  // what was acknowledged last is lost
  redis_wiped,
  redis_clock,
};
[[nodiscard]] std::string_view name(FaultKind kind);
inline constexpr std::size_t fault_kinds = 24;

struct Fault {
  FaultKind kind = FaultKind::worker_crash;
  Duration at{0};  // since the beginning
  Duration lasts{0};
  std::uint64_t who = 0;  // which worker or client; chance for the rest
};

struct Config {
  std::uint64_t seed = 0;
  Bug bug = Bug::none;

  Duration length{0};                       // of the phase with faults
  std::vector<std::uint32_t> worker_slots;  // one entry a worker; the first can run everything
  bool one_stays_dead = false;              // the last worker, after the faults
  std::size_t clients = 1;
  bool has_redis = false;
  Durability durability = Durability::group;
  cluster::FleetOptions fleet;
  cluster::NodeOptions node;
  Duration resume_window{0};
  Duration silence{0};
  NetOptions net;
  Workload workload;
  std::vector<Fault> faults;

  [[nodiscard]] static Config of(std::uint64_t seed);
  /// One line a fault.
  [[nodiscard]] std::string describe_faults() const;
};

}  // namespace reprise::sim
