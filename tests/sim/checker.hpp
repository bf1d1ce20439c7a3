// What must hold, checked while it happens, from what is seen at the borders of the deciders: what
// clients asked for and were told, what was recorded, dispatched, run, reported and kept.
//
//   I1  no lost task       every run that a client was told of ends, and as its flow must: Client,
//                          end_of_run(); what was told is on the disk that a restart reads
//   I2  no phantom         no run without a submit, no attempt without a dispatch, one run per key
//   I3  unique commit      a finished task never changes in any journal; who reads a result reads
//                          that one
//   I4  dependency safety  an attempt begins with the results of its upstreams as they were
//                          recorded before, and its end counts only if they still are
//   I5  fencing            an end is taken once, of an attempt that this scheduler gave out and
//                          holds; what is given back never began; a result under a lease that
//                          somebody else holds is not kept
//   I6  resource safety    a worker runs no more than its slots, and what it has memory and labels
//                          for; no more is given away at one than it has
//   I7  no wrong cache     a hit is what its body would give for these arguments, and is what was
//                          kept; what was in the past does not change
//   I8  cancel             after the answer nothing of the run is dispatched, also by a scheduler
//                          that is started again; what runs ends within the grace time
//   I9  limits             max_parallel; failed attempts within the retries, and all of them used
//   I10 bounded recovery   who says something is not given up; who is given up is found out in time
//   I11 no orphan          once all runs have ended nothing runs anywhere. Processes of bodies are
//                          not simulated (tests/worker, tests/integration)
//   I12 bounded memory     links, groups and the tables of deciders are small always, and empty at
//                          the end
//   I13 replay             the state rebuilt from the journal is the state that wrote it. There are
//                          no snapshots
//   I14 liveness           once everything is healed, all runs end within a bounded time
//   I15 determinism        the same seed gives the same trace: simulation_test.cpp
//   I16 truth              the summary of a run is what its journal says
//
// Namespaces and generations, quotas and a second scheduler do not exist yet: the parts of I3, I5
// and I7 about them are not checked.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "cache/store.hpp"
#include "cluster/fleet.hpp"
#include "flow/attempt.hpp"
#include "journal/journal.hpp"
#include "scheduler/scheduler.hpp"
#include "tests/sim/workload.hpp"
#include "tests/sim/world.hpp"

namespace reprise::sim {

/// What a journal says of a run, read change by change.
class RunLog {
 public:
  explicit RunLog(std::shared_ptr<const FlowSpec> flow) : flow_(std::move(flow)) {}

  /// @throws Broken
  void apply(const journal::Batch& batch);

  struct Task {
    TaskState state = TaskState::pending;
    Payload result;
    std::uint32_t failed_tries = 0;   // that were followed by another
    std::uint32_t first_element = 0;  // mapped: task number of its first element
    std::uint32_t width = 0;
  };
  std::map<std::uint32_t, Task> tasks;  // by number
  RunState state = RunState::queued;
  bool was_cancelled = false;
  bool gave_up_lost = false;  // a task failed because workers died with it
  std::uint64_t executed = 0;
  std::uint64_t hits = 0;

  [[nodiscard]] NodeId node_of(TaskId task) const;
  /// The result of a node as its downstreams are given it. none: it has none
  [[nodiscard]] Payload value_of(NodeId node) const;
  [[nodiscard]] journal::Summary summary() const;
  [[nodiscard]] const FlowSpec& flow() const { return *flow_; }

 private:
  std::shared_ptr<const FlowSpec> flow_;
  std::uint32_t next_element_ = 0;
};

class Checker {
 public:
  Checker(World& world, const Workload& workload) : world_(world), workload_(workload) {}

  /// @param holds  false: the simulation ends, as broken
  void require(bool holds, Invariant invariant, const std::string& what) const;

  // ---- of the scheduler
  /// A scheduler starts, and reads this.
  void recovered(std::uint64_t life, journal::Journal& journal);
  void run_opened(const RunId& run, const Job& job);
  /// It goes on with a run: what it makes of the journal is what the journal says.
  void restored(const RunId& run, scheduler::Run& made);
  void appended(const journal::Batch& batch);
  void dispatched(const Attempt& attempt);
  /// What a worker has from a scheduler before takes the place of what was dispatched.
  void adopted(const scheduler::Adopted::One& news);
  /// An attempt never began, and is as if it had not been given out.
  void returned(const scheduler::AttemptRef& attempt);
  /// After an event: what is given away at a worker of all that it has.
  void took(const std::string& worker, const char* what, std::uint64_t taken,
            std::uint64_t all) const;
  void reported(const scheduler::Report& report);
  void answered(const Attempt& attempt, const scheduler::Answer& answer);
  void cancel_asked(const RunId& run);
  void cancel_answered(const RunId& run);
  void ended(const RunId& run, const scheduler::Ended& ended, const journal::Summary& summary);
  void gave_up_worker(const std::string& name, Duration silence, Duration lost_after) const;

  // ---- of clients
  void told_accepted(const Job& job, const RunId& run);
  void told_cancelled(const RunId& run);
  void told_end(const RunId& run, RunState state);
  // ---- of workers
  /// @return the number of this execution: travels in Outcome::exit_code
  std::int32_t began(const std::string& worker, std::uint64_t life, const cluster::WorkerCard& card,
                     const Attempt& attempt);
  void finished(std::int32_t execution, const Outcome& outcome);
  /// It was told to end it, or its scheduler is gone.
  void stopped(std::int32_t execution);
  void worker_died(const std::string& worker);
  /// What was told to end has ended. @param is_paused  a worker that is cannot
  void check_time(const std::function<bool(const std::string& worker)>& is_paused);
  [[nodiscard]] std::uint64_t executions() const { return executions_.size(); }

  // ---- of the cache
  void may_be_kept(const cache::Commit& commit);
  /// A key that was asked for, and what belongs there.
  struct Wanted {
    Key key;
    Payload value;
    std::string name;
  };
  [[nodiscard]] const std::vector<Wanted>& wanted() const { return wanted_; }

  /// Nothing happens any more.
  void quiet(journal::Journal& journal) const;
  /// Enters the context of runs, so that it is known who gave out an attempt.
  static constexpr const char* life_name = "scheduler life";
  [[nodiscard]] const Job* job_of(const RunId& run) const;

  Duration grace{std::chrono::seconds{1}};

 private:
  struct Known {
    const Job* job = nullptr;
    std::unique_ptr<RunLog> log;  // as the scheduler that lives has told it
    bool is_cancel_asked = false;
    bool is_cancelled = false;                           // as the server answered
    bool told_accepted = false, told_cancelled = false;  // a client
    std::optional<RunState> told;                        // of its end
  };
  struct Execution {
    RunId run;
    TaskId task;
    std::uint32_t number = 0;
    std::uint64_t scheduler_life = 0;
    std::string worker;
    std::uint64_t worker_life = 0;
    std::uint64_t memory_bytes = 0;
    NodeId node;
    std::int32_t map_index = -1;
    std::vector<Digest> arguments;
    std::optional<Time> stop_by;
    bool is_over = false;
    Digest value;
    TaskState state = TaskState::running;
  };
  using Name = std::tuple<RunId, std::uint32_t, std::uint32_t>;  // task, number
  struct Given {
    NodeId node;
    std::int32_t map_index = -1;
    bool is_over = false;
    std::vector<Digest> arguments;
  };

  Known& known(const RunId& run);
  void check_inputs(const RunLog& log, const Attempt& attempt) const;

  World& world_;
  const Workload& workload_;
  std::uint64_t life_ = 0;
  std::map<RunId, Known> runs_;
  std::map<std::string, RunId> by_key_;
  std::map<Name, Given> given_;  // by the scheduler that lives
  std::map<std::uint32_t, RunId> run_of_index_;
  std::vector<Execution> executions_;
  std::set<std::int32_t> running_;
  std::set<std::tuple<std::uint64_t, RunId, std::uint32_t, std::uint32_t>> begun_;
  std::map<Key, std::set<Digest>> kept_;
  std::vector<Wanted> wanted_;
};

}  // namespace reprise::sim
