#include "cluster/fleet.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

Fleet::Name Fleet::name_of(const scheduler::AttemptRef& attempt) {
  return {attempt.run.value, attempt.task.value, attempt.number};
}

std::uint32_t Fleet::width_of(const Attempt& attempt) {
  if (attempt.task == run_task) return 1;
  const std::uint32_t milli = attempt.context->flow->kind_of(attempt.node).resources.cpu_milli;
  return std::max<std::uint32_t>(1, (milli + 999) / 1000);
}

bool Fleet::takes_work(const Worker& worker) {
  return !worker.is_suspect && !worker.is_cut && !worker.is_draining && worker.card.slots > 0;
}

void Fleet::joined(WorkerId id, WorkerCard card, Time now) {
  REPRISE_ASSERT(!workers_.contains(id), id);
  Worker& worker = workers_[id];
  worker.card = std::move(card);
  worker.joined = worker.heard = now;
  count_slots();
  hand_out();
}

void Fleet::left(WorkerId id, const std::string& why, Time now) {
  if (workers_.contains(id)) give_up(id, why, now);
}

void Fleet::heard(WorkerId id, Time now) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  found->second.heard = std::max(found->second.heard, now);
  if (!std::exchange(found->second.is_suspect, false)) return;
  count_slots();
  hand_out();
}

void Fleet::connected(WorkerId id, bool is_connected) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  found->second.is_cut = !is_connected;
  count_slots();
  hand_out();
}

std::optional<Attempt> Fleet::let_go(Worker& worker, const Name& name) {
  const auto found = worker.in_hand.find(name);
  if (found == worker.in_hand.end()) return std::nullopt;
  Attempt attempt = std::move(found->second);
  worker.load -= width_of(attempt);
  worker.in_hand.erase(found);
  holder_.erase(name);
  return attempt;
}

std::vector<EndedAttempt> Fleet::reported(WorkerId id, std::vector<scheduler::Report> reports,
                                          Time now) {
  std::vector<EndedAttempt> ended;
  const auto found = workers_.find(id);
  if (found == workers_.end()) return ended;
  heard(id, now);
  for (scheduler::Report& report : reports)
    if (auto attempt = let_go(found->second, name_of(report.attempt)))
      ended.push_back({*std::move(attempt), std::move(report.outcome)});
  settle(id, found->second);
  return ended;
}

void Fleet::began(WorkerId id, const scheduler::Began& began) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  for (const scheduler::Began::Start& start : began.starts)
    if (found->second.in_hand.contains(name_of(start.attempt)))
      effects_.began.starts.push_back(start);
}

void Fleet::refused(WorkerId id, const std::vector<scheduler::AttemptRef>& attempts) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  for (const scheduler::AttemptRef& each : attempts) {
    if (auto attempt = let_go(found->second, name_of(each)))
      waiting_.push_back(*std::move(attempt));
  }
  settle(id, found->second);
}

void Fleet::drain(WorkerId id, bool draining) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  found->second.is_draining = draining;
  found->second.told_drained = false;
  count_slots();
  settle(id, found->second);
}

// After a worker's hand has become emptier.
void Fleet::settle(WorkerId id, Worker& worker) {
  if (!takes_work(worker)) count_slots();
  if (worker.is_draining && worker.in_hand.empty() && !worker.told_drained) {
    worker.told_drained = true;
    effects_.drained.push_back(id);
  }
  hand_out();
}

void Fleet::dispatch(std::vector<Attempt> attempts) {
  for (Attempt& attempt : attempts) waiting_.push_back(std::move(attempt));
  hand_out();
}

// It has the functions that the attempt calls: its body, or those that it is asked about.
bool Fleet::can_run(const Worker& worker, const Attempt& attempt) {
  if (!worker.card.functions) return true;
  const auto has = [&](const std::string& id) {
    return id.empty() || worker.card.functions->contains(id);
  };
  const auto has_body = [&](const Body& body) {
    const auto* function = std::get_if<FunctionBody>(&body);
    return function == nullptr || has(function->function);
  };
  const auto has_hooks = [&](const std::vector<Hook>& hooks) {
    return std::all_of(hooks.begin(), hooks.end(),
                       [&](const Hook& hook) { return has_body(hook.body); });
  };
  const FlowSpec& flow = *attempt.context->flow;
  if (!attempt.question) return has_body(flow.kind_of(attempt.node).body);
  switch (attempt.question->kind) {
    case Question::Kind::trigger:
      return has(flow.kind_of(attempt.node).trigger.function);
    case Question::Kind::hooks:
      return has_hooks(flow.kind_of(attempt.node).hooks);
    case Question::Kind::run_hooks:
      return has_hooks(flow.run_hooks);
    case Question::Kind::cache_key:
      return has(flow.kind_of(attempt.node).cache.key_function);
  }
  return true;
}

// Whose slots are taken least; of those the one with most slots, then the first that came.
std::optional<WorkerId> Fleet::choose(const Attempt& attempt) const {
  std::optional<WorkerId> best;
  const Worker* least = nullptr;
  for (const auto& [id, worker] : workers_) {
    if (!takes_work(worker) || !can_run(worker, attempt)) continue;
    if (least != nullptr) {
      const auto mine = std::uint64_t{worker.load} * least->card.slots;
      const auto theirs = std::uint64_t{least->load} * worker.card.slots;
      if (mine > theirs || (mine == theirs && worker.card.slots <= least->card.slots)) continue;
    }
    best = id;
    least = &worker;
  }
  return best;
}

// How far ahead attempts are sent is the scheduler's decision: here nothing waits that somebody
// could have.
void Fleet::hand_out() {
  const bool has_room = std::any_of(workers_.begin(), workers_.end(),
                                    [](const auto& each) { return takes_work(each.second); });
  for (auto next = waiting_.begin(); has_room && next != waiting_.end();) {
    const auto id = choose(*next);
    if (!id) {  // until somebody comes who has its function
      ++next;
      continue;
    }
    Worker& worker = workers_.at(*id);
    Attempt attempt = std::move(*next);
    next = waiting_.erase(next);
    const Name name{attempt.run, attempt.task.value, attempt.number};
    worker.load += width_of(attempt);
    holder_.insert_or_assign(name, *id);
    dispatches_[*id].push_back(attempt);
    worker.in_hand.emplace(name, std::move(attempt));
  }
}

void Fleet::stop(const std::vector<scheduler::AttemptRef>& attempts, Time now) {
  for (const scheduler::AttemptRef& each : attempts) {
    const Name name = name_of(each);
    if (const auto holder = holder_.find(name); holder != holder_.end()) {
      stops_[holder->second].push_back(each);
      continue;
    }
    const auto is_it = [&](const Attempt& attempt) {
      return Name{attempt.run, attempt.task.value, attempt.number} == name;
    };
    const auto found = std::find_if(waiting_.begin(), waiting_.end(), is_it);
    if (found == waiting_.end()) continue;  // its end is under way already
    Attempt attempt = std::move(*found);
    waiting_.erase(found);
    Outcome outcome;
    outcome.state = TaskState::cancelled;
    outcome.started = now;
    effects_.ended.push_back({std::move(attempt), std::move(outcome)});
  }
}

void Fleet::give_up(WorkerId id, const std::string& why, Time now) {
  const auto found = workers_.find(id);
  Worker worker = std::move(found->second);
  workers_.erase(found);
  dispatches_.erase(id);
  stops_.erase(id);
  for (auto& [name, attempt] : worker.in_hand) {
    holder_.erase(name);
    Outcome outcome;
    outcome.state = TaskState::failed;
    outcome.failure = FailureClass::worker_lost;
    outcome.message =
        fmt::format("worker \"{}\" was lost: {}", escape_for_terminal(worker.card.name), why);
    outcome.started = now;
    effects_.ended.push_back({std::move(attempt), std::move(outcome)});
  }
  count_slots();
  hand_out();
}

void Fleet::tick(Time now) {
  std::vector<WorkerId> lost;
  bool has_changed = false;
  for (auto& [id, worker] : workers_) {
    const Duration silence = now - worker.heard;
    if (silence >= options_.lost_after) {
      lost.push_back(id);
    } else {
      const bool is_suspect = silence >= options_.suspect_after;
      has_changed |= std::exchange(worker.is_suspect, is_suspect) != is_suspect;
      effects_.pings.push_back(id);
    }
  }
  if (has_changed) count_slots();
  for (const WorkerId id : lost) {
    give_up(id, fmt::format("it said nothing for {}", describe(options_.lost_after)), now);
    effects_.lost.push_back(id);
  }
  hand_out();
}

// To the scheduler a worker that gets nothing new has the slots that are taken there: so what it
// still has in hand keeps nobody else from working.
void Fleet::count_slots() {
  std::uint64_t slots = 0;
  for (const auto& [id, worker] : workers_)
    slots += takes_work(worker) ? worker.card.slots : worker.load;
  const auto counted = static_cast<std::uint32_t>(std::min<std::uint64_t>(slots, UINT32_MAX));
  if (counted == slots_) return;
  slots_ = counted;
  effects_.slots = counted;
}

FleetEffects Fleet::take_effects() {
  for (auto& [id, attempts] : dispatches_)
    effects_.dispatches.emplace_back(id, std::move(attempts));
  for (auto& [id, attempts] : stops_) effects_.stops.emplace_back(id, std::move(attempts));
  dispatches_.clear();
  stops_.clear();
  return std::exchange(effects_, {});
}

std::vector<WorkerView> Fleet::workers() const {
  using Health = WorkerView::Health;
  std::vector<WorkerView> views;
  for (const auto& [id, worker] : workers_) {
    const Health health = worker.is_suspect || worker.is_cut ? Health::suspect
                          : worker.is_draining               ? Health::draining
                                                             : Health::alive;
    views.push_back({id, worker.card, health, worker.in_hand.size(), worker.joined, worker.heard});
  }
  return views;
}

void Fleet::check_invariants() const {
  std::size_t held = 0;
  for (const auto& [id, worker] : workers_) {
    std::uint32_t load = 0;
    for (const auto& [name, attempt] : worker.in_hand) {
      load += width_of(attempt);
      REPRISE_ASSERT(holder_.at(name) == id, id);
    }
    REPRISE_ASSERT(load == worker.load, id);
    held += worker.in_hand.size();
  }
  REPRISE_ASSERT(held == holder_.size(), held);
}

}  // namespace reprise::cluster
