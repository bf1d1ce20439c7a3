#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <cmath>

#include "core/assert.hpp"

namespace reprise::scheduler {

namespace {

// Time from the end of a body to the arrival of its successor on the same slot, measured between
// actors of one process; batches hide it only when it is covered by prefetched work.
constexpr double turnaround_seconds = 150e-6;
constexpr std::uint32_t prefetch_max_per_slot = 512;

}  // namespace

Effects Scheduler::handle(Event event, Time now) {
  Effects effects;
  std::visit([&](auto& e) { on(e, now, effects); }, event);
  dispatch(now, effects);
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
  auto [place, fresh] = runs_.emplace(event.run, std::make_unique<Run>(event.run, event.context));
  REPRISE_ASSERT(fresh, event.run.value);
  Run& run = *place->second;
  Run::Wants wants;
  wants.batch.change = journal::RunChange{RunState::running, now, {}};
  run.start(event, now, ready_, wants);
  collect(run, wants, effects);
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
        in_flight_ -= std::min(in_flight_, taken_by(report.attempt));
        learn(report.outcome);
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

void Scheduler::on(SlotsChanged& event, Time, Effects&) {
  slots_ = event.slots;
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
  runs_.erase(event.run);
}

void Scheduler::learn(const Outcome& outcome) {
  if (!outcome.executed) return;
  // Quick to believe that tasks are long (prefetching those would spoil their order), slow to
  // believe the opposite.
  const double took = seconds(outcome.duration);
  const double weight = took > mean_seconds_ ? 0.5 : 0.1;
  mean_seconds_ += weight * (took - mean_seconds_);
}

std::uint32_t Scheduler::prefetch() const {
  if (mean_seconds_ > 50 * turnaround_seconds) return 0;
  const double tasks = std::ceil(1.5 * turnaround_seconds / std::max(mean_seconds_, 1e-9));
  return static_cast<std::uint32_t>(std::min<double>(tasks, prefetch_max_per_slot));
}

// How many slots a dispatched attempt was counted with; from then on with none.
std::uint32_t Scheduler::taken_by(const AttemptRef& attempt) {
  const auto wide = wide_.find({attempt.run, attempt.task});
  if (wide == wide_.end()) return 1;
  const std::uint32_t slots = wide->second;
  wide_.erase(wide);
  return slots;
}

void Scheduler::dispatch(Time now, Effects& effects) {
  if (slots_ == 0) return;  // no worker is there
  const std::uint32_t ahead = prefetch() * slots_;
  Run::Wants wants;
  Run* last = nullptr;
  while (!ready_.empty()) {
    const ReadyTask next = ready_.top();
    Run* run = find(next.run);
    if (run == nullptr) {
      ready_.pop();
      continue;
    }
    // A task wider than the worker takes all of it. Wide tasks are not prefetched: a slot they need
    // may be far away.
    const std::uint32_t wide = std::min(run->slots_of(next.task), slots_);
    if (in_flight_ + wide > slots_ + (wide == 1 ? ahead : 0)) break;
    ready_.pop();
    if (last != nullptr && last != run) collect(*last, wants, effects);
    last = run;
    if (auto attempt = run->dispatch(next.task, now, ready_, wants)) {
      in_flight_ += wide;
      if (wide > 1) wide_.insert_or_assign({next.run, next.task}, wide);
      effects.dispatches.push_back(std::move(*attempt));
    }
  }
  if (last != nullptr) collect(*last, wants, effects);
}

void Scheduler::check_invariants() const {
  for (const auto& [index, run] : runs_) run->check_invariants();
}

}  // namespace reprise::scheduler
