// How the event-based actors of a process run: one after the other, on a thread of their own or on
// any thread that lends itself.
//
// Waking a thread takes longer than most messages take to handle. A thread that has just sent one
// and has nothing else to do (a slot whose attempt ended) may therefore carry out what follows from
// it. At any time one thread runs actors, so they share a processor's cache and see each other's
// messages in the order in which they were sent, as with a single thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/detail/thread_safe_actor_clock.hpp>
#include <caf/execution_unit.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

namespace caf {
class actor_system_config;
}

namespace reprise::actors {

/// A scheduler of CAF's (a module of an actor system). All functions may be called by any thread.
class LentThread final : public caf::scheduler::abstract_coordinator {
 public:
  using abstract_coordinator::abstract_coordinator;

  /// Actor systems made with `config` run their actors like this.
  static void use_in(caf::actor_system_config& config);
  /// That of `system`; nullptr when it was made without use_in().
  [[nodiscard]] static LentThread* of(caf::actor_system& system);

  /// While it lives, messages wake nobody; its end runs actors that have something to do, unless
  /// another thread is at it: a fraction of a millisecond, or as long as the last message takes.
  /// To be held for as long as sending takes, and without a lock that an actor may wait for.
  /// nullptr: nothing is lent.
  class Loan {
   public:
    explicit Loan(LentThread* to) : to_(to) {
      if (to_ != nullptr) to_->lenders_.fetch_add(1);
    }
    ~Loan() {
      if (to_ == nullptr) return;
      to_->lenders_.fetch_sub(1);
      if (to_->waiting_.load() != 0) to_->run_for_others();
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

   private:
    LentThread* to_;
  };

  /// From here on, and when this returns, no other thread than the own one runs actors. Before
  /// actors end that wait for threads which lend themselves.
  void end_loans();

  // caf::scheduler::abstract_coordinator
  void enqueue(caf::resumable* job) override;
  caf::actor_clock& clock() noexcept override { return clock_; }
  void start() override;
  void stop() override;

 private:
  class Unit final : public caf::execution_unit {
   public:
    explicit Unit(LentThread& owner) : execution_unit(&owner.system()), owner_(owner) {}
    void exec_later(caf::resumable* job) override { owner_.enqueue(job); }

   private:
    LentThread& owner_;
  };

  void run();
  void run_for_others();
  void resume_one(std::unique_lock<std::mutex>& lock);

  caf::detail::thread_safe_actor_clock clock_;
  Unit unit_{*this};
  std::thread thread_, timer_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::condition_variable returned_;  // is_lent_ became false
  std::deque<caf::resumable*> jobs_;
  bool is_running_ = false;  // some thread runs actors
  bool is_lent_ = false;     // … another one than the own
  bool lends_ = true;
  bool ends_ = false;

  // Sequentially consistent: whoever adds a job sees that nobody will look for it, or the end of a
  // loan sees the job.
  std::atomic<std::size_t> waiting_{0};  // jobs_.size()
  std::atomic<std::size_t> lenders_{0};  // threads that hold a loan
};

}  // namespace reprise::actors
