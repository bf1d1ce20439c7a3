#include "api/run_watch.hpp"

#include <algorithm>

namespace reprise::detail {
namespace {

using steady = std::chrono::steady_clock;

/// An ending that lasts: a looped task goes on.
bool is_over(TaskState state) {
  return is_finished(state) && state != TaskState::looped;
}

}  // namespace

void run_watch::set_nodes(std::size_t count,
                          const std::vector<std::pair<NodeId, std::uint32_t>>& expanded) {
  const std::lock_guard guard(mutex_);
  node_count_ = count;
  next_task_ = static_cast<std::uint32_t>(count);
  for (const auto& [node, width] : expanded) add_elements(TaskId{node.value}, width);
  for (const journal::TaskChange& change : early_) note(change);
  early_.clear();
}

void run_watch::observe(const journal::Batch& batch) {
  const std::lock_guard guard(mutex_);
  for (const journal::TaskChange& change : batch.tasks) {
    if (node_count_ == 0)
      early_.push_back(change);
    else
      note(change);
  }
  if (batch.change) run_ended_ = is_finished(batch.change->state);
  heard_ += batch.count();
  changed_.notify_all();
}

void run_watch::keep_no_changes() {
  const std::lock_guard guard(mutex_);
  keeps_changes_ = false;
  changes_.clear();
}

std::vector<journal::TaskChange> run_watch::changes(std::size_t first) const {
  const std::lock_guard guard(mutex_);
  const auto begin = static_cast<std::ptrdiff_t>(std::min(first, changes_.size()));
  return {changes_.begin() + begin, changes_.end()};
}

std::pair<NodeId, std::optional<std::size_t>> run_watch::place_of(TaskId task) const {
  const std::lock_guard guard(mutex_);
  for (const auto& [node, all] : elements_)
    if (task.value >= all.first.value && task.value < all.first.value + all.width)
      return {NodeId{node.value}, task.value - all.first.value};
  return {NodeId{task.value}, std::nullopt};
}

void run_watch::add_elements(TaskId node, std::uint32_t width) {
  elements_[node] = {TaskId{next_task_}, width, 0};
  next_task_ += width;
}

void run_watch::note(const journal::TaskChange& change) {
  if (keeps_changes_) changes_.push_back(change);
  const std::uint32_t task = change.task.value;
  if (ended_.size() <= task) ended_.resize(std::max<std::size_t>(task + 1, node_count_));
  if (change.state == TaskState::mapped && !elements_.contains(change.task)) {
    add_elements(change.task, change.detail ? change.detail->width : 0);
  }
  ended_[task] = detail::is_over(change.state);
  if (is_failed(change.state) || change.state == TaskState::cancelled ||
      change.state == TaskState::skipped) {
    failure& noted = failures_[change.task];
    noted.state = change.state;
    noted.attempt = change.run_count;
    noted.exit_code = change.detail ? change.detail->exit_code : 0;
    noted.message = change.detail ? change.detail->message : "";
  } else if (is_success(change.state)) {
    failures_.erase(change.task);
  }
}

bool run_watch::is_over(NodeId node) const {
  if (run_ended_) return true;
  const auto ended = [&](std::uint32_t task) { return task < ended_.size() && ended_[task]; };
  if (!ended(node.value)) return false;
  const auto found = elements_.find(TaskId{node.value});
  if (found == elements_.end()) return true;
  // Elements that ended stay so, but for one that is retried: then the engine says that it is not
  // finished.
  for (std::uint32_t& done = found->second.done; done < found->second.width; ++done)
    if (!ended(found->second.first.value + done)) return false;
  return true;
}

bool run_watch::wait_for_node(NodeId node, steady::time_point limit) {
  std::unique_lock guard(mutex_);
  return changed_.wait_until(guard, limit, [&] { return is_over(node); });
}

bool run_watch::run_ended() const {
  const std::lock_guard guard(mutex_);
  return run_ended_;
}

bool run_watch::was_skipped(NodeId node) const {
  const std::lock_guard guard(mutex_);
  const auto found = failures_.find(TaskId{node.value});
  return found != failures_.end() && found->second.state == TaskState::skipped;
}

std::optional<run_watch::failed_task> run_watch::failure_of(NodeId node) const {
  const std::lock_guard guard(mutex_);
  const auto make = [](TaskId task, std::optional<std::uint32_t> index, const failure& why) {
    return failed_task{task, index, why};
  };
  if (const auto own = failures_.find(TaskId{node.value}); own != failures_.end())
    return make(own->first, std::nullopt, own->second);
  const auto mapped = elements_.find(TaskId{node.value});
  if (mapped == elements_.end()) return std::nullopt;
  const elements& all = mapped->second;
  const auto first = failures_.lower_bound(all.first);
  if (first == failures_.end() || first->first.value >= all.first.value + all.width)
    return std::nullopt;
  return make(first->first, first->first.value - all.first.value, first->second);
}

bool run_watch::wait_for_changes(std::uint64_t seen, steady::time_point limit) {
  std::unique_lock guard(mutex_);
  const auto is_news = [&] { return heard_ != seen || run_ended_; };
  if (limit == steady::time_point::max()) {
    changed_.wait(guard, is_news);
    return true;
  }
  return changed_.wait_until(guard, limit, is_news);
}

std::uint64_t run_watch::heard() const {
  const std::lock_guard guard(mutex_);
  return heard_;
}

void run_watch::end() {
  const std::lock_guard guard(mutex_);
  run_ended_ = true;
  changed_.notify_all();
}

}  // namespace reprise::detail
