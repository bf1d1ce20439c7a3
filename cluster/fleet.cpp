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
  return !worker.is_suspect && !worker.is_cut && !worker.is_draining && !worker.is_aside &&
         worker.card.slots > 0;
}

void Fleet::joined(WorkerId id, WorkerCard card, Time now) {
  REPRISE_ASSERT(!workers_.contains(id), id);
  Worker& worker = workers_[id];
  worker.card = std::move(card);
  std::ranges::sort(worker.card.functions);
  worker.joined = worker.heard = now;
  offer();
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
  offer();
  hand_out();
}

void Fleet::connected(WorkerId id, bool is_connected) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  found->second.is_cut = !is_connected;
  offer();
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

void Fleet::refused(WorkerId id, const std::vector<scheduler::AttemptRef>& attempts,
                    const std::string& reason) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  for (const scheduler::AttemptRef& each : attempts) {
    auto attempt = let_go(found->second, name_of(each));
    if (!attempt) continue;
    if (attempt->worker != 0)
      // One that leaves has nothing against the attempt.
      effects_.returned.attempts.push_back(
          {each, reason, !reason.empty() && takes_work(found->second)});
    else
      waiting_.push_back(*std::move(attempt));
  }
  settle(id, found->second);
}

void Fleet::drain(WorkerId id, bool draining) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  found->second.is_draining = draining;
  found->second.told_drained = false;
  offer();
  settle(id, found->second);
}

void Fleet::measured(WorkerId id, Duration round_trip) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  Duration& known = found->second.round_trip;
  // Only what differs much is worth telling.
  if (known > Duration::zero() && round_trip < known * 2 && round_trip * 2 > known) return;
  known = round_trip;
  offer();
}

std::optional<WorkerId> Fleet::set_aside(std::string_view name, bool is_aside) {
  for (auto& [id, worker] : workers_) {
    if (worker.card.name != name) continue;
    worker.is_aside = is_aside;
    offer();
    hand_out();
    return id;
  }
  return std::nullopt;
}

// After a worker's hand has become emptier.
void Fleet::settle(WorkerId id, Worker& worker) {
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

// Whose slots are taken least; of those the one with most slots, then the first that came.
std::optional<WorkerId> Fleet::choose() const {
  std::optional<WorkerId> best;
  const Worker* least = nullptr;
  for (const auto& [id, worker] : workers_) {
    if (!takes_work(worker)) continue;
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

// What the scheduler chose a worker for goes there, or back to it when that one takes nothing any
// more; the rest goes to anybody, as soon as somebody takes work.
void Fleet::hand_out() {
  while (!waiting_.empty()) {
    const WorkerId chosen = waiting_.front().worker;
    const auto known = workers_.find(chosen);
    if (chosen != 0 && (known == workers_.end() || !takes_work(known->second))) {
      const Attempt& attempt = waiting_.front();
      effects_.returned.attempts.push_back(
          {{scheduler::RunIndex{attempt.run}, attempt.task, attempt.number}, {}, false});
      waiting_.pop_front();
      continue;
    }
    const auto id = chosen != 0 ? std::optional(chosen) : choose();
    if (!id) return;
    Worker& worker = workers_.at(*id);
    Attempt attempt = std::move(waiting_.front());
    waiting_.pop_front();
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

void Fleet::retract(const std::vector<scheduler::AttemptRef>& attempts) {
  for (const scheduler::AttemptRef& each : attempts)
    if (const auto holder = holder_.find(name_of(each)); holder != holder_.end())
      retracts_[holder->second].push_back(each);
}

void Fleet::give_up(WorkerId id, const std::string& why, Time now) {
  const auto found = workers_.find(id);
  Worker worker = std::move(found->second);
  workers_.erase(found);
  dispatches_.erase(id);
  stops_.erase(id);
  retracts_.erase(id);
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
  offer();
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
  if (has_changed) offer();
  for (const WorkerId id : lost) {
    give_up(id, fmt::format("it said nothing for {}", describe(options_.lost_after)), now);
    effects_.lost.push_back(id);
  }
  hand_out();
}

std::vector<scheduler::WorkerOffer> Fleet::offers() const {
  std::vector<scheduler::WorkerOffer> offers;
  for (const auto& [id, worker] : workers_) {
    scheduler::WorkerOffer& offer = offers.emplace_back();
    offer.id = id;
    offer.name = worker.card.name;
    offer.slots = worker.card.slots;
    offer.capacity = worker.card.capacity;
    if (offer.capacity.cpu_milli == 0) offer.capacity.cpu_milli = offer.slots * 1000;
    offer.labels = worker.card.labels;
    offer.functions = worker.card.functions;
    offer.takes_work = takes_work(worker);
    offer.round_trip = worker.round_trip;
  }
  return offers;
}

// Tells the scheduler what has changed of this.
void Fleet::offer() {
  std::vector<scheduler::WorkerOffer> now = offers();
  if (now == offered_) return;
  offered_ = now;
  effects_.workers = scheduler::WorkersChanged{std::move(now)};
}

FleetEffects Fleet::take_effects() {
  for (auto& [id, attempts] : dispatches_)
    effects_.dispatches.emplace_back(id, std::move(attempts));
  for (auto& [id, attempts] : stops_) effects_.stops.emplace_back(id, std::move(attempts));
  for (auto& [id, attempts] : retracts_) effects_.retracts.emplace_back(id, std::move(attempts));
  retracts_.clear();
  dispatches_.clear();
  stops_.clear();
  return std::exchange(effects_, {});
}

std::vector<WorkerView> Fleet::workers() const {
  using Health = WorkerView::Health;
  std::vector<WorkerView> views;
  for (const auto& [id, worker] : workers_) {
    const Health health = worker.is_suspect || worker.is_cut      ? Health::suspect
                          : worker.is_draining || worker.is_aside ? Health::draining
                                                                  : Health::alive;
    WorkerView& view = views.emplace_back();
    view.id = id;
    view.card = worker.card;
    view.health = health;
    view.in_hand = worker.in_hand.size();
    view.joined = worker.joined;
    view.heard = worker.heard;
    for (const auto& [name, attempt] : worker.in_hand) {
      if (attempt.question || attempt.task == run_task) continue;
      const Resources& own = attempt.context->flow->kind_of(attempt.node).resources;
      view.cpu_milli += own.cpu_milli;
      view.memory_bytes += own.memory_bytes;
    }
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
