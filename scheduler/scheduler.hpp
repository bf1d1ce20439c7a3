// The scheduler: all runs, one queue of ready tasks, and what workers have to give. Events in,
// effects out; nothing else changes it.
//
// Which task is next the ReadyQueue says, who runs it the Placement, and whether there may be one
// more of its sort the Limits. Where a lane's next task cannot go anywhere now, the whole lane
// waits for the next event; the others go on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/numbers_hash.hpp"
#include "scheduler/events.hpp"
#include "scheduler/limits.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/policy.hpp"
#include "scheduler/ready_queue.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

class Scheduler {
 public:
  /// One worker that has of everything but slots what is asked for. 0: nothing is dispatched
  explicit Scheduler(std::uint32_t slots);
  /// @param workers  at the beginning; WorkersChanged brings others
  Scheduler(std::vector<WorkerOffer> workers, Policy policy);

  /// Applies one event. Bounded work: proportional to what the event touches.
  [[nodiscard]] Effects handle(Event event, Time now);

  /// nullptr: no such run (any more).
  [[nodiscard]] Run* find(RunIndex run);
  /// Nothing is under way: only time, or a person, can make anything happen.
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] std::size_t ready_count() const { return ready_.size(); }
  [[nodiscard]] const Placement& placement() const { return placement_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }
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
  void on(Returned& event, Time now, Effects& effects);
  void on(WorkersChanged& event, Time now, Effects& effects);
  void on(Tick& event, Time now, Effects& effects);
  void on(Forget& event, Time now, Effects& effects);

  using Key = std::pair<RunIndex, TaskId>;  // one attempt of a task is out at a time
  // What is known of a lane besides what waits in it.
  struct LaneState {
    // Of its recent attempts; starts high, so that nothing is queued at workers at first.
    double mean_seconds = 1;
    std::optional<Time> blocked_since;  // its next task found no place
    bool has_told = false;              // why, or that it is slots
    struct Cooling {
      Time until;
      Duration pause{0};
    };
    std::map<WorkerId, Cooling> cooling;  // who rejected the last attempt
  };
  struct Placed {
    WorkerId worker = 0;
    std::uint64_t serial = 0;
    AttemptRef attempt;
  };
  struct Rejections {
    std::uint32_t count = 0;
    std::string reason;
  };

  // What was begun for a task that runs a flow.
  struct Child {
    std::uint32_t number = 0;  // of the attempt
    std::uint32_t depth = 0;
    std::optional<RunIndex> run;         // none: it has not begun yet
    std::vector<ChildRequest> requests;  // that wait for it to begin
  };

  void dispatch(Time now, Effects& effects);
  void nest(LaneId lane, Time now, Effects& effects);
  void child_over(const AttemptRef& attempt);
  void child_begins(const Submit& event);
  void steer_children(Time now, Effects& effects);
  [[nodiscard]] Run* find_child(const ChildRequest& request);
  [[nodiscard]] RunId fresh_child(const Run& parent, TaskId task, Time now);
  [[nodiscard]] std::uint32_t nested_at(std::uint32_t depth) const;
  void send(LaneId lane, WorkerId worker, Time now, Effects& effects);
  void drop_remains(LaneId lane);
  void block(LaneId lane, std::optional<Obstacle> obstacle, Time now, Effects& effects);
  void retract(Effects& effects);
  [[nodiscard]] LaneState& state_of(LaneId lane);
  [[nodiscard]] std::set<WorkerId> cooling(LaneState& state, Time now, Effects& effects) const;
  void collect(Run& run, Run::Wants& wants, Effects& effects);
  /// The attempt is out no more. @return who had it
  WorkerId let_go(const AttemptRef& attempt, LaneId lane);
  void learn(LaneId lane, const Outcome& outcome);

  /// Applies `f` to runs of events that follow each other, so that a batch of reports makes one
  /// journal batch a run.
  template <class Items, class RunOf, class F>
  void for_each_run(Items& items, RunOf run_of, F f, Effects& effects);

  std::unordered_map<RunIndex, std::unique_ptr<Run>> runs_;
  Policy policy_;
  ReadyQueue ready_;
  Placement placement_;
  Limits limits_;
  std::vector<LaneState> lanes_;  // by number
  // Of attempts at workers elsewhere; of the one in this process nothing is to be known.
  std::unordered_map<Key, Placed, NumbersHash> placed_;
  std::map<WorkerId, std::map<std::uint64_t, AttemptRef>> at_worker_;  // in the order sent
  std::map<Key, Rejections> rejections_;
  std::set<WorkerId> retracting_;  // were asked for something back
  std::map<Key, Child> children_;
  std::map<std::uint32_t, std::uint32_t> children_at_;  // how many of them, by depth
  std::vector<ChildRequest> child_requests_;            // to be carried out with this event
  Time last_child_{};                                   // time of the last id given to one
  std::uint64_t last_serial_ = 0;
};

}  // namespace reprise::scheduler
