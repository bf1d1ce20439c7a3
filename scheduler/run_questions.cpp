// The part of Run that answers questions and changes nothing: upstreams, names, totals, invariants.
#include <algorithm>

#include "core/assert.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

// ---- questions about upstreams

bool Run::has_skipped_upstream(NodeId node, std::int32_t index) const {
  bool skipped = false;
  FlowGraph::for_each_upstream(flow_, node, [&](NodeId from, const Input& input) {
    const Group* group = group_of(from);
    if (group == nullptr) {
      skipped |= state_[from.value] == TaskState::skipped;
    } else if (edge_is_elementwise(from, input)) {
      if (index >= 0)
        skipped |=
            state_[group->first.value + static_cast<std::uint32_t>(index)] == TaskState::skipped;
    } else {
      skipped |= group->skipped > 0;
    }
  });
  return skipped;
}

UpstreamCounts Run::upstream_counts(TaskId task) const {
  UpstreamCounts counts;
  const NodeId node = node_of(task);
  const std::int32_t index = map_index(task);
  const auto add = [&](TaskState state) {
    ++counts.total;
    counts.successful += is_success(state);
    counts.failed += is_failed(state);
    counts.skipped += state == TaskState::skipped;
  };
  // An upstream that is wired through several edges counts once.
  const bool cleans_up = is_cleanup(node);
  std::vector<std::uint64_t> upstreams;  // number of the node, twice; 1 more: one element of it
  upstreams.reserve(flow_.nodes[node.value].input_count);
  FlowGraph::for_each_upstream(flow_, node, [&](NodeId from, const Input& input) {
    const bool one_element = edge_is_elementwise(from, input) && index >= 0;
    upstreams.push_back(std::uint64_t{from.value} << 1 | (one_element ? 1U : 0U));
    // What made the resource is what the cleanup takes by name; everything else is only waited for.
    if (cleans_up && input.source == Input::Source::upstream)
      counts.setup_missing |=
          !is_success(state_[from.value]) || state_[from.value] == TaskState::skipped;
  });
  std::sort(upstreams.begin(), upstreams.end());
  upstreams.erase(std::unique(upstreams.begin(), upstreams.end()), upstreams.end());
  for (const std::uint64_t upstream : upstreams) {
    const Group* group = group_of(NodeId{static_cast<std::uint32_t>(upstream >> 1)});
    if (group == nullptr) {
      add(state_[upstream >> 1]);
    } else if ((upstream & 1) != 0) {
      add(state_[group->first.value + static_cast<std::uint32_t>(index)]);
    } else {
      counts.total += group->width;
      counts.successful += group->successful;
      counts.failed += group->failed;
      counts.skipped += group->skipped;
    }
  }
  return counts;
}

// ---- about the whole run

std::map<std::string, InitialState> Run::states() const {
  const auto describe = [&](TaskId task) {
    // What waits for its upstreams is as it was given.
    if (const auto given = initial_.find(task);
        given != initial_.end() && state_[task.value] == TaskState::pending && is_waiting(task))
      return given->second;
    InitialState known;
    known.state = record_of(task);
    known.run_count = tries(task);
    if (const auto loop = loops_.find(task);
        loop != loops_.end() && !is_finished(known.state.state)) {
      known.loop_count = loop->second.count;
      known.loop_result = loop->second.result;
    }
    if (const auto at = due_.find(task); at != due_.end() && is_scheduled(known.state.state))
      known.state.start_time = at->second;
    return known;
  };
  std::map<std::string, InitialState> all;
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    InitialState known = describe(TaskId{n});
    if (const Group* group = group_of(NodeId{n}); group != nullptr && group->fanin == 0)
      for (std::uint32_t i = 0; i < group->width; ++i)
        known.elements.emplace_back(describe(TaskId{group->first.value + i}));
    all.emplace(flow_.nodes[n].name, std::move(known));
  }
  return all;
}

std::optional<Time> Run::next_timer() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.top().at;
}

std::optional<NodeId> Run::find_node(std::string_view name) const {
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n)
    if (flow_.nodes[n].name == name) return NodeId{n};
  return std::nullopt;
}

std::optional<TaskId> Run::find_task(std::string_view name) const {
  if (const auto node = find_node(name)) return TaskId{node->value};
  for (const Group& group : groups_) {
    const std::string& node = flow_.nodes[group.node.value].name;
    if (name.size() < node.size() + 3 || !name.starts_with(node) || name[node.size()] != '[' ||
        name.back() != ']')
      continue;
    const std::string_view label = name.substr(node.size() + 1, name.size() - node.size() - 2);
    for (std::uint32_t i = 0; i < group.width; ++i)
      if (group.labels.empty() ? label == std::to_string(i) : label == group.labels[i])
        return TaskId{group.first.value + i};
  }
  return std::nullopt;
}

Run::Totals Run::totals() const {
  Totals totals;
  journal::Summary counts;
  for (std::size_t t = 0; t < state_.size(); ++t) {
    const TaskState state = state_[t];
    if (state == TaskState::mapped) continue;
    ++counts.tasks;
    counts.failed += is_failed(state);
    counts.skipped += state == TaskState::skipped;
    counts.cancelled += state == TaskState::cancelled;
  }
  totals.here = totals.whole = counts;
  totals.here.executed = executed_;
  totals.here.cached = hits_;
  totals.whole.executed = executed_ + executed_before_;
  totals.whole.cached = hits_ + hits_before_;
  totals.carried = carried_;
  return totals;
}

void Run::check_invariants() const {
  std::size_t open = 0, busy = 0;
  for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
    const Group* group = group_of(NodeId{n});
    std::uint32_t finished = 0;
    if (group != nullptr)
      for (std::uint32_t i = 0; i < group->width; ++i)
        finished += is_finished(state_[group->first.value + i]);
    const bool done = group != nullptr ? finished == group->width : is_finished(state_[n]);
    REPRISE_ASSERT(done == node_done_[n], n, done);
    open += !done;
  }
  for (std::size_t t = 0; t < state_.size(); ++t) {
    const bool is_busy = (flags_[t] & active) != 0;
    busy += is_busy;
    REPRISE_ASSERT(!(is_busy && is_finished(state_[t])), t, static_cast<int>(state_[t]));
    REPRISE_ASSERT(!is_finished(state_[t]) || flags_[t] == 0, t, static_cast<int>(flags_[t]));
  }
  REPRISE_ASSERT(open == open_nodes_, open, open_nodes_);
  REPRISE_ASSERT(busy == active_, busy, active_);
  REPRISE_ASSERT(work_.empty(), work_.size());
  REPRISE_ASSERT(looked_up_.size() == look_ups_max ||
                     (looked_up_.size() < look_ups_max && look_up_later_.empty()),
                 looked_up_.size(), look_up_later_.size());
}

}  // namespace reprise::scheduler
