// Where slots leave finished attempts for the worker actor: it is told of the first one only, and
// takes with it what came until it looks.
#pragma once

#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

namespace reprise::actors {

/// Safe from any thread.
template <class Item>
class FinishedQueue {
 public:
  /// @return true: somebody has to tell the worker.
  [[nodiscard]] bool put(std::vector<Item> items) {
    const std::lock_guard guard(mutex_);
    const bool was_empty = items_.empty();
    if (was_empty)
      items_ = std::move(items);
    else
      std::move(items.begin(), items.end(), std::back_inserter(items_));
    return was_empty;
  }

  /// What is there.
  [[nodiscard]] std::vector<Item> take() {
    const std::lock_guard guard(mutex_);
    return std::exchange(items_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Item> items_;
};

}  // namespace reprise::actors
