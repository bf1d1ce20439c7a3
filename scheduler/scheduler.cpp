#include "scheduler/scheduler.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::scheduler {

namespace {

// After a worker rejected an attempt it is not asked again so soon; twice as long each time.
constexpr Duration first_cooling = std::chrono::milliseconds{500};
constexpr Duration longest_cooling = std::chrono::minutes{1};

}  // namespace

Scheduler::Scheduler(std::uint32_t slots) : Scheduler(std::vector<WorkerOffer>{}, Policy{}) {
  WorkerOffer offer;
  offer.slots = slots;
  offer.capacity.cpu_milli =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(UINT32_MAX, std::uint64_t{slots} * 1000));
  offer.is_local = offer.is_boundless = true;
  placement_.set({std::move(offer)});
}

Scheduler::Scheduler(std::vector<WorkerOffer> workers, Policy policy)
    : policy_(std::move(policy)), ready_(policy_.weights), limits_(policy_.limits) {
  placement_.set(std::move(workers));
}

Effects Scheduler::handle(Event event, Time now) {
  Effects effects;
  std::visit([&](auto& e) { on(e, now, effects); }, event);
  steer_children(now, effects);
  dispatch(now, effects);
  retract(effects);
  for (const auto& [index, run] : runs_)
    if (const auto at = run->next_timer(); at && !run->ended())
      effects.wake_at = std::min(effects.wake_at.value_or(*at), *at);
  return effects;
}

Run* Scheduler::find(RunIndex run) {
  const auto found = runs_.find(run);
  return found == runs_.end() ? nullptr : found->second.get();
}

bool Scheduler::is_idle() const {
  return std::all_of(runs_.begin(), runs_.end(),
                     [](const auto& run) { return !run.second->is_busy(); });
}

void Scheduler::collect(Run& run, Run::Wants& wants, Effects& effects) {
  std::move(wants.keeps.begin(), wants.keeps.end(), std::back_inserter(effects.keeps));
  std::move(wants.look_ups.begin(), wants.look_ups.end(), std::back_inserter(effects.look_ups));
  effects.stops.insert(effects.stops.end(), wants.stops.begin(), wants.stops.end());
  std::move(wants.children.begin(), wants.children.end(), std::back_inserter(child_requests_));
  if (wants.batch.count() > 0) {
    wants.batch.run = run.context().run;
    // A run's end is told once: with the batch that holds it.
    if (wants.batch.change && run.ended() && wants.batch.change->state == run.ended()->state)
      effects.ended.push_back(*run.ended());
    effects.batches.push_back(std::move(wants.batch));
  }
  wants = {};
}

template <class Items, class RunOf, class F>
void Scheduler::for_each_run(Items& items, RunOf run_of, F f, Effects& effects) {
  Run* run = nullptr;
  RunIndex current;
  Run::Wants wants;
  for (auto& item : items) {
    if (const RunIndex index = run_of(item); run == nullptr || index != current) {
      if (run != nullptr) collect(*run, wants, effects);
      current = index;
      run = find(index);
    }
    if (run != nullptr) f(*run, item, wants);
  }
  if (run != nullptr) collect(*run, wants, effects);
}

void Scheduler::on(Submit& event, Time now, Effects& effects) {
  auto [place, fresh] =
      runs_.emplace(event.run, std::make_unique<Run>(event.run, event.context, policy_.lost_limit));
  REPRISE_ASSERT(fresh, event.run.value);
  Run& run = *place->second;
  Run::Wants wants;
  wants.batch.change = journal::RunChange{RunState::running, now, {}};
  run.start(event, now, ready_, wants);
  collect(run, wants, effects);
  if (event.nested_in) child_begins(event);
}

void Scheduler::on(LookedUp& event, Time now, Effects& effects) {
  for_each_run(
      event.answers, [](const Answer& a) { return a.attempt.run; },
      [&](Run& run, Answer& answer, Run::Wants& wants) {
        run.looked_up(std::move(answer), now, ready_, wants);
      },
      effects);
  for_each_run(
      event.waits, [](const Waits& w) { return w.attempt.run; },
      [&](Run& run, const Waits& news, Run::Wants& wants) { run.waits(news, now, ready_, wants); },
      effects);
}

void Scheduler::on(Kept& event, Time now, Effects& effects) {
  Run* run = find(event.attempt.run);
  if (run == nullptr) return;
  Run::Wants wants;
  run->kept(event, now, ready_, wants);
  collect(*run, wants, effects);
}

void Scheduler::on(Reported& event, Time now, Effects& effects) {
  for_each_run(
      event.reports, [](const Report& r) { return r.attempt.run; },
      [&](Run& run, Report& report, Run::Wants& wants) {
        // Late news about an attempt that another one has replaced frees nothing.
        if (run.is_out(report.attempt)) {
          const LaneId lane = run.lane_of(report.attempt);
          if (ready_.lane(lane).need.nesting > 0) {
            child_over(report.attempt);
            return run.reported(std::move(report), now, ready_, wants);
          }
          const WorkerId worker = let_go(report.attempt, lane);
          placement_.has_bytes(worker, report.outcome.value);
          if (report.outcome.failure != FailureClass::worker_lost) {
            rejections_.erase({report.attempt.run, report.attempt.task});
            if (!state_of(lane).cooling.empty()) state_of(lane).cooling.erase(worker);
          }
          learn(lane, report.outcome);
        }
        run.reported(std::move(report), now, ready_, wants);
      },
      effects);
}

void Scheduler::on(Began& event, Time, Effects& effects) {
  for_each_run(
      event.starts, [](const Began::Start& s) { return s.attempt.run; },
      [&](Run& run, const Began::Start& start, Run::Wants& wants) { run.began(start, wants); },
      effects);
}

void Scheduler::on(Adopted& event, Time, Effects&) {
  for (const Adopted::One& each : event.attempts) {
    Run* run = find(each.attempt.run);
    if (run == nullptr || !run->is_out(each.attempt)) continue;
    if (each.number != each.attempt.number) run->adopted(each);
    const auto placed = placed_.find({each.attempt.run, each.attempt.task});
    if (placed == placed_.end()) continue;
    // It counts where it runs, and goes by its number there.
    AttemptRef& known = placed->second.attempt;
    known.number = each.number;
    std::map<std::uint64_t, AttemptRef>& sent = at_worker_.at(placed->second.worker);
    sent.at(placed->second.serial) = known;
    if (each.worker == 0 || each.worker == placed->second.worker ||
        !placement_.adopt(each.worker, placed->second.worker,
                          ready_.lane(run->lane_of(known)).need))
      continue;
    sent.erase(placed->second.serial);
    if (sent.empty()) at_worker_.erase(placed->second.worker);
    placed->second.worker = each.worker;
    at_worker_[each.worker].emplace(placed->second.serial, known);
  }
}

void Scheduler::on(Cancel& event, Time now, Effects& effects) {
  Run* run = find(event.run);
  if (run == nullptr) return;
  Run::Wants wants;
  run->cancel(event, now, ready_, wants);
  collect(*run, wants, effects);
}

void Scheduler::on(Pause& event, Time now, Effects& effects) {
  Run* run = find(event.run);
  if (run == nullptr) return;
  Run::Wants wants;
  run->pause(event, now, ready_, wants);
  collect(*run, wants, effects);
}

void Scheduler::on(Returned& event, Time now, Effects& effects) {
  for_each_run(
      event.attempts, [](const Returned::Attempt& a) { return a.attempt.run; },
      [&](Run& run, Returned::Attempt& back, Run::Wants& wants) {
        const Key key{back.attempt.run, back.attempt.task};
        const auto known = placed_.find(key);
        if (known == placed_.end() || known->second.attempt.number != back.attempt.number) return;
        const LaneId lane = run.lane_of(back.attempt);
        const WorkerId worker = let_go(back.attempt, lane);
        retracting_.erase(worker);
        if (back.rejected || !placement_.takes_work(worker)) {
          LaneState::Cooling& cooling = state_of(lane).cooling[worker];
          cooling.pause = std::clamp(cooling.pause * 2, first_cooling, longest_cooling);
          cooling.until = now + cooling.pause;
        }
        if (!back.rejected) return run.returned(back.attempt, now, ready_, wants);
        Rejections& rejections = rejections_[key];
        rejections.reason = back.reason;
        if (++rejections.count < policy_.reject_limit)
          return run.returned(back.attempt, now, ready_, wants);
        Report report{back.attempt, {}};
        report.outcome.state = TaskState::failed;
        report.outcome.failure = FailureClass::cannot_start;
        report.outcome.message = fmt::format("workers rejected it {} times; the last reason: {}",
                                             rejections.count, rejections.reason);
        report.outcome.started = now;
        rejections_.erase(key);
        run.give_up_key(back.attempt, wants);
        run.reported(std::move(report), now, ready_, wants);
      },
      effects);
}

void Scheduler::on(WorkersChanged& event, Time, Effects&) {
  for (WorkerOffer& each : event.workers) placement_.put(std::move(each));
  for (const WorkerId gone : event.gone) placement_.remove(gone);
}

void Scheduler::on(Tick&, Time now, Effects& effects) {
  for (auto& [index, run] : runs_) {
    if (!run->next_timer() || *run->next_timer() > now || run->ended()) continue;
    Run::Wants wants;
    run->tick(now, ready_, wants);
    collect(*run, wants, effects);
  }
}

void Scheduler::on(Forget& event, Time, Effects&) {
  const auto found = runs_.find(event.run);
  if (found == runs_.end()) return;
  found->second->leave(ready_);
  runs_.erase(found);
}

Scheduler::LaneState& Scheduler::state_of(LaneId lane) {
  if (lane >= lanes_.size()) lanes_.resize(lane + 1);
  return lanes_[lane];
}

void Scheduler::learn(LaneId lane, const Outcome& outcome) {
  if (!outcome.executed) return;
  // Quick to believe that tasks are long (queueing those at workers would spoil their order), slow
  // to believe the opposite.
  double& mean = state_of(lane).mean_seconds;
  const double took = seconds(outcome.duration);
  const double weight = took > mean ? 0.5 : 0.1;
  mean += weight * (took - mean);
}

WorkerId Scheduler::let_go(const AttemptRef& attempt, LaneId lane) {
  WorkerId worker = 0;
  if (placement_.is_cluster()) {
    const auto found = placed_.find({attempt.run, attempt.task});
    if (found == placed_.end()) return worker;  // not from here
    worker = found->second.worker;
    const auto own = at_worker_.find(worker);
    own->second.erase(found->second.serial);
    if (own->second.empty()) {
      at_worker_.erase(own);
      retracting_.erase(worker);
    }
    placed_.erase(found);
  }
  placement_.release(worker, ready_.lane(lane).need);
  limits_.release(ready_.lane(lane).limits);
  return worker;
}

// Of tasks that were cancelled or paused while they waited.
void Scheduler::drop_remains(LaneId lane) {
  while (!ready_.is_empty(lane)) {
    const ReadyTask& next = ready_.top(lane);
    if (const Run* run = find(next.run); run != nullptr && run->wants_slot(next.task, lane)) return;
    ready_.pop(lane);
  }
}

// Those who do not get what rejected them a moment ago.
std::set<WorkerId> Scheduler::cooling(LaneState& state, Time now, Effects& effects) const {
  std::set<WorkerId> avoid;
  for (const auto& [worker, cooling] : state.cooling) {
    if (cooling.until <= now) continue;
    avoid.insert(worker);
    effects.wake_at = std::min(effects.wake_at.value_or(cooling.until), cooling.until);
  }
  return avoid;
}

void Scheduler::dispatch(Time now, Effects& effects) {
  ready_.begin_round();
  placement_.begin_round();
  while (const auto lane = ready_.next()) {
    drop_remains(*lane);
    if (ready_.is_empty(*lane)) continue;
    const Need& need = ready_.lane(*lane).need;
    if (need.nesting > 0) {
      nest(*lane, now, effects);
      continue;
    }
    if (const std::string* limit = limits_.full(ready_.lane(*lane).limits)) {
      block(*lane,
            Obstacle{WaitingReason::concurrency_limit,
                     fmt::format("the limit \"{}\" allows {} at once", escape_for_terminal(*limit),
                                 limits_.size_of(*limit))},
            now, effects);
      continue;
    }
    LaneState& state = state_of(*lane);
    const std::set<WorkerId> avoid = cooling(state, now, effects);
    auto worker = placement_.choose(need, state.mean_seconds, avoid);
    if (const ReadyTask& next = ready_.top(*lane);
        !worker && find(next.run)->has_begun_before(next.task))
      worker = placement_.keeper(avoid);
    if (!worker) {
      if (const auto why = placement_.hopeless(need)) {
        const ReadyTask next = ready_.top(*lane);
        ready_.pop(*lane);
        Run& run = *find(next.run);
        Run::Wants wants;
        run.cannot_run(next.task, *why, now, ready_, wants);
        collect(run, wants, effects);
        continue;
      }
      placement_.reserve(need);
      block(*lane, std::nullopt, now, effects);
      continue;
    }
    send(*lane, *worker, now, effects);
  }
}

void Scheduler::send(LaneId lane, WorkerId worker, Time now, Effects& effects) {
  const ReadyTask next = ready_.top(lane);
  ready_.pop(lane);
  Run& run = *find(next.run);
  Run::Wants wants;
  std::optional<Attempt> attempt = run.dispatch(next.task, now, ready_, wants);
  if (wants.batch.count() > 0 || !wants.look_ups.empty() || !wants.keeps.empty() ||
      !wants.stops.empty() || !wants.children.empty())
    collect(run, wants, effects);
  if (!attempt) return;
  LaneState& state = state_of(lane);
  state.blocked_since.reset();
  state.has_told = false;
  const Need& need = ready_.lane(lane).need;
  if (placement_.is_cluster()) {
    // Some of those with room may have its inputs.
    if (const auto better =
            placement_.choose(need, state.mean_seconds, cooling(state, now, effects), &*attempt))
      worker = *better;
    const Placed placed{worker, ++last_serial_, {next.run, next.task, attempt->number}};
    at_worker_[worker].emplace(placed.serial, placed.attempt);
    const bool is_new = placed_.emplace(Key{next.run, next.task}, placed).second;
    REPRISE_ASSERT(is_new, next.run.value, next.task.value);
    attempt->worker = worker;
    for (const Argument& argument : attempt->arguments)
      placement_.has_bytes(worker, argument.value);
  }
  placement_.take(worker, need);
  limits_.take(ready_.lane(lane).limits);
  ready_.charge(lane, state.mean_seconds * need.resources.cpu_milli / 1000);
  effects.dispatches.push_back(std::move(*attempt));
}

// The lane's next task finds no place now. That is told once it has been so for a while, unless all
// it needs is a slot; and again when somebody went before it meanwhile.
void Scheduler::block(LaneId lane, std::optional<Obstacle> obstacle, Time now, Effects& effects) {
  ready_.set_aside(lane);
  LaneState& state = state_of(lane);
  if (!state.blocked_since) state.blocked_since = now;
  if (state.has_told) return;
  const Need& need = ready_.lane(lane).need;
  if (!obstacle && placement_.reason(need) == WaitingReason::slots && placement_.slots() > 0)
    return;
  const Time due = *state.blocked_since + policy_.tell_after;
  if (now < due) {
    effects.wake_at = std::min(effects.wake_at.value_or(due), due);
    return;
  }
  state.has_told = true;
  const ReadyTask next = ready_.top(lane);
  Run& run = *find(next.run);
  Run::Wants wants;
  run.tell_waiting(next.task, obstacle ? *obstacle : placement_.obstacle(need), now, wants);
  collect(run, wants, effects);
}

// A worker has nothing to do, nothing waits for it, and another one has more than it can begin:
// half of what that one was sent last, and has in excess, is asked back.
void Scheduler::retract(Effects& effects) {
  if (!placement_.is_cluster() || at_worker_.empty() || !ready_.empty()) return;
  const std::vector<Placement::Load> loads = placement_.loads();
  const bool somebody_is_idle = std::ranges::any_of(loads, [](const Placement::Load& load) {
    return load.takes_work && load.slots > 0 && load.in_hand == 0;
  });
  if (!somebody_is_idle) return;
  for (const Placement::Load& load : loads) {
    if (load.in_hand <= load.slots + 1 || retracting_.contains(load.id)) continue;
    retracting_.insert(load.id);
    std::size_t count = (load.in_hand - load.slots + 1) / 2;
    const auto& own = at_worker_.at(load.id);
    for (auto it = own.rbegin(); it != own.rend() && count > 0; ++it, --count)
      effects.retracts.push_back(it->second);
  }
}

void Scheduler::check_invariants() const {
  for (const auto& [index, run] : runs_) run->check_invariants();
  ready_.check_invariants();
  placement_.check_invariants();
  limits_.check_invariants();
  std::size_t nested = 0;
  for (const auto& [depth, count] : children_at_) nested += count;
  REPRISE_ASSERT(nested == children_.size(), nested, children_.size());
  REPRISE_ASSERT(child_requests_.empty(), child_requests_.size());
  std::map<WorkerId, std::size_t> held;
  for (const auto& [key, placed] : placed_) {
    REPRISE_ASSERT(at_worker_.at(placed.worker).at(placed.serial) == placed.attempt, placed.serial);
    ++held[placed.worker];
  }
  if (!placement_.is_cluster()) return;
  for (const Placement::Load& load : placement_.loads())
    REPRISE_ASSERT(load.in_hand == held[load.id], load.id, load.in_hand);
}

}  // namespace reprise::scheduler
