#include "worker/slot_pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <sys/prctl.h>

#include "core/assert.hpp"
#include "core/text.hpp"
#include "worker/body_times.hpp"
#include "worker/slot.hpp"

namespace reprise::worker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t bulk = 64;         // attempts taken, or handed over, at once
constexpr auto hand_over_after = 250us;  // a finished attempt waits no longer for company
constexpr auto watch_after =
    1ms;  // … and no longer than this while a body runs that was thought to be short
constexpr auto spin_time = 60us;  // for the next link of a chain; waking a thread takes 10 to 30 µs
constexpr std::uint64_t wake_ns = 10'000;  // … and is worth it for so much work
constexpr auto crowded_after = 30us;       // a yield that takes longer gave others their turn

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

class SlotPool::State : public std::enable_shared_from_this<State> {
 public:
  State(Options options, std::shared_ptr<Runner> runner, Sink sink)
      : options_(std::move(options)), runner_(std::move(runner)), sink_(std::move(sink)) {
    const unsigned processors = std::max(1u, std::thread::hardware_concurrency());
    if (options_.slots == 0) options_.slots = processors;
    looking_max_ = processors > 1 ? processors : 0;
  }

  void start() {
    const std::scoped_lock lock(queue_mutex_);
    for (unsigned i = 0; i < options_.slots; ++i) slots_.push_back(make_slot());
    watch_thread_ = std::thread([self = shared_from_this()] { self->watch(); });
  }

  void submit(std::vector<Attempt> attempts) {
    if (attempts.empty()) return;
    REPRISE_ASSERT(attempts.front().context != nullptr);
    const std::uint64_t usual_ns = times_.usual(kind_of(attempts.front()));
    auto batch = std::make_shared<Batch>();
    batch->attempts = std::move(attempts);
    const std::size_t count = batch->attempts.size();
    std::size_t wake = 0;
    bool may_wait = false;
    {
      const std::scoped_lock lock(queue_mutex_);
      if (is_closing_) return;
      queue_.push_back({std::move(batch), 0, count});
      queued_.fetch_add(count, std::memory_order_relaxed);
      // Waking a thread costs more than a few short bodies; a slot that spins comes by itself.
      const std::size_t worth = std::clamp<std::size_t>(count * usual_ns / wake_ns, 1, count);
      wake = std::min(worth - std::min(looking_, worth), idle_);
      may_wait = wake < std::min(count, idle_);
    }
    wake_slots(wake);
    if (may_wait) arm(Clock::now() + watch_after);
  }

  template <class Matches>
  void cancel(Matches matches) {
    std::vector<Finished> gone;
    std::vector<std::stop_source> stops;
    const TimePoint now = Clock::now();
    TimePoint first = never;
    {
      const std::scoped_lock lock(queue_mutex_);
      for (Range& range : queue_) cancel_waiting(range, matches, gone);
      for (const auto& slot : slots_) {
        const std::scoped_lock slot_lock(slot->mutex);
        cancel_waiting(slot->range, matches, gone);
        if (slot->current == nullptr || slot->reason != StopReason::none ||
            !matches(*slot->current))
          continue;
        stops.push_back(ask_to_stop(*slot, StopReason::cancelled, now));
        first = std::min(first, slot->give_up);
      }
    }
    for (auto& stop : stops) stop.request_stop();
    hand_over(std::move(gone));
    arm(first);
  }

  std::vector<AttemptId> retract(std::span<const AttemptId> attempts) {
    const std::set<AttemptId> wanted(attempts.begin(), attempts.end());
    std::vector<AttemptId> back;
    const auto take_from = [&](Range& range) {
      for (std::size_t i = range.next; i < range.end; ++i) {
        Attempt& attempt = range.batch->attempts[i];
        if (!attempt.context || !wanted.contains(id_of(attempt))) continue;
        back.push_back(id_of(attempt));
        attempt.context.reset();
      }
    };
    const std::scoped_lock lock(queue_mutex_);
    for (Range& range : queue_) take_from(range);
    for (const auto& slot : slots_) {
      const std::scoped_lock slot_lock(slot->mutex);
      take_from(slot->range);
    }
    return back;
  }

  void cancel_waiting() {
    std::vector<Finished> gone;
    const auto all = [](const Attempt&) { return true; };
    {
      const std::scoped_lock lock(queue_mutex_);
      for (Range& range : queue_) cancel_waiting(range, all, gone);
      for (const auto& slot : slots_) {
        const std::scoped_lock slot_lock(slot->mutex);
        cancel_waiting(slot->range, all, gone);
      }
    }
    hand_over(std::move(gone));
  }

  std::vector<RunningAttempt> running() {
    std::vector<RunningAttempt> all;
    const TimePoint now_steady = Clock::now();
    const Time now_wall = now();
    const std::scoped_lock lock(queue_mutex_);
    for (const auto& slot : slots_) {
      const std::scoped_lock slot_lock(slot->mutex);
      if (slot->current == nullptr) continue;
      const Duration elapsed = std::max(now_steady - slot->started, Clock::duration::zero());
      all.push_back({id_of(*slot->current), now_wall - elapsed, elapsed});
    }
    return all;
  }

  [[nodiscard]] std::size_t queued() const { return queued_.load(std::memory_order_relaxed); }
  [[nodiscard]] unsigned slots() const { return options_.slots; }
  [[nodiscard]] std::size_t abandoned() const { return abandoned_.load(std::memory_order_relaxed); }

  void close() {
    {
      const std::scoped_lock lock(watch_mutex_);
      if (std::exchange(watch_ends_, true)) return;
      watch_wake_.notify_all();
    }
    join(watch_thread_);
    std::vector<std::shared_ptr<Slot>> slots;
    std::vector<std::stop_source> stops;
    TimePoint last = Clock::now();
    {
      const std::scoped_lock lock(queue_mutex_);
      is_closing_ = true;
      queue_.clear();
      queued_ = 0;
      slots = std::exchange(slots_, {});
      for (const auto& slot : slots) {
        const std::scoped_lock slot_lock(slot->mutex);
        slot->range = {};
        if (slot->current == nullptr) continue;
        if (slot->reason == StopReason::none)
          stops.push_back(ask_to_stop(*slot, StopReason::closing, Clock::now()));
        slot->reason = StopReason::closing;
        last = std::max(last, slot->give_up);
      }
    }
    for (auto& stop : stops) stop.request_stop();
    queue_wake_.notify_all();
    for (const auto& slot : slots) end(*slot, last);
  }

 private:
  // --- slots
  // ---------------------------------------------------------------------------------------------------

  // queue_mutex_ is held.
  std::shared_ptr<Slot> make_slot() {
    auto slot = std::make_shared<Slot>();
    slot->thread = std::thread([self = shared_from_this(), slot] { self->work(*slot); });
    return slot;
  }

  void work(Slot& slot) {
    // The kernel may wake a sleeper 50 us late to save power; bodies that wait for short times
    // should not pay for that.
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    TimePoint time = Clock::now();
    std::vector<Finished> ready;
    std::shared_ptr<Batch> batch;  // keeps *attempt when this thread is abandoned
    bool is_crowded = false;       // its processor was wanted by others
    while (true) {
      const Attempt* attempt = nullptr;
      std::stop_token stop;
      {
        const std::scoped_lock lock(slot.mutex);
        attempt = begin(slot, time, ready);
        stop = slot.stop.get_token();
        if (batch != slot.batch) batch = slot.batch;
      }
      if (attempt == nullptr) {
        if (!refill(slot, std::exchange(ready, {}), is_crowded)) break;
        time = Clock::now();
        continue;
      }
      if (!ready.empty()) hand_over(std::exchange(ready, {}));
      Outcome outcome = runner_->run(*attempt, std::move(stop));
      const TimePoint begun = std::exchange(time, Clock::now());
      const std::scoped_lock lock(slot.mutex);
      if (slot.is_abandoned) return;
      times_.note(kind_of(*attempt), time - begun);
      record(slot, std::move(outcome), time);
    }
    const std::scoped_lock lock(slot.mutex);
    slot.has_ended = true;
    ended_.notify_all();
  }

  // The next attempt of the slot's range, now running; what is to be handed over first goes to
  // `ready`.
  const Attempt* begin(Slot& slot, TimePoint now, std::vector<Finished>& ready) {
    Attempt* const attempt = slot.range.pop();
    if (attempt == nullptr) {
      if (queued_.load(std::memory_order_relaxed) == 0 || is_due(slot, now))
        ready = std::move(slot.finished);
      slot.batch.reset();
      slot.range = {};
      return nullptr;
    }
    const TaskKind& kind = kind_of(*attempt);
    if (is_due(slot, now) || (!slot.finished.empty() && !times_.is_short(kind)))
      ready = std::move(slot.finished);
    if (slot.batch != slot.range.batch) slot.batch = slot.range.batch;
    slot.current = attempt;
    slot.started = now;
    if (slot.reason != StopReason::none) {
      slot.stop = std::stop_source{};
      slot.reason = StopReason::none;
    }
    slot.give_up = never;
    slot.deadline = kind.timeout > Duration::zero() ? now + kind.timeout : never;
    const bool is_holding = !slot.finished.empty() || !slot.range.is_empty();
    arm(is_holding ? std::min(slot.deadline, now + watch_after) : slot.deadline);
    return attempt;
  }

  [[nodiscard]] static bool is_due(const Slot& slot, TimePoint now) {
    return slot.finished.size() >= bulk ||
           (!slot.finished.empty() && now - slot.oldest_finished >= hand_over_after);
  }

  void record(Slot& slot, Outcome outcome, TimePoint now) {
    // The slot owns the attempt; only abandoning takes it away, and that is over by now.
    Attempt& attempt = *const_cast<Attempt*>(std::exchange(slot.current, nullptr));
    if (slot.reason == StopReason::closing) return;
    if (slot.reason != StopReason::none) rewrite(outcome, slot.reason, kind_of(attempt));
    if (slot.finished.empty()) slot.oldest_finished = now;
    if (slot.finished.capacity() == 0) slot.finished.reserve(slot.range.is_empty() ? 1 : bulk);
    slot.finished.push_back(finish(std::move(attempt), std::move(outcome)));
  }

  // Hands `ready` over, waits for work and takes some. False when the slot's thread shall end.
  bool refill(Slot& slot, std::vector<Finished> ready, bool& is_crowded) {
    std::unique_lock lock(queue_mutex_);
    hand_over(lock, std::move(ready));
    bool has_spun = std::exchange(is_crowded, false);
    bool has_tidied = false;
    while (!is_closing_) {
      if (!queue_.empty()) {
        take(slot);
        return true;
      }
      if (hand_over_all(slot, lock)) continue;
      if (!std::exchange(has_tidied, true)) {
        lock.unlock();
        runner_->tidy();
        lock.lock();
        continue;
      }
      if (!has_spun && looking_ < looking_max_) {
        has_spun = true;
        ++looking_;
        lock.unlock();
        is_crowded = spin();
        lock.lock();
        --looking_;
        continue;
      }
      ++idle_;
      queue_wake_.wait(lock);
      --idle_;
      is_crowded = false;
    }
    lock.unlock();
    std::vector<Finished> rest;
    {
      const std::scoped_lock slot_lock(slot.mutex);
      rest = std::move(slot.finished);
    }
    hand_over(std::move(rest));
    return false;
  }

  // True when there was something, and `lock` was released meanwhile.
  bool hand_over_all(Slot& slot, std::unique_lock<std::mutex>& lock) {
    std::vector<Finished> rest;
    {
      const std::scoped_lock slot_lock(slot.mutex);
      if (slot.finished.empty()) return false;
      rest = std::move(slot.finished);
      slot.finished.clear();
    }
    hand_over(lock, std::move(rest));
    return true;
  }

  // From a slot without work. What follows may be new work, for which it then need not be woken.
  void hand_over(std::unique_lock<std::mutex>& lock, std::vector<Finished> finished) {
    if (finished.empty()) return;
    ++looking_;
    lock.unlock();
    hand_over(std::move(finished));
    lock.lock();
    --looking_;
  }

  // Looks for work until there is some, or for a while. True when others want this processor for
  // longer than that: who sleeps next is woken on a processor that nobody wants, which the kernel
  // does not look for while a thread only yields.
  bool spin() {
    TimePoint now = Clock::now();
    const TimePoint until = now + spin_time;
    do {
      for (int i = 0; i < 32; ++i) {
        if (queued_.load(std::memory_order_relaxed) != 0) return false;
        pause();
      }
      // Whoever has the next link may have to wait for this very processor.
      std::this_thread::yield();
      const TimePoint before = std::exchange(now, Clock::now());
      if (now - before > crowded_after) return true;
    } while (now < until);
    return false;
  }

  // queue_mutex_ is held, the queue is not empty.
  void take(Slot& slot) {
    Range& front = queue_.front();
    std::size_t count = 1;
    const Attempt& first = front.batch->attempts[front.next];
    if (!first.context || times_.is_short(kind_of(first))) {
      count = std::clamp<std::size_t>(
          queued_.load(std::memory_order_relaxed) / (2 * options_.slots), 1, bulk);
    }
    count = std::min(count, front.size());
    {
      const std::scoped_lock slot_lock(slot.mutex);
      slot.range = {front.batch, front.next, front.next + count};
    }
    front.next += count;
    queued_.fetch_sub(count, std::memory_order_relaxed);
    if (front.is_empty()) queue_.pop_front();
  }

  void wake_slots(std::size_t count) {
    if (count >= options_.slots)
      queue_wake_.notify_all();
    else
      for (; count > 0; --count) queue_wake_.notify_one();
  }

  void hand_over(std::vector<Finished> finished) {
    if (!finished.empty()) sink_(std::move(finished));
  }

  // --- stopping
  // ------------------------------------------------------------------------------------------------

  template <class Matches>
  static void cancel_waiting(Range& range, Matches matches, std::vector<Finished>& gone) {
    for (std::size_t i = range.next; i < range.end; ++i) {
      Attempt& attempt = range.batch->attempts[i];
      if (!attempt.context || !matches(attempt)) continue;
      Outcome outcome;
      outcome.state = TaskState::cancelled;
      outcome.failure = FailureClass::cancelled;
      outcome.message = "cancelled before it started";
      outcome.started = now();
      gone.push_back(finish(std::move(attempt), std::move(outcome)));
      attempt.context.reset();
    }
  }

  // The slot's mutex is held; the caller requests the stop after releasing it, because callbacks
  // run there.
  [[nodiscard]] std::stop_source ask_to_stop(Slot& slot, StopReason reason, TimePoint now) const {
    slot.reason = reason;
    // The runner ends processes within about the grace time; it is given up only if that fails.
    slot.give_up =
        now + (runner_->ends_by_force(*slot.current) ? 2 * options_.grace + 10s : options_.grace);
    return slot.stop;
  }

  // What a sink leads to may close the pool, when it fails: then its own thread is not waited for.
  static void join(std::thread& thread) {
    if (thread.get_id() == std::this_thread::get_id())
      thread.detach();
    else
      thread.join();
  }

  // Joins the slot's thread, or leaves it behind when it has not ended by `until`.
  void end(Slot& slot, TimePoint until) {
    if (slot.thread.get_id() == std::this_thread::get_id()) return join(slot.thread);
    std::unique_lock lock(slot.mutex);
    while (!slot.has_ended && (slot.current == nullptr || Clock::now() < until)) {
      // A body may end between two looks; a slot without one is about to end.
      ended_.wait_for(lock, 10ms);
    }
    if (slot.has_ended) {
      lock.unlock();
      slot.thread.join();
      return;
    }
    slot.is_abandoned = true;
    ++abandoned_;
    slot.thread.detach();
    std::string warning = left_behind(*slot.current);
    std::vector<Finished> rest = std::move(slot.finished);
    lock.unlock();
    hand_over(std::move(rest));
    warn(std::move(warning));
  }

  [[nodiscard]] std::string left_behind(const Attempt& attempt) const {
    const std::string name =
        escape_for_terminal(attempt.context->flow->nodes[attempt.node.value].name);
    return fmt::format(
        "task \"{}\" did not stop within {} of being asked to; its thread is left behind", name,
        as_written(options_.grace));
  }

  void warn(std::string text) const {
    if (options_.warn) options_.warn(std::move(text));
  }

  // --- watching
  // ------------------------------------------------------------------------------------------------

  // Makes the watching thread look at `time` at the latest.
  void arm(TimePoint time) {
    if (time == never || time >= next_watch_.load()) return;
    const std::scoped_lock lock(watch_mutex_);
    if (time >= next_watch_.load()) return;
    next_watch_ = time;
    watch_wake_.notify_one();
  }

  void watch() {
    std::unique_lock lock(watch_mutex_);
    while (!watch_ends_) {
      if (const TimePoint next = next_watch_; Clock::now() < next) {
        if (next == never)
          watch_wake_.wait(lock);
        else
          watch_wake_.wait_until(lock, next);
        continue;
      }
      // From here on arm() counts again: what a slot changes after it was looked at is not missed.
      next_watch_ = never;
      lock.unlock();
      const TimePoint next = look();
      lock.lock();
      next_watch_ = std::min(next_watch_.load(), next);
    }
  }

  // Does what is due; returns when to look again.
  TimePoint look() {
    const TimePoint now = Clock::now();
    TimePoint next = never;
    std::vector<Finished> ready;
    std::vector<std::stop_source> stops;
    std::vector<std::string> warnings;
    std::size_t wake = 0;
    {
      const std::scoped_lock lock(queue_mutex_);
      for (std::size_t i = 0; i < slots_.size(); ++i) {
        const auto slot = slots_[i];
        const std::scoped_lock slot_lock(slot->mutex);
        next = std::min(next, look_at(*slot, now, ready, stops));
        if (slot->give_up > now || slot->current == nullptr) continue;
        warnings.push_back(abandon(*slot, now, ready));
        slots_[i] = make_slot();
      }
      if (!queue_.empty()) {
        wake = std::min(idle_, queued_.load());
        next = std::min(next, now + watch_after);
      }
    }
    for (auto& stop : stops) stop.request_stop();
    hand_over(std::move(ready));
    wake_slots(wake);
    for (std::string& warning : warnings) warn(std::move(warning));
    return next;
  }

  TimePoint look_at(Slot& slot, TimePoint now, std::vector<Finished>& ready,
                    std::vector<std::stop_source>& stops) {
    TimePoint next = never;
    if (!slot.finished.empty()) {
      if (now - slot.oldest_finished >= watch_after)
        move_to(ready, slot.finished);
      else
        next = slot.oldest_finished + watch_after;
    }
    if (slot.current == nullptr) return next;
    if (!slot.range.is_empty()) {
      if (now - slot.started >= watch_after)
        give_back(slot);
      else
        next = std::min(next, slot.started + watch_after);
    }
    if (slot.reason == StopReason::none && slot.deadline <= now) {
      stops.push_back(ask_to_stop(slot, StopReason::timed_out, now));
    }
    return std::min(next, slot.reason == StopReason::none ? slot.deadline : slot.give_up);
  }

  static void move_to(std::vector<Finished>& all, std::vector<Finished>& some) {
    all.insert(all.end(), std::make_move_iterator(some.begin()),
               std::make_move_iterator(some.end()));
    some.clear();
  }

  // Both mutexes are held.
  void give_back(Slot& slot) {
    queued_.fetch_add(slot.range.size(), std::memory_order_relaxed);
    queue_.push_front(std::exchange(slot.range, {}));
  }

  // Both mutexes are held. The body goes on in a thread that nobody waits for.
  [[nodiscard]] std::string abandon(Slot& slot, TimePoint now, std::vector<Finished>& ready) {
    if (!slot.range.is_empty()) give_back(slot);
    move_to(ready, slot.finished);
    slot.is_abandoned = true;
    slot.thread.detach();
    ++abandoned_;
    Outcome outcome;
    outcome.duration = now - slot.started;
    outcome.started = reprise::now() - outcome.duration;
    outcome.executed = true;
    rewrite(outcome, slot.reason, kind_of(*slot.current));
    outcome.message += "; its body did not stop and was left behind";
    ready.push_back(finish(*slot.current, std::move(outcome)));
    return left_behind(*slot.current);
  }

  Options options_;
  const std::shared_ptr<Runner> runner_;
  const Sink sink_;
  std::size_t looking_max_ = 0;
  BodyTimes times_;

  std::mutex queue_mutex_;  // guards the block below
  std::deque<Range> queue_;
  std::vector<std::shared_ptr<Slot>> slots_;
  std::size_t idle_ = 0;     // slots waiting for queue_wake_
  std::size_t looking_ = 0;  // slots that will look at queue_ without being woken
  bool is_closing_ = false;
  std::condition_variable queue_wake_;
  std::atomic<std::size_t> queued_{
      0};  // attempts in queue_, cancelled ones included; written under the mutex

  std::atomic<std::size_t> abandoned_{0};
  std::condition_variable_any ended_;  // some slot's has_ended

  std::mutex watch_mutex_;  // guards watch_ends_ and writing next_watch_
  std::condition_variable watch_wake_;
  std::atomic<TimePoint> next_watch_{never};
  bool watch_ends_ = false;
  std::thread watch_thread_;
};

SlotPool::SlotPool(Options options, std::shared_ptr<Runner> runner, Sink sink)
    : state_(std::make_shared<State>(std::move(options), std::move(runner), std::move(sink))) {
  state_->start();
}

SlotPool::~SlotPool() {
  close();
}

void SlotPool::submit(std::vector<Attempt> attempts) {
  state_->submit(std::move(attempts));
}

void SlotPool::cancel(std::span<const AttemptId> attempts) {
  if (attempts.size() == 1) {
    state_->cancel([id = attempts[0]](const Attempt& attempt) { return id_of(attempt) == id; });
    return;
  }
  const std::set<AttemptId> ids(attempts.begin(), attempts.end());
  state_->cancel([&](const Attempt& attempt) { return ids.contains(id_of(attempt)); });
}

void SlotPool::cancel_waiting() {
  state_->cancel_waiting();
}

void SlotPool::cancel_run(std::uint32_t run) {
  state_->cancel([run](const Attempt& attempt) { return attempt.run == run; });
}

std::vector<AttemptId> SlotPool::retract(std::span<const AttemptId> attempts) {
  return state_->retract(attempts);
}

std::vector<RunningAttempt> SlotPool::running() const {
  return state_->running();
}
std::size_t SlotPool::queued() const {
  return state_->queued();
}
unsigned SlotPool::slots() const {
  return state_->slots();
}
std::size_t SlotPool::abandoned() const {
  return state_->abandoned();
}
void SlotPool::close() {
  state_->close();
}

}  // namespace reprise::worker
