// Where slots leave finished attempts for the worker actor.
//
// A message to an actor whose thread sleeps costs a wake-up: several microseconds, many times a
// short body. While bodies are that short the worker stays and looks for a moment ("polling"); then
// slots need to send nothing. At all other times the first attempt that is left in an empty queue
// sends a message.
#pragma once

#include <atomic>
#include <chrono>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace reprise::actors {

template <class Item>
class FinishedQueue {
 public:
  /// @return true: somebody has to tell the worker. Any thread.
  [[nodiscard]] bool put(std::vector<Item> items) {
    bool was_empty = false;
    {
      const std::lock_guard guard(mutex_);
      was_empty = items_.empty();
      if (was_empty)
        items_ = std::move(items);
      else
        std::move(items.begin(), items.end(), std::back_inserter(items_));
      filled_.store(true);
    }
    // Sequentially consistent on purpose: either this load sees that polling has ended, or the last
    // look of poll(), which comes after, sees the items.
    return was_empty && !polling_.load();
  }

  /// What is there. The worker only.
  [[nodiscard]] std::vector<Item> take() {
    if (!filled_.load()) return {};
    const std::lock_guard guard(mutex_);
    filled_.store(false);
    return std::exchange(items_, {});
  }

  /// As take(), but stays up to `patience` for something to come. The worker only.
  [[nodiscard]] std::vector<Item> poll(std::chrono::microseconds patience) {
    polling_.store(true);
    const auto end = std::chrono::steady_clock::now() + patience;
    // The slot that was woken for it may have to wait for this very processor.
    while (!filled_.load() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    polling_.store(false);
    return take();
  }

 private:
  std::mutex mutex_;
  std::vector<Item> items_;
  std::atomic<bool> filled_{false};
  std::atomic<bool> polling_{false};
};

}  // namespace reprise::actors
