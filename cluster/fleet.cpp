#include "cluster/fleet.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

namespace {

scheduler::AttemptRef own_ref(const std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>& name) {
  const auto& [run, task, number] = name;
  return {scheduler::RunIndex{run}, TaskId{task}, number};
}

}  // namespace

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

// A worker is free where it has nothing of a server before, either.
std::uint32_t Fleet::load_of(const Worker& worker) {
  std::uint32_t load = worker.load;
  for (const auto& [name, orphan] : worker.orphans) load += orphan.outcome ? 0 : 1;
  return load;
}

void Fleet::joined(WorkerId id, WorkerCard card, Time now, std::vector<InventoryItem> inventory) {
  REPRISE_ASSERT(!workers_.contains(id), id);
  Worker& worker = workers_[id];
  worker.card = std::move(card);
  std::ranges::sort(worker.card.functions);
  worker.joined = worker.heard = now;
  for (InventoryItem& item : inventory) {
    const bool is_lost = !is_foreign(item.attempt);  // it was given up when its link ended
    if (is_lost || (going_on_ && !going_on_->contains(item.run)) || others_have(item))
      stops_[id].push_back(item.attempt);
    else
      worker.orphans.insert_or_assign(foreign(item.attempt), Orphan{std::move(item), {}, {}});
  }
  if (!worker.orphans.empty()) {
    has_orphans_ = true;
    for (std::deque<Attempt>* queue : {&held_, &waiting_})
      std::erase_if(*queue, [&](Attempt& attempt) { return adopt(attempt); });
  }
  if (holds_until_ && expected_ && expected_->erase(worker.card.name) > 0 && expected_->empty())
    release_held();
  if (has_orphans_)
    offer_all();  // what it brought may have taken the place of others'
  else
    offer(id, worker);
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
  offer(id, found->second);
  hand_out();
}

void Fleet::connected(WorkerId id, bool is_connected) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  found->second.is_cut = !is_connected;
  offer(id, found->second);
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
  for (scheduler::Report& report : reports) {
    Name name = name_of(report.attempt);
    if (is_foreign(report.attempt)) {
      const Foreign known = foreign(report.attempt);
      if (const auto orphan = found->second.orphans.find(known);
          orphan != found->second.orphans.end()) {
        orphan->second.outcome = std::move(report.outcome);
        continue;
      }
      const auto adopted = found->second.adopted.find(known);
      if (adopted == found->second.adopted.end()) {
        acknowledge(id, report.attempt);
        continue;
      }
      name = adopted->second;
    }
    if (auto attempt = let_go(found->second, name)) {
      if (options_.epoch > 0) unrecorded_[name] = id;
      ended.push_back({*std::move(attempt), std::move(report.outcome)});
    } else if (const auto told = unrecorded_.find(name);
               told == unrecorded_.end() || told->second != id) {
      acknowledge(id, report.attempt);
    }
  }
  settle(id, found->second);
  return ended;
}

void Fleet::began(WorkerId id, const scheduler::Began& began) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  for (const scheduler::Began::Start& start : began.starts) {
    Name name = name_of(start.attempt);
    if (is_foreign(start.attempt)) {
      const Foreign known = foreign(start.attempt);
      if (const auto orphan = found->second.orphans.find(known);
          orphan != found->second.orphans.end())
        orphan->second.began = start.at;
      const auto adopted = found->second.adopted.find(known);
      if (adopted == found->second.adopted.end()) continue;
      name = adopted->second;
    }
    const auto held = found->second.in_hand.find(name);
    if (held == found->second.in_hand.end()) continue;
    effects_.began.starts.push_back({own_ref(name), start.at});
  }
}

void Fleet::refused(WorkerId id, const std::vector<scheduler::AttemptRef>& attempts,
                    const std::string& reason) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  for (const scheduler::AttemptRef& each : attempts) {
    Name name = name_of(each);
    if (is_foreign(each)) {
      found->second.orphans.erase(foreign(each));
      const auto adopted = found->second.adopted.find(foreign(each));
      if (adopted == found->second.adopted.end()) continue;
      name = adopted->second;
      found->second.adopted.erase(adopted);
    }
    auto attempt = let_go(found->second, name);
    if (!attempt) continue;
    if (attempt->worker != 0)
      // One that leaves has nothing against the attempt.
      effects_.returned.attempts.push_back(
          {own_ref(name), reason, !reason.empty() && takes_work(found->second)});
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
  offer(id, found->second);
  settle(id, found->second);
}

void Fleet::measured(WorkerId id, Duration round_trip) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  Duration& known = found->second.round_trip;
  // Only what differs much is worth telling.
  if (known > Duration::zero() && round_trip < known * 2 && round_trip * 2 > known) return;
  known = round_trip;
  offer(id, found->second);
}

std::optional<WorkerId> Fleet::set_aside(std::string_view name, bool is_aside) {
  for (auto& [id, worker] : workers_) {
    if (worker.card.name != name) continue;
    worker.is_aside = is_aside;
    offer(id, worker);
    hand_out();
    return id;
  }
  return std::nullopt;
}

// After a worker's hand has become emptier.
void Fleet::settle(WorkerId id, Worker& worker) {
  const auto is_its = [id](const auto& each) { return each.second == id; };
  if (worker.is_draining && worker.in_hand.empty() && worker.orphans.empty() &&
      !worker.told_drained && std::ranges::none_of(unrecorded_, is_its)) {
    worker.told_drained = true;
    effects_.drained.push_back(id);
  }
  hand_out();
}

void Fleet::dispatch(std::vector<Attempt> attempts) {
  const bool had_orphans = has_orphans_;
  for (Attempt& attempt : attempts) {
    if (adopt(attempt)) continue;
    const bool may_be_had = holds_until_ && attempt.context->continued;
    (may_be_had && outlives_its_server(attempt) ? held_ : waiting_).push_back(std::move(attempt));
  }
  if (had_orphans) offer_all();
  hand_out();
}

// Whose slots are taken least; of those the one with most slots, then the first that came.
std::optional<WorkerId> Fleet::choose() const {
  std::optional<WorkerId> best;
  const Worker* least = nullptr;
  for (const auto& [id, worker] : workers_) {
    if (!takes_work(worker)) continue;
    if (least != nullptr) {
      const auto mine = std::uint64_t{load_of(worker)} * least->card.slots;
      const auto theirs = std::uint64_t{load_of(*least)} * worker.card.slots;
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
      stops_[holder->second].push_back(as_known_to(workers_.at(holder->second), name));
      continue;
    }
    const auto is_it = [&](const Attempt& attempt) {
      return Name{attempt.run, attempt.task.value, attempt.number} == name;
    };
    auto* queue = &waiting_;
    auto found = std::find_if(queue->begin(), queue->end(), is_it);
    if (found == queue->end()) {
      queue = &held_;
      found = std::find_if(queue->begin(), queue->end(), is_it);
    }
    if (found == queue->end()) continue;  // its end is under way already
    Attempt attempt = std::move(*found);
    queue->erase(found);
    Outcome outcome;
    outcome.state = TaskState::cancelled;
    outcome.started = now;
    effects_.ended.push_back({std::move(attempt), std::move(outcome)});
  }
}

void Fleet::retract(const std::vector<scheduler::AttemptRef>& attempts) {
  for (const scheduler::AttemptRef& each : attempts)
    if (const auto holder = holder_.find(name_of(each)); holder != holder_.end())
      retracts_[holder->second].push_back(as_known_to(workers_.at(holder->second), name_of(each)));
}

void Fleet::give_up(WorkerId id, const std::string& why, Time now) {
  const auto found = workers_.find(id);
  Worker worker = std::move(found->second);
  workers_.erase(found);
  dispatches_.erase(id);
  stops_.erase(id);
  retracts_.erase(id);
  acknowledged_.erase(id);
  std::erase_if(unrecorded_, [id](const auto& each) { return each.second == id; });
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
  if (offered_.erase(id) > 0) {
    if (!effects_.workers) effects_.workers.emplace();
    effects_.workers->gone.push_back(id);
  }
  hand_out();
}

// ---- what a server before left at workers

Fleet::Foreign Fleet::foreign(const scheduler::AttemptRef& attempt) {
  return {attempt.epoch, attempt.run.value, attempt.task.value, attempt.number};
}

bool Fleet::is_foreign(const scheduler::AttemptRef& attempt) const {
  return attempt.epoch != 0 && attempt.epoch != options_.epoch;
}

// Workers name what they have as it was named when it was dispatched.
scheduler::AttemptRef Fleet::as_known_to(const Worker& worker, const Name& name) const {
  for (const auto& [theirs, ours] : worker.adopted)
    if (ours == name) {
      const auto& [epoch, run, task, number] = theirs;
      return {scheduler::RunIndex{run}, TaskId{task}, number, epoch};
    }
  return own_ref(name);
}

bool Fleet::others_have(const InventoryItem& item) const {
  return std::ranges::any_of(holder_, [&](const auto& each) {
    const Attempt& held = workers_.at(each.second).in_hand.at(each.first);
    return held.context->run == item.run && held.node == item.node &&
           held.map_index == item.map_index && held.number >= item.attempt.number;
  });
}

// True: a worker has it, and it is in that one's hand now.
bool Fleet::adopt(Attempt& attempt) {
  if (!has_orphans_ || !outlives_its_server(attempt)) return false;
  has_orphans_ = false;
  std::optional<Digest> work;
  for (auto& [id, worker] : workers_) {
    for (auto it = worker.orphans.begin(); it != worker.orphans.end();) {
      const InventoryItem& item = it->second.item;
      const std::uint32_t number = item.attempt.number;
      if (item.run != attempt.context->run || item.node != attempt.node ||
          item.map_index != attempt.map_index || number > attempt.number) {
        ++it;
        continue;
      }
      if (number == attempt.number || number == attempt.begun_before) {
        if (!work) work = work_of(attempt);
        if (item.work == *work) {
          const Foreign name = it->first;
          take_over(id, worker, name, std::move(attempt));
          has_orphans_ = true;
          return true;
        }
      }
      // An earlier attempt, or one at something else: nobody waits for it any more.
      dismiss(id, it->second);
      it = worker.orphans.erase(it);
    }
    has_orphans_ |= !worker.orphans.empty();
  }
  return false;
}

void Fleet::take_over(WorkerId id, Worker& worker, const Foreign& theirs, Attempt attempt) {
  Orphan orphan = std::move(worker.orphans.extract(theirs).mapped());
  const std::uint32_t number = orphan.item.attempt.number;
  const bool has_ended = orphan.outcome.has_value();
  if (number != attempt.number || (attempt.worker != 0 && !has_ended))
    effects_.adopted.attempts.push_back(
        {{scheduler::RunIndex{attempt.run}, attempt.task, attempt.number},
         number,
         has_ended || attempt.worker == 0 ? 0 : id});
  attempt.number = number;
  if (attempt.worker != 0) attempt.worker = id;
  const Name name{attempt.run, attempt.task.value, number};
  worker.adopted.insert_or_assign(theirs, name);
  if (orphan.outcome) {
    unrecorded_[name] = id;
    effects_.ended.push_back({std::move(attempt), *std::move(orphan.outcome)});
    return;
  }
  if (orphan.began) effects_.began.starts.push_back({own_ref(name), *orphan.began});
  worker.load += width_of(attempt);
  holder_.insert_or_assign(name, id);
  worker.in_hand.emplace(name, std::move(attempt));
}

void Fleet::drop_orphans(const std::function<bool(const InventoryItem&)>& is_meant) {
  for (auto& [id, worker] : workers_) {
    std::erase_if(worker.orphans, [&, id = id](const auto& each) {
      if (!is_meant(each.second.item)) return false;
      dismiss(id, each.second);
      return true;
    });
  }
  std::vector<WorkerId> ids;
  for (const auto& [id, worker] : workers_) ids.push_back(id);
  for (const WorkerId id : ids) settle(id, workers_.at(id));
}

void Fleet::dismiss(WorkerId worker, const Orphan& orphan) {
  if (orphan.outcome)
    acknowledge(worker, orphan.item.attempt);
  else
    stops_[worker].push_back(orphan.item.attempt);
}

void Fleet::acknowledge(WorkerId worker, const scheduler::AttemptRef& attempt) {
  acknowledged_[worker].push_back(attempt);
}

void Fleet::recorded(const std::vector<scheduler::AttemptRef>& attempts) {
  for (const scheduler::AttemptRef& each : attempts) {
    const auto found = unrecorded_.find(name_of(each));
    if (found == unrecorded_.end()) continue;
    Worker& worker = workers_.at(found->second);
    const scheduler::AttemptRef theirs = as_known_to(worker, found->first);
    acknowledge(found->second, theirs);
    worker.adopted.erase(foreign(theirs));
    const WorkerId id = found->second;
    unrecorded_.erase(found);
    if (worker.is_draining) settle(id, worker);
  }
}

void Fleet::expect_inventories(Time now, std::optional<std::set<std::string>> from) {
  if (options_.epoch == 0 || (from && from->empty())) return;
  holds_until_ = now + options_.reconcile_window;
  expected_ = std::move(from);
}

std::set<std::string> Fleet::members() const {
  std::set<std::string> members = expected_.value_or(std::set<std::string>{});
  for (const auto& [id, worker] : workers_) members.insert(worker.card.name);
  return members;
}

void Fleet::release_held() {
  holds_until_.reset();
  expected_.reset();
  for (Attempt& attempt : held_) waiting_.push_back(std::move(attempt));
  held_.clear();
  hand_out();
}

void Fleet::runs_go_on(std::set<RunId> runs) {
  going_on_ = std::move(runs);
  drop_orphans([this](const InventoryItem& item) { return !going_on_->contains(item.run); });
}

void Fleet::run_over(const RunId& run) {
  if (going_on_) going_on_->erase(run);
  drop_orphans([&](const InventoryItem& item) { return item.run == run; });
}

void Fleet::tick(Time now) {
  if (holds_until_ && now >= *holds_until_) release_held();
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
  if (has_changed) offer_all();
  for (const WorkerId id : lost) {
    give_up(id, fmt::format("it said nothing for {}", describe(options_.lost_after)), now);
    effects_.lost.push_back(id);
  }
  hand_out();
}

scheduler::WorkerOffer Fleet::offer_of(WorkerId id, const Worker& worker) {
  scheduler::WorkerOffer offer;
  offer.id = id;
  offer.name = worker.card.name;
  offer.slots = worker.card.slots;
  offer.capacity = worker.card.capacity;
  if (offer.capacity.cpu_milli == 0) offer.capacity.cpu_milli = offer.slots * 1000;
  offer.labels = worker.card.labels;
  offer.functions = worker.card.functions;
  offer.takes_work = takes_work(worker);
  if (!offer.takes_work) offer.kept = static_cast<std::uint32_t>(worker.orphans.size());
  offer.round_trip = worker.round_trip;
  return offer;
}

void Fleet::offer(WorkerId id, const Worker& worker) {
  scheduler::WorkerOffer now = offer_of(id, worker);
  const auto [told, is_new] = offered_.try_emplace(id);
  if (!is_new && told->second == now) return;
  told->second = now;
  if (!effects_.workers) effects_.workers.emplace();
  effects_.workers->workers.push_back(std::move(now));
}

void Fleet::offer_all() {
  for (const auto& [id, worker] : workers_) offer(id, worker);
}

FleetEffects Fleet::take_effects() {
  for (auto& [id, attempts] : dispatches_)
    effects_.dispatches.emplace_back(id, std::move(attempts));
  for (auto& [id, attempts] : stops_) effects_.stops.emplace_back(id, std::move(attempts));
  for (auto& [id, attempts] : retracts_) effects_.retracts.emplace_back(id, std::move(attempts));
  retracts_.clear();
  for (auto& [id, attempts] : acknowledged_)
    effects_.acknowledged.emplace_back(id, std::move(attempts));
  dispatches_.clear();
  stops_.clear();
  acknowledged_.clear();
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
  for (const auto& [id, worker] : workers_)
    REPRISE_ASSERT(worker.orphans.empty() || has_orphans_, id);
  for (const auto& [name, id] : unrecorded_) {
    REPRISE_ASSERT(workers_.contains(id), id);
    REPRISE_ASSERT(!holder_.contains(name), id);
  }
  REPRISE_ASSERT(held_.empty() || holds_until_, held_.size());
}

}  // namespace reprise::cluster
