#include "cluster/node.hpp"

#include "core/assert.hpp"

namespace reprise::cluster {

namespace {

scheduler::AttemptRef ref_of(const Attempt& attempt) {
  return {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
}

scheduler::Report ended_early(const Attempt& attempt, TaskState state, FailureClass failure,
                              std::string message, Time now) {
  scheduler::Report report{ref_of(attempt), {}};
  report.outcome.state = state;
  report.outcome.failure = failure;
  report.outcome.message = std::move(message);
  report.outcome.started = now;
  return report;
}

}  // namespace

Node::Name Node::name_of(const scheduler::AttemptRef& attempt) {
  return {attempt.run.value, attempt.task.value, attempt.number};
}

// After anything that may have emptied the hands or the link.
void Node::settle() {
  if (is_leaving_ && !has_joined_ && in_hand() == 0) {
    effects_.left = true;
    return;
  }
  if (is_leaving_ && has_joined_ && !std::exchange(said_draining_, true)) effects_.draining = true;
  if (!is_linked_ || has_joined_ || is_leaving_ || in_hand() > 0) return;
  has_joined_ = true;
  effects_.hello = true;
}

void Node::linked() {
  is_linked_ = true;
  settle();
}

void Node::unlinked(Time) {
  is_linked_ = has_joined_ = said_draining_ = false;
  gathering_.clear();
  contexts_.clear();
  for (const auto& [run, task, number] : running_)
    effects_.stops.push_back({scheduler::RunIndex{run}, TaskId{task}, number});
  settle();
}

void Node::run_began(std::uint32_t run, std::shared_ptr<const RunContext> context) {
  contexts_[run] = std::move(context);
}

void Node::run_over(std::uint32_t run) {
  contexts_.erase(run);
}

std::shared_ptr<const RunContext> Node::context_of(std::uint32_t run) const {
  const auto found = contexts_.find(run);
  return found == contexts_.end() ? nullptr : found->second;
}

void Node::dispatched(std::vector<Attempt> attempts) {
  for (Attempt& attempt : attempts) {
    if (is_leaving_) {
      effects_.refused.push_back(ref_of(attempt));
      continue;
    }
    gathering_[name_of(ref_of(attempt))] = {};
    effects_.gathers.push_back(std::move(attempt));
  }
}

void Node::gathered(Attempt attempt, std::set<Digest> missing) {
  const Name name = name_of(ref_of(attempt));
  const auto found = gathering_.find(name);
  if (found == gathering_.end()) return;  // stopped meanwhile
  if (!missing.empty()) {
    found->second = {std::move(attempt), std::move(missing)};
    return;
  }
  gathering_.erase(found);
  running_.insert(name);
  effects_.starts.push_back(std::move(attempt));
}

// What came may turn out to name files that are missing, too: so it is looked at once more.
void Node::arrived(const Digest& what, const Status& status, Time now) {
  for (auto it = gathering_.begin(); it != gathering_.end();) {
    Gathering& gathering = it->second;
    if (gathering.missing.erase(what) == 0) {
      ++it;
    } else if (!status) {
      effects_.reports.push_back(
          ended_early(gathering.attempt, TaskState::failed, FailureClass::cannot_start,
                      "an input could not be fetched: " + status.error().message, now));
      it = gathering_.erase(it);
    } else {
      if (gathering.missing.empty()) effects_.gathers.push_back(std::move(gathering.attempt));
      ++it;
    }
  }
  settle();
}

void Node::stop(const std::vector<scheduler::AttemptRef>& attempts, Time now) {
  for (const scheduler::AttemptRef& each : attempts) {
    if (const auto found = gathering_.find(name_of(each)); found != gathering_.end()) {
      Attempt attempt;
      attempt.run = each.run.value;
      attempt.task = each.task;
      attempt.number = each.number;
      gathering_.erase(found);
      effects_.reports.push_back(ended_early(attempt, TaskState::cancelled, FailureClass::cancelled,
                                             "cancelled before it started", now));
    } else if (running_.contains(name_of(each))) {
      effects_.stops.push_back(each);
    }
  }
  settle();
}

void Node::reported(std::vector<scheduler::Report> reports) {
  for (scheduler::Report& each : reports)
    if (running_.erase(name_of(each.attempt)) > 0 && has_joined_)
      effects_.reports.push_back(std::move(each));
  settle();
}

void Node::began(const scheduler::Began& news) {
  if (!has_joined_) return;
  for (const scheduler::Began::Start& each : news.starts)
    if (running_.contains(name_of(each.attempt))) effects_.began.starts.push_back(each);
}

void Node::leave() {
  is_leaving_ = true;
  settle();
}

std::set<std::string> Node::folders_in_use() const {
  std::set<std::string> folders;
  for (const auto& [run, context] : contexts_) folders.insert(context->folder);
  return folders;
}

void Node::check_invariants() const {
  for (const auto& [name, gathering] : gathering_) REPRISE_ASSERT(!running_.contains(name));
  REPRISE_ASSERT(!has_joined_ || is_linked_);
}

}  // namespace reprise::cluster
