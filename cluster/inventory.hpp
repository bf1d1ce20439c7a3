// What a worker still has of a server that is gone, and how the next one recognises it.
//
// A server's numbers mean nothing to the next one: runs are numbered as they come, and tasks that
// appear while a run goes on as they appear. So an attempt in an inventory is named by the epoch in
// which it was dispatched with the numbers it had there, which nobody uses again; and what it is an
// attempt at is told by its run's id, its node, its index, and a digest of all that it works on. A
// restarted server makes its attempts anew from the journal; where one of them is at the same, with
// the same number, what the worker has takes its place (Fleet).
#pragma once

#include <cstdint>

#include "core/digest.hpp"
#include "core/ulid.hpp"
#include "flow/attempt.hpp"
#include "scheduler/events.hpp"

namespace reprise::cluster {

/// An attempt that runs, or whose end was not acknowledged.
struct InventoryItem {
  scheduler::AttemptRef attempt;  // with the epoch whose numbers these are
  RunId run;
  NodeId node;
  std::int32_t map_index = -1;
  Digest work;  // work_of()
  bool operator==(const InventoryItem&) const = default;
};

/// What an attempt is at: equal for two that would do the same, whoever numbered them. Covers the
/// task, its place among loops and retries, and all that it is given.
[[nodiscard]] Digest work_of(const Attempt& attempt);

/// Questions to user code, and what is computed anew behind a stale result, are the process's own:
/// the next one asks again.
[[nodiscard]] bool outlives_its_server(const Attempt& attempt);

}  // namespace reprise::cluster
