// Tasks that could run now, best first: longest remaining way first, then in the order they became
// ready.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "core/id.hpp"

namespace reprise::scheduler {

/// Serial number of a run within one scheduler.
using RunIndex = Id<struct RunTag>;

struct ReadyTask {
  RunIndex run;
  TaskId task;
  bool operator==(const ReadyTask&) const = default;
};

class ReadyQueue {
 public:
  void push(float rank, ReadyTask task) {
    buckets_[rank].push_back(task);
    ++size_;
  }
  [[nodiscard]] const ReadyTask& top() const { return buckets_.begin()->second.front(); }
  void pop() {
    auto first = buckets_.begin();
    first->second.pop_front();
    // Large flows have few ranks that many tasks share, or many ranks with one task each; an empty
    // bucket goes at once so that top() stays constant-time.
    if (first->second.empty()) buckets_.erase(first);
    --size_;
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::map<float, std::deque<ReadyTask>, std::greater<>> buckets_;
  std::size_t size_ = 0;
};

}  // namespace reprise::scheduler
