// What the journal holds: the changes a run went through, in order; a run is rebuilt from nothing
// else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/id.hpp"
#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "core/ulid.hpp"
#include "flow/flow_spec.hpp"
#include "flow/state.hpp"

namespace reprise::journal {

/// Position of a change in the whole journal: 1, 2, 3 … over all runs of a data directory.
using Offset = std::uint64_t;

/// Why a task came out of, or went past, the cache.
enum class CacheOutcome : std::uint8_t { none, hit, stored, miss, bypass };

/// Rarely present parts of a change.
struct ChangeDetail {
  std::string message;
  std::optional<Time> start_time;  // of scheduled, retrying, paused
  std::optional<Key> key;
  // Of a hit, the run that produced the result; of a task that waits, the run that computes it.
  std::optional<RunId> origin;
  std::optional<Time> expired;      // of a hit whose result is stale: since then
  std::vector<std::string> labels;  // mapped: names of the elements; empty = their indices
  std::uint32_t width = 0;          // mapped: number of elements
  std::int32_t exit_code = 0;
  std::int32_t signal = 0;
  FailureClass failure = FailureClass::none;
  // That the attempt which ends here went through, where they do not follow from the rest.
  PassedStates passed{};
  std::string worker;

  bool operator==(const ChangeDetail&) const = default;
};

/// A task has a new state.
struct TaskChange {
  TaskId task;
  TaskState state = TaskState::pending;
  CacheOutcome cache = CacheOutcome::none;
  bool executed = false;        // the body ran in the attempt that ends here
  std::uint32_t run_count = 0;  // attempts so far
  std::uint32_t loop_count = 1;
  Time at;
  Duration duration{0};  // of the attempt that ends here
  Payload result;        // none = no result
  std::optional<ChangeDetail> detail;

  bool operator==(const TaskChange&) const = default;
};

/// The states that a task went through with this change, one by one: an attempt that is retried
/// failed first, a result that was stored was a success before.
[[nodiscard]] std::vector<TaskState> states_on_the_way(const TaskChange& change);

/// Told of a task that is finished already: its stale result was computed anew, or not, for later
/// runs. It keeps its state and its result.
[[nodiscard]] bool is_refresh(const TaskChange& change);

/// The run has a new state.
struct RunChange {
  RunState state = RunState::queued;
  Time at;
  std::string message;

  bool operator==(const RunChange&) const = default;
};

/// Changes of one run that belong together; never split.
struct Batch {
  RunId run;
  std::vector<TaskChange> tasks;
  std::optional<RunChange> change;  // after `tasks`

  [[nodiscard]] std::uint32_t count() const {
    return static_cast<std::uint32_t>(tasks.size() + (change ? 1 : 0));
  }
  bool operator==(const Batch&) const = default;
};

/// Counts by outcome, kept with a finished run so that listing runs reads no changes.
struct Summary {
  std::uint64_t tasks = 0;
  std::uint64_t executed = 0;  // bodies that ran
  std::uint64_t cached = 0;    // served from the cache
  std::uint64_t failed = 0;
  std::uint64_t skipped = 0;
  std::uint64_t cancelled = 0;
  bool operator==(const Summary&) const = default;
};

/// Results above this many bytes are kept by digest only; they are in the blob store before the
/// change is recorded.
inline constexpr std::size_t inline_result_bytes = 4096;

/// A batch without its run id, as bytes (docs/protocol.md, "Journal batch"). Compact: a success
/// without value is < 12 bytes.
[[nodiscard]] std::string encode(const Batch& batch);
/// @error corrupt. Never allocates more than a small multiple of bytes.size().
[[nodiscard]] Result<Batch> decode(RunId run, std::string_view bytes);

}  // namespace reprise::journal
