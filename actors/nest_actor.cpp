#include "actors/nest_actor.hpp"

#include <utility>
#include <vector>

#include <caf/all.hpp>

#include "actors/messages.hpp"
#include "core/failure.hpp"

namespace reprise::actors {

namespace {

struct NestState {
  static inline const char* name = "nest";
  NestActorOptions options;
  caf::actor_addr scheduler;
};

using Self = caf::stateful_actor<NestState>;

void report(Self* self, std::vector<scheduler::Report> reports) {
  if (const auto to = caf::actor_cast<caf::actor>(self->state.scheduler); to && !reports.empty())
    self->send(to, scheduler::Reported{std::move(reports)});
}

scheduler::Report could_not_begin(const scheduler::Nest& nest, const Error& why, Time now) {
  scheduler::Report report;
  report.attempt = {scheduler::RunIndex{nest.attempt.run}, nest.attempt.task, nest.attempt.number};
  Outcome& outcome = report.outcome;
  outcome.state = TaskState::failed;
  outcome.failure = FailureClass::cannot_start;
  outcome.message = why.message;
  outcome.value = failure_payload("CannotStart", outcome.message);
  outcome.started = now;
  return report;
}

caf::behavior nest_behavior(Self* self, std::shared_ptr<NestActorOptions> options) {
  self->state.options = std::move(*options);
  return {
      [self](const Serve& serve) {
        self->state.scheduler = caf::actor_cast<caf::actor_addr>(serve.scheduler);
      },
      [self](const BeginNested& wanted) {
        std::vector<scheduler::Report> refused;
        for (const scheduler::Nest& nest : wanted.nests)
          if (const Status begun = self->state.options.begin(nest); !begun)
            refused.push_back(
                could_not_begin(nest, begun.error(), self->state.options.clock->now()));
        report(self, std::move(refused));
      },
      [self](const NestedOver& over) {
        report(self, {{over.end.attempt, nested_outcome(over.end, *self->state.options.blobs)}});
      },
  };
}

}  // namespace

caf::actor spawn_nest_actor(caf::actor_system& system, NestActorOptions options) {
  return system.spawn<caf::detached>(nest_behavior,
                                     std::make_shared<NestActorOptions>(std::move(options)));
}

}  // namespace reprise::actors
