#include "journal/run_diff.hpp"

#include <unordered_map>

namespace reprise::journal {
namespace {

std::vector<ParameterDiff> parameter_diffs(const Parameters& left, const Parameters& right) {
  std::vector<ParameterDiff> found;
  for (const auto& [name, value] : left) {
    const auto other = right.find(name);
    if (other == right.end())
      found.push_back({name, value, std::nullopt});
    else if (other->second != value)
      found.push_back({name, value, other->second});
  }
  for (const auto& [name, value] : right)
    if (!left.contains(name)) found.push_back({name, std::nullopt, value});
  return found;
}

bool same_state(TaskState left, TaskState right) {
  return left == right || (is_success(left) && is_success(right) && left != TaskState::skipped &&
                           right != TaskState::skipped);
}

std::optional<Key> key_of(const RunView& view, TaskId task) {
  const ChangeDetail* detail = view.detail(task);
  return detail ? detail->key : std::nullopt;
}

TaskDiff compare(const RunView& left, TaskId a, const RunView& right, TaskId b) {
  TaskDiff diff;
  diff.task = left.task_name(a);
  diff.left = a;
  diff.right = b;
  const auto left_key = key_of(left, a);
  const auto right_key = key_of(right, b);
  diff.key_differs = left_key && right_key && *left_key != *right_key;
  diff.result_differs = left.result(a) != right.result(b);
  if (!same_state(left.state(a), right.state(b)))
    diff.kind = TaskDiff::Kind::state;
  else if (diff.key_differs)
    diff.kind = TaskDiff::Kind::key;
  else if (diff.result_differs)
    diff.kind = TaskDiff::Kind::result;
  return diff;
}

}  // namespace

bool RunDiff::is_different() const {
  if (!parameters.empty()) return true;
  for (const TaskDiff& task : tasks)
    if (task.kind != TaskDiff::Kind::same || !task.text.empty()) return true;
  return false;
}

RunDiff diff_runs(const RunRow& left_row, const RunView& left, const RunRow& right_row,
                  const RunView& right) {
  RunDiff diff;
  diff.parameters = parameter_diffs(left_row.parameters, right_row.parameters);
  diff.flow_differs = left_row.flow != right_row.flow;
  std::unordered_map<std::string, TaskId> right_tasks;
  std::unordered_map<std::string, NodeId> right_nodes;
  for (std::uint32_t i = 0; i < right.size(); ++i)
    if (right.counts_as_task(TaskId{i}))
      right_tasks.try_emplace(right.task_name(TaskId{i}), TaskId{i});
  for (std::uint32_t n = 0; n < right.flow().nodes.size(); ++n)
    right_nodes.try_emplace(right.flow().nodes[n].name, NodeId{n});
  std::vector<bool> told(left.flow().nodes.size());
  for (std::uint32_t i = 0; i < left.size(); ++i) {
    const TaskId task{i};
    if (!left.counts_as_task(task)) continue;
    const auto other = right_tasks.find(left.task_name(task));
    if (other == right_tasks.end()) {
      TaskDiff only;
      only.kind = TaskDiff::Kind::only_left;
      only.task = left.task_name(task);
      only.left = task;
      diff.tasks.push_back(std::move(only));
      continue;
    }
    TaskDiff each = compare(left, task, right, other->second);
    right_tasks.erase(other);
    const NodeId node = left.node_of(task);
    const auto other_node = right_nodes.find(left.flow().nodes[node.value].name);
    if (diff.flow_differs && !told[node.value] && other_node != right_nodes.end()) {
      told[node.value] = true;
      each.text = task_differences(left.flow(), node, right.flow(), other_node->second);
    }
    if (each.kind == TaskDiff::Kind::same && each.text.empty()) ++diff.same;
    diff.tasks.push_back(std::move(each));
  }
  for (std::uint32_t i = 0; i < right.size(); ++i) {
    const TaskId task{i};
    if (!right.counts_as_task(task)) continue;
    const auto left_over = right_tasks.find(right.task_name(task));
    if (left_over == right_tasks.end() || left_over->second != task) continue;
    TaskDiff only;
    only.kind = TaskDiff::Kind::only_right;
    only.task = left_over->first;
    only.right = task;
    diff.tasks.push_back(std::move(only));
  }
  return diff;
}

}  // namespace reprise::journal
