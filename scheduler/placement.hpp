// Who runs what: the workers, what each has and has given away, and the choice of one for a task.
//
// Workers are vectors of resources. A task goes to a worker that has room for all it asks for, so
// what is given away never exceeds what there is, and a thing with an index has one owner. Among
// those with room the best is, in this order:
//   1. who could begin at once, before one where it would queue;
//   2. who has least of what the task does not need: plain tasks leave the GPUs to others;
//   3. who lacks fewest of its inputs' bytes;
//   4. for tasks that need more than a slot, who has least left afterwards (best fit); for plain
//      ones, who has most room.
//
// Queueing (prefetch) is for plain tasks alone, at workers that have nothing but plain ones: so a
// queued task holds nothing that another one waits for. How many are queued depends on how long
// they take: enough to cover the way of a report to here and of the next attempt back, none where
// that is little beside the task itself, since order by rank stays possible until the last moment.
//
// A task that needs more than a slot may be passed over for ever by small ones that fit into what
// becomes free. So the first such task that does not fit reserves, for the rest of the round, what
// it lacks at the worker that is nearest to having it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "core/digest.hpp"
#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "flow/waiting_reason.hpp"
#include "scheduler/need.hpp"

namespace reprise::scheduler {

using WorkerId = std::uint64_t;

/// A worker as the scheduler counts on it.
struct WorkerOffer {
  WorkerId id = 0;
  std::string name;              // shown to people
  std::uint32_t slots = 1;       // attempts at once
  Resources capacity{0, 0, {}};  // all it has
  std::map<std::string, std::string> labels;
  std::vector<std::string> functions;  // "name@version" that it can run; sorted
  bool takes_work = true;              // gets new work; otherwise only keeps what it has
  // Attempts of a server before that it has and would hand over, where it takes no new work.
  std::uint32_t kept = 0;
  Duration round_trip{0};  // to it and back
  // The only one there will ever be, in this process: has every function; a task that wants more
  // processors than it has takes them all. Its memory was not declared, but found out: the same.
  bool is_local = false;
  bool memory_is_a_guess = false;
  bool is_boundless = false;  // has of everything but slots and processors whatever is asked for

  bool operator==(const WorkerOffer&) const = default;
};

/// Why a task waits, or cannot be run at all.
struct Obstacle {
  WaitingReason reason = WaitingReason::slots;
  std::string text;
  bool operator==(const Obstacle&) const = default;
};

class Placement {
 public:
  /// These are all workers from now on.
  void set(std::vector<WorkerOffer> offers);
  /// A new worker, or a known one that offers something else now.
  void put(WorkerOffer offer);
  /// It keeps what it was given until that is released, and gets nothing.
  void remove(WorkerId worker);
  [[nodiscard]] std::uint64_t slots() const { return slots_; }  // of those that take work

  /// Reservations are forgotten.
  void begin_round() { reserved_.clear(); }
  /// @param mean_seconds  that such a task takes
  /// @param avoid         workers that shall not have it
  /// @param attempt       whose inputs are looked at; may be null
  [[nodiscard]] std::optional<WorkerId> choose(const Need& need, double mean_seconds,
                                               const std::set<WorkerId>& avoid = {},
                                               const Attempt* attempt = nullptr) const;
  /// One that takes nothing new, and may have what an earlier process began.
  [[nodiscard]] std::optional<WorkerId> keeper(const std::set<WorkerId>& avoid) const;
  [[nodiscard]] bool takes_work(WorkerId worker) const;
  /// For the first in a round that finds no room.
  void reserve(const Need& need);

  void take(WorkerId worker, const Need& need);
  void release(WorkerId worker, const Need& need);
  /// What `from` was given runs at `to`, whether there is room or not. False: `to` is not known.
  [[nodiscard]] bool adopt(WorkerId to, WorkerId from, const Need& need);
  /// It has these bytes now.
  void has_bytes(WorkerId worker, const Payload& value);

  /// Why nobody is chosen; `slots` where only those are lacking.
  [[nodiscard]] WaitingReason reason(const Need& need) const;
  [[nodiscard]] Obstacle obstacle(const Need& need) const;
  /// The one worker that there will ever be can never run it; says why.
  [[nodiscard]] std::optional<std::string> hopeless(const Need& need) const;
  /// Several workers are known, or one that is elsewhere.
  [[nodiscard]] bool is_cluster() const { return !is_local_; }

  struct Load {
    WorkerId id = 0;
    std::uint32_t slots = 0;
    std::uint32_t in_hand = 0;
    bool takes_work = false;
  };
  [[nodiscard]] std::vector<Load> loads() const;
  /// What was given away at this worker, all told.
  [[nodiscard]] Resources taken_at(WorkerId worker) const;
  void check_invariants() const;

 private:
  // Sorts as workers are preferred for plain tasks, all else being equal.
  struct Place {
    double room = 0;                // taken of each slot
    std::uint64_t fewer_slots = 0;  // sorts the larger one first
    WorkerId id = 0;
    auto operator<=>(const Place&) const = default;
  };
  struct Worker {
    WorkerOffer offer;
    bool is_gone = false;
    std::optional<Place> place;  // in by_room_
    std::uint32_t in_hand = 0;
    std::uint32_t special = 0;  // of these, not plain
    bool has_adopted = false;   // something in hand that nobody asked whether there is room for
    std::uint64_t cpu_milli = 0;
    std::uint64_t memory_bytes = 0;
    std::map<std::string, std::uint64_t> custom;
    // The newest values it has, and how large they are.
    std::unordered_map<Digest, std::uint64_t> values;
    std::deque<Digest> order;
  };
  // What a reservation holds back at a worker.
  struct Lacking {
    bool slots = false;  // or processors
    bool memory = false;
    std::vector<std::string> custom;
    [[nodiscard]] bool nothing() const { return !slots && !memory && custom.empty(); }
  };

  [[nodiscard]] static std::uint64_t cpus_for(const Worker& worker, const Need& need);
  [[nodiscard]] static std::uint64_t memory_for(const Worker& worker, const Need& need);
  [[nodiscard]] static bool may_run(const Worker& worker, const Need& need);  // labels, functions
  [[nodiscard]] static bool could_hold(const Worker& worker, const Need& need);  // when empty
  [[nodiscard]] static std::tuple<std::size_t, std::uint64_t, double, std::uint64_t> score_of(
      const Worker& worker, const Need& need, const Attempt* attempt);
  [[nodiscard]] static Lacking lacking(const Worker& worker, const Need& need);
  [[nodiscard]] static bool fits_ahead(const Worker& worker, const Need& need, double mean_seconds);
  [[nodiscard]] bool is_held_back(const Worker& worker, const Need& need) const;
  [[nodiscard]] const Worker* nearest(const Need& need) const;
  [[nodiscard]] static std::uint32_t slots_of(const Worker& worker);  // for new work
  [[nodiscard]] static std::optional<Place> place_of(WorkerId id, const Worker& worker);
  void keep_place(WorkerId id, Worker& worker);

  std::map<WorkerId, Worker> workers_;
  std::set<Place> by_room_;  // those that take work
  Duration longest_round_trip_{0};
  std::map<WorkerId, Lacking> reserved_;
  std::uint64_t slots_ = 0;
  bool is_local_ = false;
};

}  // namespace reprise::scheduler
