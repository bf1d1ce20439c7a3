// The scheduler's shell: message → event, handle, effect → message. What a task may do next is
// decided in scheduler/.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include "actors/engine.hpp"
#include "scheduler/scheduler.hpp"

namespace reprise::actors {

/// How a run ended, with what can only be asked of the scheduler.
struct RunEnd {
  scheduler::Ended ended;
  scheduler::Run::Totals totals;
  std::map<std::string, Payload> outputs;
  std::string first_failure;  // Run::first_failure()
};

struct SchedulerActorOptions {
  std::vector<scheduler::WorkerOffer> workers;  // at the beginning
  scheduler::Policy policy;
  Durability durability = Durability::group;
  caf::actor cache;
  caf::actor worker;
  caf::actor journal;  // none when durability is none
  caf::actor nest;     // begins runs for tasks that run flows
  std::shared_ptr<Clock> clock;
  Engine::Listener listener;  // may be empty; called on the actor's thread
  /// A run ended and is on disk. Called on the actor's thread; quick.
  std::function<void(RunEnd)> on_end;
  /// The journal cannot be written any more; denied: because another server leads.
  std::function<void(const Error&)> on_journal_lost;
  // Of a server: the worker is told which reports are durable, and nothing is done any more once
  // another server leads.
  bool leads = false;
};

/// Handles Begin, CancelRun, AskValue, ForgetRun, LookedUp, Reported, Began, Durable. It keeps no
/// strong handle to itself.
[[nodiscard]] caf::actor spawn_scheduler_actor(caf::actor_system& system,
                                               SchedulerActorOptions options);

}  // namespace reprise::actors
