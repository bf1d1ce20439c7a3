#include "journal/waiting.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace reprise::journal {
namespace {

constexpr std::size_t named_max = 5;

/// Names of the nodes that the task waits for, each once.
std::vector<std::string> unfinished_upstreams(const RunView& view, TaskId task) {
  const FlowSpec& flow = view.flow();
  const std::int32_t index = view.map_index(task);
  std::vector<std::string> names;
  const auto look_at = [&](NodeId from, bool is_elementwise) {
    bool is_done = true;
    std::string name = flow.nodes[from.value].name;
    if (const auto* elements = view.elements_of(from)) {
      for (std::uint32_t i = 0; i < elements->width && is_done; ++i) {
        if (is_elementwise && index >= 0 && i != static_cast<std::uint32_t>(index)) continue;
        const TaskId element{elements->first.value + i};
        is_done = is_finished(view.state(element));
        if (!is_done && is_elementwise) name = view.task_name(element);
      }
    } else {
      is_done = is_finished(view.state(TaskId{from.value}));
    }
    if (!is_done && std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  };
  for (const Input& input : flow.inputs_of(view.node_of(task))) {
    if (input.source == Input::Source::upstream || input.source == Input::Source::state_only)
      look_at(NodeId{input.index}, input.mapped && !input.flattened);
    if (input.source == Input::Source::expression)
      for (const NodeId read : flow.expressions[input.index].reads) look_at(read, false);
  }
  return names;
}

std::optional<Waiting> recorded(const RunView& view, TaskId task) {
  if (view.state(task) != TaskState::queued) return std::nullopt;
  const std::string_view message = view.message(task);
  std::string_view text;
  if (const auto reason = waiting_reason_in(message, text))
    return Waiting{*reason, std::string(text), view.changed(task)};
  if (message.empty()) return std::nullopt;
  return Waiting{WaitingReason::cache, std::string(message), view.changed(task)};
}

/// The two wait for the same things.
bool are_alike(const TaskKind& a, const TaskKind& b) {
  return a.resources == b.resources && a.require == b.require && a.limits == b.limits &&
         a.priority == b.priority && a.body.index() == b.body.index() &&
         (!std::holds_alternative<FunctionBody>(a.body) || a.body == b.body);
}

}  // namespace

std::optional<Waiting> why_waiting(const RunView& view, TaskId task) {
  const TaskState state = view.state(task);
  const std::string message(view.message(task));
  if (state == TaskState::skipped && message.starts_with("when: "))
    return Waiting{WaitingReason::when_false, message.substr(6), view.changed(task)};
  if (is_finished(state) || is_running(state) || state == TaskState::mapped) return std::nullopt;
  if (state == TaskState::paused)
    return Waiting{WaitingReason::paused, message.empty() ? "until a person resumes it" : message,
                   view.changed(task)};
  if (state == TaskState::retrying || state == TaskState::scheduled) {
    const ChangeDetail* detail = view.detail(task);
    const std::string when = detail != nullptr && detail->start_time
                                 ? "it goes on at " + to_rfc3339(*detail->start_time)
                                 : std::string("it goes on later");
    return Waiting{
        state == TaskState::retrying ? WaitingReason::retry_backoff : WaitingReason::paused,
        message.empty() ? when : fmt::format("{}; {}", when, message), view.changed(task)};
  }
  const std::vector<std::string> names = unfinished_upstreams(view, task);
  if (!names.empty()) {
    std::string text = fmt::format(
        "it needs {}",
        fmt::join(names.begin(),
                  names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), named_max)),
                  ", "));
    if (names.size() > named_max) text += fmt::format(", and {} more", names.size() - named_max);
    return Waiting{WaitingReason::upstream, std::move(text), view.changed(task)};
  }
  if (auto own = recorded(view, task)) return own;
  const TaskKind& kind = view.flow().kind_of(view.node_of(task));
  for (std::uint32_t t = 0; t < view.size(); ++t) {
    if (!view.counts_as_task(TaskId{t})) continue;
    if (!are_alike(kind, view.flow().kind_of(view.node_of(TaskId{t})))) continue;
    auto other = recorded(view, TaskId{t});
    if (other && other->reason != WaitingReason::cache) return other;
  }
  return Waiting{WaitingReason::slots, "it is ready; all slots that it could have are taken",
                 view.changed(task)};
}

}  // namespace reprise::journal
