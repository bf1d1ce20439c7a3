#include "actors/lent_thread.hpp"

#include <chrono>

#include <caf/actor_system_config.hpp>
#include <caf/detail/set_thread_name.hpp>
#include <caf/resumable.hpp>

namespace reprise::actors {
namespace {

using Clock = std::chrono::steady_clock;

// Who lends itself has something else to do sooner or later.
constexpr std::chrono::microseconds turn{200};

}  // namespace

void LentThread::use_in(caf::actor_system_config& config) {
  config.module_factories.push_back([](caf::actor_system& system) -> caf::actor_system::module* {
    return new LentThread(system);
  });
}

LentThread* LentThread::of(caf::actor_system& system) {
  return dynamic_cast<LentThread*>(&system.scheduler());
}

void LentThread::enqueue(caf::resumable* job) {
  bool has_to_wake = false;
  {
    const std::lock_guard guard(mutex_);
    jobs_.push_back(job);
    waiting_.store(jobs_.size());
    has_to_wake = !is_running_ && (!lends_ || lenders_.load() == 0);
  }
  if (has_to_wake) wake_.notify_one();
}

// Takes the first job and runs it; the mutex is free meanwhile.
void LentThread::resume_one(std::unique_lock<std::mutex>& lock) {
  caf::resumable* const job = jobs_.front();
  jobs_.pop_front();
  waiting_.store(jobs_.size());
  lock.unlock();
  const auto result = job->resume(&unit_, max_throughput());
  if (result != caf::resumable::resume_later) caf::intrusive_ptr_release(job);
  lock.lock();
  if (result != caf::resumable::resume_later) return;
  jobs_.push_back(job);
  waiting_.store(jobs_.size());
}

void LentThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return !is_running_ && (ends_ || !jobs_.empty()); });
    if (jobs_.empty()) return;
    is_running_ = true;
    while (!jobs_.empty()) resume_one(lock);
    is_running_ = false;
  }
}

void LentThread::run_for_others() {
  std::unique_lock lock(mutex_);
  if (is_running_ || !lends_ || jobs_.empty()) return;
  is_running_ = is_lent_ = true;
  const auto end = Clock::now() + turn;
  do {
    resume_one(lock);
  } while (!jobs_.empty() && Clock::now() < end);
  is_running_ = is_lent_ = false;
  if (!lends_) returned_.notify_all();
  if (!jobs_.empty()) wake_.notify_one();
}

void LentThread::end_loans() {
  std::unique_lock lock(mutex_);
  lends_ = false;
  if (!jobs_.empty()) wake_.notify_one();  // somebody may have been about to come
  returned_.wait(lock, [&] { return !is_lent_; });
}

void LentThread::start() {
  thread_ = std::thread([this] {
    caf::detail::set_thread_name("actors");
    run();
  });
  timer_ = std::thread([this] {
    caf::detail::set_thread_name("caf.clock");
    clock_.run_dispatch_loop();
  });
  abstract_coordinator::start();
}

void LentThread::stop() {
  end_loans();
  {
    const std::lock_guard guard(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  stop_actors();
  thread_.join();
  clock_.cancel_dispatch_loop();
  timer_.join();
  for (caf::resumable* const job : jobs_) cleanup_and_release(job);
  jobs_.clear();
}

}  // namespace reprise::actors
