#include "journal/run_view.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::journal {
namespace {

// A corrupt width must not make us ask for the whole memory.
constexpr std::uint64_t max_tasks = 1u << 26;

std::size_t index_of(TaskState state) {
  return static_cast<std::size_t>(state);
}

std::optional<Duration> median_of(std::vector<std::int64_t>& durations) {
  if (durations.empty()) return std::nullopt;
  const auto middle = durations.begin() + static_cast<std::ptrdiff_t>(durations.size() / 2);
  std::nth_element(durations.begin(), middle, durations.end());
  return Duration(*middle);
}

}  // namespace

RunView::RunView(std::shared_ptr<const FlowSpec> flow) : flow_(std::move(flow)) {
  grow(static_cast<std::uint32_t>(flow_->nodes.size()));
  for (std::uint32_t i = 0; i < size(); ++i) nodes_[i] = NodeId{i};
}

void RunView::grow(std::uint32_t size) {
  nodes_.resize(size);
  states_.resize(size, TaskState::pending);
  caches_.resize(size, CacheOutcome::none);
  executed_.resize(size, false);
  run_counts_.resize(size, 0);
  loop_counts_.resize(size, 1);
  started_.resize(size, never);
  changed_.resize(size, never);
  durations_.resize(size, 0);
  results_.resize(size);
}

Status RunView::apply(const Batch& batch) {
  for (const TaskChange& change : batch.tasks)
    if (auto done = apply(change); !done) return done;
  if (batch.change) {
    run_ = *batch.change;
    if (!first_change_) first_change_ = run_.at;
    last_change_ = run_.at;
  }
  return {};
}

Status RunView::apply(const TaskChange& change) {
  const std::uint32_t i = change.task.value;
  if (i >= size())
    return fail(ErrorCode::corrupt,
                fmt::format("the journal tells of task {} of a run that has {} tasks", i, size()));
  states_[i] = change.state;
  caches_[i] = change.cache;
  run_counts_[i] = change.run_count;
  loop_counts_[i] = change.loop_count;
  const std::int64_t at = change.at.time_since_epoch().count();
  changed_[i] = at;
  if (change.state == TaskState::running) started_[i] = at;
  if (change.executed || change.duration.count() != 0) {
    durations_[i] = change.duration.count();
    started_[i] = at - change.duration.count();
  }
  if (change.executed) {
    executed_[i] = true;
    ++executions_;
  }
  if (!change.result.is_none())
    results_[i] = change.result;
  else if (is_finished(change.state))
    results_[i] = Payload{};
  if (change.detail)
    details_.insert_or_assign(change.task, *change.detail);
  else if (!details_.empty())
    details_.erase(change.task);
  if (!first_change_) first_change_ = change.at;
  last_change_ = change.at;
  if (change.state == TaskState::mapped && change.detail && i < flow_->nodes.size())
    return expand(NodeId{i}, *change.detail);
  return {};
}

// A second change to `mapped` of the same width is the same expansion told again; another width
// replaces the elements.
Status RunView::expand(NodeId node, const ChangeDetail& detail) {
  const auto width = detail.width;
  if (std::uint64_t{size()} + width > max_tasks ||
      (!detail.labels.empty() && detail.labels.size() != width))
    return fail(ErrorCode::corrupt,
                fmt::format("the journal expands \"{}\" into {} elements with {} labels",
                            flow_->nodes[node.value].name, width, detail.labels.size()));
  const auto [known, is_new] = elements_.try_emplace(node);
  Elements& elements = known->second;
  if (!is_new && elements.width == width) return {};
  for (std::uint32_t k = 0; k < elements.width; ++k)
    nodes_[elements.first.value + k] = NodeId::none();
  elements = {TaskId{size()}, width, detail.labels};
  grow(size() + width);
  std::fill(nodes_.end() - width, nodes_.end(), node);
  return {};
}

bool RunView::counts_as_task(TaskId task) const {
  if (task.value >= flow_->nodes.size()) return !nodes_[task.value].is_none();
  return elements_.empty() || !elements_.contains(NodeId{task.value});
}

std::int32_t RunView::map_index(TaskId task) const {
  if (task.value < flow_->nodes.size() || nodes_[task.value].is_none()) return -1;
  return static_cast<std::int32_t>(task.value - elements_.at(nodes_[task.value]).first.value);
}

const RunView::Elements* RunView::elements_of(NodeId node) const {
  const auto found = elements_.find(node);
  return found == elements_.end() ? nullptr : &found->second;
}

std::optional<Time> RunView::started(TaskId task) const {
  const std::int64_t at = started_[task.value];
  return at == never ? std::nullopt : std::optional(Time(Duration(at)));
}

std::optional<Time> RunView::changed(TaskId task) const {
  const std::int64_t at = changed_[task.value];
  return at == never ? std::nullopt : std::optional(Time(Duration(at)));
}

const ChangeDetail* RunView::detail(TaskId task) const {
  const auto found = details_.find(task);
  return found == details_.end() ? nullptr : &found->second;
}

std::string_view RunView::message(TaskId task) const {
  const ChangeDetail* found = detail(task);
  return found ? std::string_view(found->message) : std::string_view();
}

StateCounts RunView::counts() const {
  StateCounts counts{};
  for (std::uint32_t i = 0; i < size(); ++i)
    if (counts_as_task(TaskId{i})) ++counts[index_of(states_[i])];
  return counts;
}

Summary RunView::summary() const {
  Summary summary;
  summary.executed = executions_;
  for (std::uint32_t i = 0; i < size(); ++i) {
    if (!counts_as_task(TaskId{i})) continue;
    ++summary.tasks;
    if (is_success(states_[i]) && caches_[i] == CacheOutcome::hit) ++summary.cached;
    if (is_failed(states_[i])) ++summary.failed;
    if (states_[i] == TaskState::skipped) ++summary.skipped;
    if (states_[i] == TaskState::cancelled) ++summary.cancelled;
  }
  return summary;
}

std::vector<Group> RunView::groups() const {
  std::vector<Group> groups(flow_->nodes.size());
  for (std::uint32_t node = 0; node < groups.size(); ++node) {
    Group& group = groups[node];
    group.node = NodeId{node};
    std::vector<std::int64_t> durations;
    const auto add = [&](std::uint32_t task) {
      ++group.total;
      ++group.states[index_of(states_[task])];
      if (is_success(states_[task]) && caches_[task] == CacheOutcome::hit) ++group.cached;
      if (executed_[task] && is_success(states_[task])) durations.push_back(durations_[task]);
      if (!group.trouble && is_failed(states_[task]) && !message(TaskId{task}).empty())
        group.trouble = TaskId{task};
      const bool is_recorded =
          states_[task] == TaskState::paused ||
          (states_[task] == TaskState::queued && !message(TaskId{task}).empty());
      if (!group.waiting && is_recorded) group.waiting = TaskId{task};
    };
    if (const Elements* elements = elements_of(group.node)) {
      for (std::uint32_t k = 0; k < elements->width; ++k) add(elements->first.value + k);
    } else {
      add(node);
    }
    group.median = median_of(durations);
  }
  return groups;
}

std::vector<TaskId> RunView::paused() const {
  std::vector<TaskId> tasks;
  for (std::uint32_t i = 0; i < size(); ++i)
    if (states_[i] == TaskState::paused && counts_as_task(TaskId{i})) tasks.push_back(TaskId{i});
  return tasks;
}

std::string RunView::task_name(TaskId task) const {
  const NodeId node = nodes_[task.value];
  if (node.is_none()) return fmt::format("[replaced {}]", task.value);
  const std::string& name = flow_->nodes[node.value].name;
  if (task.value < flow_->nodes.size()) return name;
  const Elements& elements = elements_.at(node);
  const std::uint32_t index = task.value - elements.first.value;
  if (elements.labels.empty()) return fmt::format("{}[{}]", name, index);
  return fmt::format("{}[{}]", name, elements.labels[index]);
}

std::optional<NodeId> RunView::find_node(std::string_view name) const {
  if (nodes_by_name_.empty()) {
    nodes_by_name_.reserve(flow_->nodes.size());
    for (std::uint32_t i = 0; i < flow_->nodes.size(); ++i)
      nodes_by_name_.try_emplace(flow_->nodes[i].name, NodeId{i});
  }
  const auto found = nodes_by_name_.find(name);
  return found == nodes_by_name_.end() ? std::nullopt : std::optional(found->second);
}

// Names and labels may themselves contain brackets, so every way to split the text is tried.
std::optional<TaskId> RunView::find_task(std::string_view name) const {
  if (const auto node = find_node(name)) return TaskId{node->value};
  if (!name.ends_with(']')) return std::nullopt;
  for (auto open = name.find('['); open != std::string_view::npos;
       open = name.find('[', open + 1)) {
    const auto node = find_node(name.substr(0, open));
    const Elements* elements = node ? elements_of(*node) : nullptr;
    if (!elements) continue;
    const std::string_view label = name.substr(open + 1, name.size() - open - 2);
    if (const auto same = std::find(elements->labels.begin(), elements->labels.end(), label);
        same != elements->labels.end())
      return TaskId{elements->first.value +
                    static_cast<std::uint32_t>(same - elements->labels.begin())};
    std::uint32_t index = 0;
    const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), index);
    if (error == std::errc() && end == label.data() + label.size() && index < elements->width)
      return TaskId{elements->first.value + index};
  }
  return std::nullopt;
}

std::string RunView::did_you_mean_task(std::string_view name) const {
  // With an element's name the node may be right and the label wrong, or the other way round.
  std::vector<std::string> names;
  names.reserve(flow_->nodes.size());
  for (const Node& node : flow_->nodes) names.push_back(node.name);
  const auto open = name.find('[');
  if (open != std::string_view::npos) {
    const auto node = find_node(name.substr(0, open));
    if (const Elements* elements = node ? elements_of(*node) : nullptr)
      for (std::uint32_t k = 0; k < elements->width; ++k)
        names.push_back(task_name(TaskId{elements->first.value + k}));
  }
  return reprise::did_you_mean(name, names);
}

TaskChange RunView::amendment(TaskId task, TaskState state, Time at, std::string why) const {
  TaskChange change;
  change.task = task;
  change.state = state;
  change.run_count = run_count(task);
  change.loop_count = loop_count(task);
  change.at = at;
  change.detail.emplace().message = std::move(why);
  return change;
}

Result<std::shared_ptr<const FlowSpec>> flow_of(Journal& journal, const RunRow& row) {
  const auto bytes = journal.flow(row.flow);
  if (!bytes) return tl::unexpected(bytes.error());
  auto flow = FlowSpec::decode(*bytes);
  if (!flow) return tl::unexpected(flow.error());
  flow->folder = row.folder;
  flow->source_file = row.source_file;
  return std::make_shared<const FlowSpec>(std::move(*flow));
}

Result<RunView> load_run(Journal& journal, const RunRow& row, Offset* last) {
  auto flow = flow_of(journal, row);
  if (!flow) return tl::unexpected(flow.error());
  RunView view(*std::move(flow));
  constexpr std::size_t changes_at_once = 100'000;  // bounds the memory, not the run
  for (Offset after = 0;;) {
    auto entries = journal.read(row.id, after, changes_at_once);
    if (!entries) return tl::unexpected(entries.error());
    for (const Journal::Entry& entry : *entries) {
      if (auto done = view.apply(entry.batch); !done) return tl::unexpected(done.error());
      after = entry.first + entry.batch.count() - 1;
    }
    if (last) *last = after;
    if (entries->empty()) return view;
  }
}

}  // namespace reprise::journal
