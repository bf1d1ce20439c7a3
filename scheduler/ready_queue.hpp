// Tasks that could run now, and which of them is next.
//
// Tasks that are alike for this purpose share a lane: one namespace, one priority, the same needs
// of a worker, the same concurrency limits. So what cannot run now is passed over as a whole, and
// its tasks are not looked at one by one.
//
// Namespaces take turns by stride scheduling (Waldspurger and Weihl, 1995): each has a pass that
// grows with the time of workers it was given, divided by its weight, and the one whose pass is
// least is next. One that had nothing to run does not save up for later. Within a namespace the
// higher priority is next, then the longest remaining way, then what became ready first.
//
// Finding the next one takes time in proportion to the lanes that wait, which are few, whatever
// the number of tasks.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/id.hpp"
#include "scheduler/need.hpp"

namespace reprise::scheduler {

/// Serial number of a run within one scheduler.
using RunIndex = Id<struct RunTag>;

struct ReadyTask {
  RunIndex run;
  TaskId task;
  bool operator==(const ReadyTask&) const = default;
};

struct Lane {
  std::string ns;  // namespace
  std::int32_t priority = 0;
  Need need;
  std::vector<std::string> limits;  // sorted

  friend bool operator<(const Lane& a, const Lane& b);
};

using LaneId = std::uint32_t;

class ReadyQueue {
 public:
  /// @param weights  of namespaces, more than 0; those that are not named have 1
  explicit ReadyQueue(std::map<std::string, double> weights = {}) : weights_(std::move(weights)) {}

  /// The lane like this one; as long as it was not closed as often as opened its number is good.
  [[nodiscard]] LaneId open(const Lane& lane);
  void close(LaneId lane);
  [[nodiscard]] const Lane& lane(LaneId id) const { return entries_[id]->lane; }

  void push(LaneId lane, float rank, ReadyTask task);
  [[nodiscard]] const ReadyTask& top(LaneId lane) const {
    return entries_[lane]->buckets.begin()->second.front().first;
  }
  void pop(LaneId lane);
  [[nodiscard]] bool is_empty(LaneId lane) const { return entries_[lane]->size == 0; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// All lanes are looked at again.
  void begin_round();
  /// The lane that the next task comes from; none: all that wait were set aside in this round.
  [[nodiscard]] std::optional<LaneId> next() const;
  void set_aside(LaneId lane);
  /// The lane's namespace is given so much of workers' time.
  void charge(LaneId lane, double cpu_seconds);

  void check_invariants() const;

 private:
  // Tasks that became ready one after the other and are numbered so, too, as the elements of a
  // mapped task are: however many they are, they take one place.
  struct Waiting {
    ReadyTask first;
    std::uint32_t count = 0;
    std::uint64_t since = 0;  // serial number of the first
  };
  struct Space;
  struct Entry {
    Lane lane;
    Space* space = nullptr;
    std::uint32_t users = 0;
    bool is_aside = false;
    std::size_t size = 0;
    std::map<float, std::deque<Waiting>, std::greater<>> buckets;  // by rank, none empty
  };
  struct Space {
    double weight = 1;
    double pass = 0;
    std::uint32_t lanes = 0;      // that are open
    std::vector<LaneId> waiting;  // with something in them
  };

  [[nodiscard]] bool continues(const Waiting& before, ReadyTask task) const;
  [[nodiscard]] bool goes_before(const Entry& a, const Entry& b) const;
  void drop(LaneId lane);

  std::map<std::string, double> weights_;
  std::map<std::string, Space, std::less<>> spaces_;
  std::map<Lane, LaneId> ids_;
  std::vector<std::unique_ptr<Entry>> entries_;  // null: free
  std::vector<LaneId> free_;
  std::vector<LaneId> aside_;
  std::size_t size_ = 0;
  std::uint64_t last_ = 0;
  double turn_ = 0;  // pass of the namespace that was given something last
};

}  // namespace reprise::scheduler
