#include "scheduler/ready_queue.hpp"

#include <algorithm>
#include <tuple>

#include "core/assert.hpp"

namespace reprise::scheduler {

namespace {

// Lanes without users that are kept because the next run is likely to want them.
constexpr std::size_t idle_lanes_kept = 1024;

// A namespace that could be given nothing for a while (its limits were full) is behind by no more
// than this when it can, in seconds of a processor.
constexpr double lag_max = 10;

// Every task costs something, so that tasks of no time take turns, too.
constexpr double least_charge = 1e-6;

}  // namespace

bool operator<(const Lane& a, const Lane& b) {
  return std::tie(a.ns, a.priority, a.limits, a.need) <
         std::tie(b.ns, b.priority, b.limits, b.need);
}

LaneId ReadyQueue::open(const Lane& lane) {
  const auto [place, is_new] = ids_.try_emplace(lane, 0);
  if (is_new) {
    if (free_.empty()) {
      free_.push_back(static_cast<LaneId>(entries_.size()));
      entries_.emplace_back();
    }
    place->second = free_.back();
    free_.pop_back();
    auto entry = std::make_unique<Entry>();
    entry->lane = lane;
    const auto [space, is_first] = spaces_.try_emplace(lane.ns);
    if (const auto weight = weights_.find(lane.ns); is_first && weight != weights_.end())
      space->second.weight = weight->second;
    entry->space = &space->second;
    ++entry->space->lanes;
    entries_[place->second] = std::move(entry);
  }
  ++entries_[place->second]->users;
  return place->second;
}

void ReadyQueue::close(LaneId id) {
  Entry& entry = *entries_[id];
  REPRISE_ASSERT(entry.users > 0, id);
  if (--entry.users == 0 && entry.size == 0 && ids_.size() > idle_lanes_kept) drop(id);
}

void ReadyQueue::drop(LaneId id) {
  const Entry& entry = *entries_[id];
  if (--entry.space->lanes == 0) spaces_.erase(entry.lane.ns);
  std::erase(aside_, id);
  ids_.erase(entry.lane);
  entries_[id].reset();
  free_.push_back(id);
}

bool ReadyQueue::continues(const Waiting& before, ReadyTask task) const {
  return before.first.run == task.run &&
         before.first.task.value + before.count == task.task.value &&
         before.since + before.count == last_;
}

void ReadyQueue::push(LaneId id, float rank, ReadyTask task) {
  Entry& entry = *entries_[id];
  std::deque<Waiting>& bucket = entry.buckets[rank];
  ++last_;
  if (!bucket.empty() && continues(bucket.back(), task))
    ++bucket.back().count;
  else
    bucket.push_back({task, 1, last_});
  ++size_;
  if (++entry.size > 1) return;
  Space& space = *entry.space;
  if (space.waiting.empty()) space.pass = std::max(space.pass, turn_);
  space.waiting.push_back(id);
}

void ReadyQueue::pop(LaneId id) {
  Entry& entry = *entries_[id];
  const auto first = entry.buckets.begin();
  Waiting& next = first->second.front();
  if (--next.count == 0) {
    first->second.pop_front();
  } else {
    ++next.first.task.value;
    ++next.since;
  }
  // Large flows have few ranks that many tasks share, or many ranks with one task each; an empty
  // bucket goes at once so that top() stays constant-time.
  if (first->second.empty()) entry.buckets.erase(first);
  --size_;
  if (--entry.size > 0) return;
  std::erase(entry.space->waiting, id);
  if (entry.users == 0 && ids_.size() > idle_lanes_kept) drop(id);
}

void ReadyQueue::begin_round() {
  for (const LaneId id : aside_)
    if (entries_[id] != nullptr) entries_[id]->is_aside = false;
  aside_.clear();
}

void ReadyQueue::set_aside(LaneId id) {
  entries_[id]->is_aside = true;
  aside_.push_back(id);
}

bool ReadyQueue::goes_before(const Entry& a, const Entry& b) const {
  if (a.lane.priority != b.lane.priority) return a.lane.priority > b.lane.priority;
  const auto& [rank_a, bucket_a] = *a.buckets.begin();
  const auto& [rank_b, bucket_b] = *b.buckets.begin();
  if (rank_a != rank_b) return rank_a > rank_b;
  return bucket_a.front().since < bucket_b.front().since;
}

std::optional<LaneId> ReadyQueue::next() const {
  std::optional<LaneId> best;
  const Space* turn = nullptr;
  for (const auto& [name, space] : spaces_) {
    if (turn != nullptr && space.pass >= turn->pass) continue;
    std::optional<LaneId> own;
    for (const LaneId id : space.waiting)
      if (!entries_[id]->is_aside && (!own || goes_before(*entries_[id], *entries_[*own])))
        own = id;
    if (!own) continue;
    best = own;
    turn = &space;
  }
  return best;
}

void ReadyQueue::charge(LaneId id, double cpu_seconds) {
  Space& space = *entries_[id]->space;
  space.pass = std::max(space.pass, turn_ - lag_max / space.weight);
  turn_ = std::max(turn_, space.pass);
  space.pass += std::max(cpu_seconds, least_charge) / space.weight;
}

void ReadyQueue::check_invariants() const {
  std::size_t size = 0;
  for (LaneId id = 0; id < entries_.size(); ++id) {
    if (entries_[id] == nullptr) continue;
    const Entry& entry = *entries_[id];
    std::size_t own = 0;
    for (const auto& [rank, bucket] : entry.buckets) {
      REPRISE_ASSERT(!bucket.empty(), id, rank);
      for (const Waiting& waiting : bucket) {
        REPRISE_ASSERT(waiting.count > 0, id, rank);
        own += waiting.count;
      }
    }
    REPRISE_ASSERT(own == entry.size, id, own, entry.size);
    REPRISE_ASSERT(ids_.at(entry.lane) == id, id);
    const auto& waiting = entry.space->waiting;
    REPRISE_ASSERT(std::ranges::count(waiting, id) == (own > 0 ? 1 : 0), id);
    size += own;
  }
  REPRISE_ASSERT(size == size_, size, size_);
}

}  // namespace reprise::scheduler
