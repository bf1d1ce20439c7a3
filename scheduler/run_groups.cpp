// The part of Run about nodes that become many tasks: mapping over lists and reducing level by
// level.
#include <algorithm>

#include "core/assert.hpp"
#include "scheduler/change.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

// ---- mapping

void Run::expand(NodeId node, bool is_shown, Step& step) {
  const TaskId parent{node.value};
  const TaskKind& kind = flow_.kind_of(node);
  if (kind.skip_on_upstream_skip && has_skipped_upstream(node, -1)) {
    journal::TaskChange change = change_to(parent, TaskState::skipped, step.now);
    change.detail.emplace().message = "an upstream was skipped";
    return enter(parent, std::move(change), step);
  }
  const auto inputs = flow_.inputs_of(node);
  std::optional<std::size_t> width;
  bool any_source = false;
  std::map<std::uint32_t, Group::Elements> elements;
  for (std::uint32_t position = 0; position < inputs.size(); ++position) {
    const Input& input = inputs[position];
    if (!input.mapped) continue;
    std::size_t length = 0;
    const bool upstream = input.source == Input::Source::upstream;
    if (upstream && !input.flattened && group_of(NodeId{input.index}) != nullptr) {
      length = group_of(NodeId{input.index})->width;
    } else if (upstream && group_of(NodeId{input.index}) == nullptr &&
               !is_success(state_[input.index])) {
      continue;  // a failed upstream: the elements' triggers will see it
    } else {
      Group::Elements split;
      if (const Status done = split_elements(node, position, split); !done)
        return fail_task(parent, TaskState::failed, FailureClass::task, done.error().message, step);
      length = split.parts.size();
      elements.emplace(position, std::move(split));
    }
    any_source = true;
    width = std::min(width.value_or(length), length);
  }
  if (!any_source)
    return fail_task(parent, TaskState::failed, FailureClass::task,
                     "no upstream states can be mapped over", step);

  const auto count = static_cast<std::uint32_t>(*width);
  if (!is_shown && has_hooks(parent)) return show_expansion(node, count, step);
  {
    Group& group = add_group(node, count);
    group.elements = std::move(elements);
    journal::TaskChange change = change_to(parent, TaskState::mapped, step.now);
    journal::ChangeDetail& detail = change.detail.emplace();
    detail.width = count;
    group.labels = labels(node, group);
    detail.labels = group.labels.texts(group.labels.size());
    step.wants.batch.tasks.push_back(std::move(change));
  }
  const TaskId first = group_of(node)->first;
  const std::size_t nodes = flow_.nodes.size();
  FlowGraph::for_each_upstream(flow_, node, [&](NodeId from, const Input& input) {
    const Group* source = group_of(from);
    if (!edge_is_elementwise(from, input) || source == nullptr) return;
    for (std::uint32_t i = 0; i < count; ++i)
      if (!is_finished(state_[source->first.value + i]))
        ++element_waiting_[first.value + i - nodes];
  });
  // An upstream element that is finished but still in work_ will tell its downstreams once more:
  // count it as open.
  for (TaskId pending : work_) {
    if (!is_element(pending)) continue;
    const NodeId from = node_of(pending);
    const std::uint32_t index = pending.value - group_of(from)->first.value;
    if (index >= count) continue;
    for (const Edge& edge : graph_.downstream(from))
      if (edge.elementwise && edge.to == node) ++element_waiting_[first.value + index - nodes];
  }
  if (!cancelled_elements_.empty()) cancel_elements_of(*group_of(node), step);
  for (const Edge& edge : graph_.downstream(node)) {
    if (!edge.elementwise || node_done_[edge.to.value]) continue;
    // One that was given its elements before the run began: now they have something to wait for.
    if (const Group* below = group_of(edge.to))
      for (std::uint32_t i = 0; i < std::min(count, below->width); ++i)
        ++element_waiting_[below->first.value + i - nodes];
    if (--waiting_[edge.to.value] == 0) node_ready(edge.to, step);
  }
  for (std::uint32_t i = 0; i < count; ++i)
    if (element_waiting_[first.value + i - nodes] == 0) task_ready(TaskId{first.value + i}, step);
  if (count == 0) node_done(node, step);
}

void Run::show_expansion(NodeId node, std::uint32_t width, Step& step) {
  const TaskId parent{node.value};
  journal::TaskChange change = change_to(parent, TaskState::mapped, step.now);
  change.detail.emplace().width = width;
  arrive(parent, Stage::expansion, std::move(change), step);
}

// ---- reducing

std::optional<std::uint32_t> Run::reduced_input(NodeId node) const {
  if (flow_.kind_of(node).reduce_fanin == 0) return std::nullopt;
  const auto inputs = flow_.inputs_of(node);
  for (std::uint32_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].source == Input::Source::upstream) return i;
  return std::nullopt;
}

std::uint32_t Run::fanin_of(NodeId node) const {
  return std::max<std::uint32_t>(2, flow_.kind_of(node).reduce_fanin);
}

std::vector<std::uint32_t> Run::reduction_levels(std::size_t members, std::uint32_t fanin) {
  std::vector<std::uint32_t> levels{0};
  for (std::size_t count = members; count > 1;) {
    count = (count + fanin - 1) / fanin;
    levels.push_back(levels.back() + static_cast<std::uint32_t>(count));
  }
  return levels;
}

// Elements above the first level wait for the members they combine.
void Run::count_reduction_waits(const Group& group) {
  for (std::size_t level = 1; level + 1 < group.levels.size(); ++level) {
    for (std::uint32_t i = group.levels[level]; i < group.levels[level + 1]; ++i) {
      const std::uint32_t first = group.levels[level - 1] + (i - group.levels[level]) * group.fanin;
      std::uint32_t& waiting = element_waiting_[group.first.value + i - flow_.nodes.size()];
      for (std::uint32_t m = first; m < std::min(first + group.fanin, group.levels[level]); ++m)
        waiting += !is_finished(state_[group.first.value + m]);
    }
  }
}

// The journal tells a reduction's width; its shape follows from the members, which are results of
// earlier changes.
void Run::restore_reductions() {
  for (Group& group : groups_) {
    const std::optional<std::uint32_t> position =
        graph_.is_mapped(group.node) ? std::nullopt : reduced_input(group.node);
    if (!position) continue;
    group.fanin = fanin_of(group.node);
    group.reduced_input = *position;
    Group::Elements members;
    const Status split = split_elements(group.node, *position, members);
    group.levels = reduction_levels(split ? members.parts.size() : 0, group.fanin);
    REPRISE_ASSERT(group.levels.back() == group.width, group.levels.back(), group.width);
    group.elements.emplace(*position, std::move(members));
  }
}

void Run::reduce(NodeId node, bool is_shown, Step& step) {
  const TaskId parent{node.value};
  const std::uint32_t fanin = fanin_of(node);
  const std::uint32_t position = *reduced_input(node);
  Group::Elements members;
  if (const Status split = split_elements(node, position, members); !split)
    return fail_task(parent, TaskState::failed, FailureClass::task, split.error().message, step);
  if (members.parts.size() <= fanin) return admit(parent, step);

  std::vector<std::uint32_t> levels = reduction_levels(members.parts.size(), fanin);
  if (!is_shown && has_hooks(parent)) return show_expansion(node, levels.back(), step);
  Group& group = add_group(node, levels.back());
  group.fanin = fanin;
  group.reduced_input = position;
  group.levels = std::move(levels);
  group.elements.emplace(position, std::move(members));
  journal::TaskChange change = change_to(parent, TaskState::mapped, step.now);
  change.detail.emplace().width = group.width;
  step.wants.batch.tasks.push_back(std::move(change));
  count_reduction_waits(group);
  const TaskId first = group.first;
  const std::uint32_t leaves = group.levels[1];
  for (std::uint32_t i = 0; i < leaves; ++i) task_ready(TaskId{first.value + i}, step);
}

}  // namespace reprise::scheduler
