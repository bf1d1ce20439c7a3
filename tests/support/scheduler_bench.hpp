// A scheduler with everything around it played by the test: no threads, no clock, every event in
// the test's hand.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/scheduler.hpp"

namespace reprise::test {

class SchedulerBench {
 public:
  explicit SchedulerBench(std::uint32_t slots = 2) : scheduler_(slots) {}
  SchedulerBench(std::vector<scheduler::WorkerOffer> workers, scheduler::Policy policy)
      : scheduler_(std::move(workers), std::move(policy)) {}

  /// Submits a run. Attempts that the scheduler sends out wait in `sent` until the test reports
  /// them.
  void submit(std::shared_ptr<const FlowSpec> flow, std::vector<journal::Batch> past = {},
              CacheMode cache = CacheMode::normal, bool resume = false);

  /// Reports the first attempt waiting in `sent` whose task has this name.
  void succeed(const std::string& task, Value value = {});
  void fail(const std::string& task, FailureClass failure = FailureClass::task);
  void report(std::size_t position, Outcome outcome);
  /// Answers the first waiting look-up of this task: a hit with `value`, or a miss.
  void hit(const std::string& task, Value value);
  void miss(const std::string& task);
  void answer(std::size_t position, std::optional<Value> value);
  void cancel(std::vector<std::string> tasks = {});
  void pause(std::vector<std::string> tasks = {});
  [[nodiscard]] static Outcome no_objection(const Question& question);
  /// Moves the clock to the next timer and ticks.
  void advance();
  void handle(scheduler::Event event);

  /// Runs everything: bodies give `body(name)`, look-ups miss. @return the run's end
  scheduler::Ended finish(const std::function<Outcome(const std::string&)>& body);

  [[nodiscard]] std::string name_of(const Attempt& attempt) const;
  [[nodiscard]] TaskState state(const std::string& task);
  [[nodiscard]] scheduler::Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] scheduler::Run& run() { return *scheduler_.find(scheduler::RunIndex{0}); }
  /// Names of what waits in `sent`, sorted: "a b c[0]".
  [[nodiscard]] std::string sent_names() const;

  std::vector<Attempt> sent;
  std::vector<Attempt> look_ups;
  std::vector<scheduler::Nest> nests;  // runs that are to begin
  std::vector<scheduler::AttemptRef> stops;
  std::vector<scheduler::AttemptRef> retracts;
  std::vector<scheduler::Keep> keeps;  // that the cache was asked for
  std::vector<journal::Batch> journal;
  std::vector<scheduler::Ended> ended;
  Time now{std::chrono::hours{24}};
  scheduler::RunShape shape;              // of what is submitted
  std::vector<std::string> resume_tasks;  // of a run that is continued: only these go on
  bool keeps_results = true;              // the cache takes what it is given

 private:
  std::size_t position_of(const std::vector<Attempt>& attempts, const std::string& task) const;

  scheduler::Scheduler scheduler_;
  std::optional<Time> wake_at_;
};

[[nodiscard]] Outcome success(Value value = {});
[[nodiscard]] Outcome failure(FailureClass failure = FailureClass::task);

}  // namespace reprise::test
