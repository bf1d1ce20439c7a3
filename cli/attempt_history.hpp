// The attempts of a run with their times, put together from its changes: what the trace, the report
// and the critical path are made of. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "journal/run_view.hpp"

namespace reprise::cli {

/// One try of a task. Also a task that ended without one: served from the cache, skipped.
struct PastAttempt {
  TaskId task;
  std::uint32_t number = 0;
  Time begin, end;
  TaskState state = TaskState::running;  // in which it ended; running: it has not
  journal::CacheOutcome cache = journal::CacheOutcome::none;
  bool is_mark = false;  // nothing ran: begin and end are the moment in which the task ended
  std::optional<journal::ChangeDetail> detail;

  [[nodiscard]] bool is_open() const { return state == TaskState::running; }
};

class AttemptHistory {
 public:
  explicit AttemptHistory(std::shared_ptr<const FlowSpec> flow) : view_(std::move(flow)) {}

  /// Takes in the next batch. @error corrupt
  Status apply(const journal::Batch& batch);

  [[nodiscard]] const journal::RunView& view() const { return view_; }
  /// All of them, by the time they began. @param until  up to here goes what has not ended
  [[nodiscard]] std::vector<PastAttempt> attempts(Time until) const;

 private:
  void take(const journal::TaskChange& change, std::optional<Time> last);

  journal::RunView view_;
  std::unordered_map<TaskId, PastAttempt> open_;
  std::vector<PastAttempt> ended_;
};

/// The run as the journal has it. @error not_found, corrupt, unavailable, io
[[nodiscard]] Result<AttemptHistory> load_history(journal::Journal& journal,
                                                  const journal::RunRow& row);

/// Until when attempts went on that have not ended: now, or when the run was last heard of.
[[nodiscard]] Time end_of_open(const journal::RunView& view, const journal::RunRow& row,
                               RunState state, Time now);

/// Which attempt another one waited for: of each upstream of its task the one that ended last
/// before it began; of an upstream that is waited for element by element, that of the same element.
/// Pairs of indices (first, then) into `attempts`, which are by the time they began; only the first
/// attempt of a task waits. At most one pair for each task and edge of the flow.
[[nodiscard]] std::vector<std::pair<std::uint32_t, std::uint32_t>> waits_between(
    const journal::RunView& view, const std::vector<PastAttempt>& attempts);

/// From the attempt that ended last back along those that were waited for, retries among them: why
/// the run took as long as it did. Indices into `attempts`, the first one first.
[[nodiscard]] std::vector<std::uint32_t> critical_path(
    const std::vector<PastAttempt>& attempts,
    const std::vector<std::pair<std::uint32_t, std::uint32_t>>& waits);

/// For each attempt a slot, 0, 1, 2 …, in which it overlaps no other: the lowest that is free. Of
/// tracks with different numbers the slots are independent. Marks have none.
/// @param track  of each attempt
[[nodiscard]] std::vector<std::uint32_t> free_slots(const std::vector<PastAttempt>& attempts,
                                                    const std::vector<std::uint32_t>& track);

}  // namespace reprise::cli
