#include "actors/fork.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "actors/downstream.hpp"
#include "core/text.hpp"
#include "flow/parameter_uses.hpp"
#include "flow/task_difference.hpp"

namespace reprise {

namespace {

using journal::RunView;
using scheduler::InitialState;

bool can_be_taken(const RunView& view, TaskId task) {
  const TaskState state = view.state(task);
  return is_success(state) || state == TaskState::skipped;
}

/// The state with its value at hand.
Result<InitialState> taken(const journal::RunRow& row, const RunView& view, TaskId task,
                           cache::BlobStore& blobs) {
  InitialState given;
  const TaskState state = view.state(task);
  // As the old run had it: what the cache says today is not asked.
  given.state.state = state == TaskState::cached ? TaskState::success : state;
  given.state.message = fmt::format("taken from run {}", row.id.text());
  Payload result = view.result(task);
  if (!result.is_none() && !result.is_at_hand()) {
    auto value = blobs.get_value(result.digest);
    if (!value)
      return fail(ErrorCode::not_found,
                  fmt::format("the result of task \"{}\" of run {} is not kept any more ({}); name "
                              "the task with --at to make it again",
                              escape_for_terminal(view.task_name(task)), row.id.short_text(),
                              value.error().message));
    result = *std::move(value);
  }
  given.state.result = std::move(result);
  return given;
}

Status find_affected(const journal::RunRow& row, const RunView& view, const ForkRequest& request,
                     Downstream& affected) {
  for (const std::string& name : request.at)
    if (auto added = affected.add(name); !added) return added;
  const FlowSpec& flow = view.flow();
  const auto changed = [&](const std::string& name) {
    const auto old = row.parameters.find(name);
    const auto fresh = request.parameters.find(name);
    const bool has_old = old != row.parameters.end();
    const bool has_new = fresh != request.parameters.end();
    return has_old != has_new || (has_old && old->second != fresh->second);
  };
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n)
    for (const ParameterUse& use : parameters_read(flow, NodeId{n}))
      if (changed(flow.parameters[use.parameter].name)) affected.add_node(NodeId{n});
  if (request.flow) {
    std::map<std::string, NodeId> nodes;
    for (std::uint32_t n = 0; n < request.flow->nodes.size(); ++n)
      nodes.emplace(request.flow->nodes[n].name, NodeId{n});
    for (std::uint32_t n = 0; n < flow.nodes.size(); ++n) {
      const auto now = nodes.find(flow.nodes[n].name);
      if (now == nodes.end() ||
          !task_differences(flow, NodeId{n}, *request.flow, now->second).empty())
        affected.add_node(NodeId{n});
    }
  }
  for (std::uint32_t t = 0; t < view.size(); ++t)
    if (view.counts_as_task(TaskId{t}) && !can_be_taken(view, TaskId{t})) affected.add(TaskId{t});
  affected.close();
  return {};
}

}  // namespace

Result<Fork> make_fork(const journal::RunRow& row, const RunView& view, const ForkRequest& request,
                       cache::BlobStore& blobs) {
  Downstream affected(view);
  if (auto found = find_affected(row, view, request, affected); !found)
    return tl::unexpected(found.error());
  Fork fork;
  fork.run.parameters = request.parameters;
  fork.run.parent = row.id;
  fork.run.always_new = true;
  const FlowSpec& flow = view.flow();
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n) {
    const NodeId node{n};
    const RunView::Elements* elements = view.elements_of(node);
    const std::uint32_t width = elements ? elements->width : 1;
    if (affected.is_whole(node)) {
      fork.again += width;
      continue;
    }
    const bool is_reduction = elements != nullptr && flow.kind_of(node).reduce_fanin > 0;
    if (elements == nullptr || is_reduction) {
      const TaskId last{is_reduction && width > 0 ? elements->first.value + width - 1 : n};
      auto state = taken(row, view, last, blobs);
      if (!state) return tl::unexpected(state.error());
      fork.run.shape.initial.emplace(flow.nodes[n].name, *std::move(state));
      fork.given += width;
      continue;
    }
    InitialState mapped;
    mapped.state.state = TaskState::mapped;
    mapped.labels = elements->labels;
    for (std::uint32_t i = 0; i < width; ++i) {
      if (affected.has(node, i)) {
        mapped.elements.emplace_back();
        ++fork.again;
        continue;
      }
      auto state = taken(row, view, TaskId{elements->first.value + i}, blobs);
      if (!state) return tl::unexpected(state.error());
      mapped.elements.emplace_back(*std::move(state));
      ++fork.given;
    }
    fork.run.shape.initial.emplace(flow.nodes[n].name, std::move(mapped));
  }
  if (fork.again == 0 && !request.flow)
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("nothing of run {} would be done again; name a task with --at or change "
                    "a parameter with -p",
                    row.id.short_text()));
  return fork;
}

Status check_resume(const journal::RunRow& row, const RunView& view,
                    const std::vector<std::string>& tasks) {
  for (const std::string& name : tasks) {
    const auto named = view.find_task(name);
    if (!named)
      return fail(ErrorCode::not_found,
                  fmt::format("run {} has no task \"{}\"{}", row.id.short_text(),
                              escape_for_terminal(name), view.did_you_mean_task(name)));
    bool any = false;
    for (std::uint32_t t = 0; t < view.size(); ++t) {
      const bool is_meant = t == named->value || view.node_of(TaskId{t}).value == named->value;
      any = any || (is_meant && view.state(TaskId{t}) == TaskState::paused);
    }
    if (!any)
      return fail(ErrorCode::conflict,
                  fmt::format("task \"{}\" of run {} is {}; only what is paused can be resumed",
                              escape_for_terminal(name), row.id.short_text(),
                              reprise::name(view.state(*named))));
  }
  return {};
}

Result<journal::Batch> make_retry(const journal::RunRow& row, const RunView& view,
                                  const RetryRequest& request, Time now) {
  const auto is_meant = [&](TaskId task) {
    const TaskState state = view.state(task);
    return (request.failed && is_failed(state)) ||
           (request.cancelled && state == TaskState::cancelled);
  };
  Downstream affected(view);
  bool any = false;
  if (request.tasks.empty()) {
    for (std::uint32_t t = 0; t < view.size(); ++t)
      if (view.counts_as_task(TaskId{t}) && is_meant(TaskId{t})) {
        affected.add(TaskId{t});
        any = true;
      }
  }
  for (const std::string& name : request.tasks) {
    const auto task = view.find_task(name);
    if (!task)
      return fail(ErrorCode::not_found,
                  fmt::format("run {} has no task \"{}\"{}", row.id.short_text(),
                              escape_for_terminal(name), view.did_you_mean_task(name)));
    const RunView::Elements* elements =
        view.counts_as_task(*task) ? nullptr : view.elements_of(view.node_of(*task));
    for (std::uint32_t i = 0; i < (elements ? elements->width : 1); ++i) {
      const TaskId each = elements ? TaskId{elements->first.value + i} : *task;
      if (!is_meant(each)) continue;
      affected.add(each);
      any = true;
    }
  }
  if (!any)
    return fail(ErrorCode::conflict,
                fmt::format("run {} has no such task that failed or was cancelled; `reprise fork` "
                            "does others again, in a new run",
                            row.id.short_text()));
  affected.close();
  journal::Batch batch;
  batch.run = row.id;
  for (std::uint32_t t = 0; t < view.size(); ++t) {
    const TaskId task{t};
    if (!view.counts_as_task(task) || !affected.has(task) || !is_finished(view.state(task)))
      continue;
    batch.tasks.push_back(view.amendment(task, TaskState::pending, now, "to be tried again"));
  }
  batch.change = journal::RunChange{RunState::running, now, "tried again"};
  return batch;
}

}  // namespace reprise
