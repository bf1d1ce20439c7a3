// The scheduler: all runs, one queue of ready tasks, and the worker's free slots. Events in,
// effects out; nothing else changes it.
//
// Dispatch follows credits. A worker is sent as many attempts as it has slots plus a prefetch that
// covers the way of a report to here and of the next attempt back: none for long tasks (order by
// rank stays possible until the last moment), many for tasks of a microsecond, which would
// otherwise spend their time waiting for messages.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "scheduler/events.hpp"
#include "scheduler/ready_queue.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

class Scheduler {
 public:
  /// @param slots  of all workers together; may change by SlotsChanged. 0: nothing is dispatched
  explicit Scheduler(std::uint32_t slots) : slots_(slots) {}

  /// Applies one event. Bounded work: proportional to what the event touches.
  [[nodiscard]] Effects handle(Event event, Time now);

  /// nullptr: no such run (any more).
  [[nodiscard]] Run* find(RunIndex run);
  /// Nothing is under way: only time, or a person, can make anything happen.
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] std::size_t ready_count() const { return ready_.size(); }
  void check_invariants() const;

 private:
  void on(Submit& event, Time now, Effects& effects);
  void on(LookedUp& event, Time now, Effects& effects);
  void on(Kept& event, Time now, Effects& effects);
  void on(Reported& event, Time now, Effects& effects);
  void on(Began& event, Time now, Effects& effects);
  void on(Adopted& event, Time now, Effects& effects);
  void on(Cancel& event, Time now, Effects& effects);
  void on(Pause& event, Time now, Effects& effects);
  void on(SlotsChanged& event, Time now, Effects& effects);
  void on(Tick& event, Time now, Effects& effects);
  void on(Forget& event, Time now, Effects& effects);

  void dispatch(Time now, Effects& effects);
  void collect(Run& run, Run::Wants& wants, Effects& effects);
  [[nodiscard]] std::uint32_t prefetch() const;
  std::uint32_t taken_by(const AttemptRef& attempt);
  void learn(const Outcome& outcome);

  /// Applies `f` to runs of events that follow each other, so that a batch of reports makes one
  /// journal batch a run.
  template <class Items, class RunOf, class F>
  void for_each_run(Items& items, RunOf run_of, F f, Effects& effects);

  std::unordered_map<RunIndex, std::unique_ptr<Run>> runs_;
  ReadyQueue ready_;
  std::uint32_t slots_;
  std::uint32_t in_flight_ = 0;  // slots taken by dispatched attempts
  // Of these, the ones that take more than one slot: as many as there were to take.
  std::map<std::pair<RunIndex, TaskId>, std::uint32_t> wide_;
  double mean_seconds_ =
      1;  // of recent attempts; starts high, so that nothing is prefetched at first
};

}  // namespace reprise::scheduler
