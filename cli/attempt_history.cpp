#include "cli/attempt_history.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>
#include <utility>

#include "scheduler/flow_graph.hpp"

namespace reprise::cli {
namespace {

using Pair = std::pair<std::uint32_t, std::uint32_t>;

/// The attempt is over with this change.
bool ends_attempt(TaskState state) {
  return is_finished(state) || state == TaskState::scheduled || state == TaskState::retrying ||
         state == TaskState::paused || state == TaskState::lost;
}

/// Attempts of each thing, by their ends: which was the last before some moment?
class ByEnd {
 public:
  /// @param of  the thing's number, of each attempt
  ByEnd(const std::vector<PastAttempt>& attempts, std::vector<std::uint32_t> of)
      : attempts_(attempts), of_(std::move(of)), order_(attempts.size()) {
    for (std::uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tuple(of_[a], attempts_[a].end, a) < std::tuple(of_[b], attempts_[b].end, b);
    });
  }
  [[nodiscard]] std::optional<std::uint32_t> last(std::uint32_t thing, Time before) const {
    const auto after =
        std::upper_bound(order_.begin(), order_.end(), std::pair(thing, before),
                         [&](const std::pair<std::uint32_t, Time>& wanted, std::uint32_t each) {
                           return wanted < std::pair(of_[each], attempts_[each].end);
                         });
    if (after == order_.begin() || of_[*std::prev(after)] != thing) return std::nullopt;
    return *std::prev(after);
  }

 private:
  const std::vector<PastAttempt>& attempts_;
  std::vector<std::uint32_t> of_;
  std::vector<std::uint32_t> order_;
};

}  // namespace

Status AttemptHistory::apply(const journal::Batch& batch) {
  const auto last = view_.last_change();
  if (auto done = view_.apply(batch); !done) return done;
  for (const journal::TaskChange& change : batch.tasks) take(change, last);
  return {};
}

void AttemptHistory::take(const journal::TaskChange& change, std::optional<Time> last) {
  const auto open = open_.find(change.task);
  const bool is_known = open != open_.end() && open->second.number == change.run_count;
  if (open != open_.end() && !is_known &&
      (change.state == TaskState::running || ends_attempt(change.state))) {
    // Another attempt, and nobody told of the end of this one: its process had died.
    PastAttempt gone = std::move(open->second);
    open_.erase(open);
    gone.state = TaskState::lost;
    gone.end = std::max(gone.begin, std::min(change.at, last.value_or(change.at)));
    ended_.push_back(std::move(gone));
  }
  if (change.state == TaskState::running) {
    if (is_known) return;
    PastAttempt attempt;
    attempt.task = change.task;
    attempt.number = change.run_count;
    attempt.begin = attempt.end = change.at;
    attempt.detail = change.detail;
    open_.emplace(change.task, std::move(attempt));
    return;
  }
  if (!ends_attempt(change.state) || !view_.counts_as_task(change.task)) return;
  PastAttempt attempt;
  attempt.task = change.task;
  attempt.number = change.run_count;
  attempt.state = journal::states_on_the_way(change).front();
  attempt.cache = change.cache;
  attempt.detail = change.detail;
  attempt.begin = attempt.end = change.at;
  if (is_known) {
    attempt.begin = open->second.begin;
    // Of a nested run only its beginning names it.
    if (open->second.detail && open->second.detail->origin) {
      if (!attempt.detail) attempt.detail.emplace();
      attempt.detail->origin = open->second.detail->origin;
    }
    open_.erase(open);
    if (change.duration > Duration{0})
      attempt.end = std::min(change.at, attempt.begin + change.duration);
    attempt.end = std::max(attempt.begin, attempt.end);
  } else if (change.executed) {
    attempt.begin = change.at - change.duration;
  } else if (is_finished(change.state)) {
    attempt.is_mark = true;
  } else {
    return;  // it begins to wait
  }
  ended_.push_back(std::move(attempt));
}

std::vector<PastAttempt> AttemptHistory::attempts(Time until) const {
  std::vector<PastAttempt> all = ended_;
  for (const auto& [task, attempt] : open_) {
    all.push_back(attempt);
    all.back().end = std::max(attempt.begin, until);
  }
  std::sort(all.begin(), all.end(), [](const PastAttempt& a, const PastAttempt& b) {
    return std::tuple(a.begin, a.end, a.task, a.number) <
           std::tuple(b.begin, b.end, b.task, b.number);
  });
  return all;
}

Result<AttemptHistory> load_history(journal::Journal& journal, const journal::RunRow& row) {
  auto flow = journal::flow_of(journal, row);
  if (!flow) return tl::unexpected(flow.error());
  AttemptHistory history(*std::move(flow));
  constexpr std::size_t changes_at_once = 100'000;  // bounds the memory, not the run
  for (journal::Offset after = 0;;) {
    const auto entries = journal.read(row.id, after, changes_at_once);
    if (!entries) return tl::unexpected(entries.error());
    if (entries->empty()) return history;
    for (const auto& [first, batch] : *entries) {
      if (auto done = history.apply(batch); !done) return tl::unexpected(done.error());
      after = first + batch.count() - 1;
    }
  }
}

Time end_of_open(const journal::RunView& view, const journal::RunRow& row, RunState state,
                 Time now) {
  if (state == RunState::running || state == RunState::cancelling) return now;
  return view.last_change().value_or(row.submitted);
}

std::vector<Pair> waits_between(const journal::RunView& view,
                                const std::vector<PastAttempt>& attempts) {
  struct Upstream {
    std::uint32_t node;
    bool is_elementwise;
    auto operator<=>(const Upstream&) const = default;
  };
  const FlowSpec& flow = view.flow();
  std::vector<std::vector<Upstream>> upstreams(flow.nodes.size());
  const scheduler::FlowGraph graph(flow);
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n)
    for (const scheduler::Edge& edge : graph.downstream(NodeId{n}))
      upstreams[edge.to.value].push_back({n, edge.elementwise});
  for (auto& of : upstreams) {
    std::sort(of.begin(), of.end());
    of.erase(std::unique(of.begin(), of.end(),
                         [](const Upstream& a, const Upstream& b) { return a.node == b.node; }),
             of.end());
  }
  std::vector<std::uint32_t> tasks, nodes;
  for (const PastAttempt& attempt : attempts) {
    tasks.push_back(attempt.task.value);
    nodes.push_back(view.node_of(attempt.task).value);
  }
  const ByEnd by_task(attempts, tasks), by_node(attempts, nodes);
  std::vector<bool> seen(view.size(), false);
  std::vector<Pair> waits;
  for (std::uint32_t i = 0; i < attempts.size(); ++i) {
    if (seen[tasks[i]] || view.node_of(attempts[i].task).is_none()) continue;
    seen[tasks[i]] = true;
    const std::int32_t index = view.map_index(attempts[i].task);
    for (const auto& [node, is_elementwise] : upstreams[nodes[i]]) {
      const auto* elements = view.elements_of(NodeId{node});
      const bool has_twin = is_elementwise && index >= 0 && elements != nullptr &&
                            static_cast<std::uint32_t>(index) < elements->width;
      const auto before =
          has_twin ? by_task.last(elements->first.value + static_cast<std::uint32_t>(index),
                                  attempts[i].begin)
                   : by_node.last(node, attempts[i].begin);
      if (before && *before != i) waits.emplace_back(*before, i);
    }
  }
  return waits;
}

std::vector<std::uint32_t> critical_path(const std::vector<PastAttempt>& attempts,
                                         const std::vector<Pair>& waits) {
  if (attempts.empty()) return {};
  constexpr std::uint32_t none = UINT32_MAX;
  std::vector<std::uint32_t> before(attempts.size(), none);
  std::unordered_map<TaskId, std::uint32_t> latest;
  for (std::uint32_t i = 0; i < attempts.size(); ++i) {
    const auto [known, is_first] = latest.try_emplace(attempts[i].task, i);
    if (!is_first) before[i] = std::exchange(known->second, i);  // the attempt that failed
  }
  for (const auto& [first, then] : waits)
    if (before[then] == none || attempts[first].end > attempts[before[then]].end)
      before[then] = first;
  std::uint32_t at = 0;
  for (std::uint32_t i = 1; i < attempts.size(); ++i)
    if (std::tuple(attempts[i].end, !attempts[i].is_mark) >
        std::tuple(attempts[at].end, !attempts[at].is_mark))
      at = i;
  std::vector<std::uint32_t> path;
  // Attempts of one moment may wait for each other in neither order: a way is never longer than
  // there are attempts.
  for (; at != none && path.size() < attempts.size(); at = before[at]) path.push_back(at);
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<std::uint32_t> free_slots(const std::vector<PastAttempt>& attempts,
                                      const std::vector<std::uint32_t>& track) {
  struct Track {
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free;
    std::priority_queue<std::pair<Time, std::uint32_t>, std::vector<std::pair<Time, std::uint32_t>>,
                        std::greater<>>
        taken;  // until when
    std::uint32_t slots = 0;
  };
  std::unordered_map<std::uint32_t, Track> tracks;
  std::vector<std::uint32_t> slots(attempts.size(), 0);
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (attempts[i].is_mark) continue;
    Track& of = tracks[track[i]];
    while (!of.taken.empty() && of.taken.top().first <= attempts[i].begin) {
      of.free.push(of.taken.top().second);
      of.taken.pop();
    }
    std::uint32_t slot = of.slots;
    if (of.free.empty()) {
      ++of.slots;
    } else {
      slot = of.free.top();
      of.free.pop();
    }
    of.taken.emplace(attempts[i].end, slot);
    slots[i] = slot;
  }
  return slots;
}

}  // namespace reprise::cli
