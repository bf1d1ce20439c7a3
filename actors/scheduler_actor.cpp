#include "actors/scheduler_actor.hpp"

#include <deque>
#include <utility>

#include <fmt/format.h>
#include <caf/all.hpp>

#include "actors/messages.hpp"
#include "actors/recorder.hpp"
#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::actors {

namespace {

// A server whose runs are quiet asks this often whether it still leads.
constexpr std::chrono::milliseconds lead_check{500};
struct CheckLead {};  // to itself

struct Wake {
  std::uint64_t generation =
      0;  // a delayed message cannot be recalled; an old generation is ignored
};

}  // namespace

}  // namespace reprise::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Wake)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::CheckLead)

namespace reprise::actors {

namespace {

struct SchedulerState {
  static inline const char* name = "scheduler";
  SchedulerActorOptions options;
  scheduler::Scheduler core{1};
  Recorder recorder{Durability::none, false};
  // Answers that people are given once what they rest on is durable.
  struct Question {
    std::uint64_t ticket;
    std::function<void(const Status& journal)> answer;
  };
  std::deque<Question> questions;
  std::uint64_t wake_generation = 0;
  std::optional<Time> wake_at;
};

using Self = caf::stateful_actor<SchedulerState>;

// So many at once make full use of a round trip. More go in parts: what was found of one part is
// scheduled while the cache looks for the next.
constexpr std::ptrdiff_t look_ups_at_once = 256;

void look_up(Self* self, std::vector<Attempt> attempts) {
  auto next = std::make_move_iterator(attempts.begin());
  const auto end = std::make_move_iterator(attempts.end());
  while (next != end) {
    const auto part = next + std::min<std::ptrdiff_t>(look_ups_at_once, end - next);
    self->send(self->state.options.cache, LookUp{{next, part}});
    next = part;
  }
}

void act(Self* self, scheduler::Effects& effects) {
  SchedulerState& state = self->state;
  look_up(self, std::move(effects.look_ups));
  if (!effects.keeps.empty())
    self->send(state.options.cache, KeepResults{std::move(effects.keeps)});
  if (!effects.dispatches.empty())
    self->send(state.options.worker, Dispatch{std::move(effects.dispatches)});
  if (!effects.nests.empty()) self->send(state.options.nest, BeginNested{std::move(effects.nests)});
  if (!effects.stops.empty()) self->send(state.options.worker, Stop{std::move(effects.stops)});
  if (!effects.retracts.empty())
    self->send(state.options.worker, Retract{std::move(effects.retracts)});
}

void tell_ended(Self* self, const std::vector<scheduler::Ended>& all) {
  for (const scheduler::Ended& ended : all) {
    scheduler::Run* run = self->state.core.find(ended.run);
    RunOver news{ended.run, run != nullptr ? run->context().run : RunId{}};
    self->send(self->state.options.worker, news);
    if (run != nullptr) news.past_cache = run->take_past_cache();
    self->send(self->state.options.cache, news);
    if (run != nullptr)
      self->state.options.on_end(
          RunEnd{ended, run->totals(), run->outputs(), run->first_failure()});
  }
}

void schedule_wake(Self* self, std::optional<Time> at) {
  SchedulerState& state = self->state;
  if (!at) return;
  // A clock that need not wait for the world is asked to go on once nothing else can happen.
  const bool skips =
      state.core.is_idle() && *at > state.options.clock->now() && state.options.clock->skip_to(*at);
  if (!skips && state.wake_at && *state.wake_at <= *at) return;
  state.wake_at = at;
  const Duration delay = std::max(*at - state.options.clock->now(), Duration{0});
  // Not delayed_send to oneself: a message from an actor to itself in the clock keeps the actor
  // alive.
  caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), delay, Wake{++state.wake_generation});
}

void carry_out(Self* self, Recorder::Step step) {
  SchedulerState& state = self->state;
  for (scheduler::Effects& effects : step.act) act(self, effects);
  tell_ended(self, step.ended);
  for (Append& append : step.appends) self->send(state.options.journal, std::move(append));
  if (!step.recorded.empty()) self->send(state.options.worker, Recorded{std::move(step.recorded)});
  if (step.wants_write_out)
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), Recorder::group_age, WriteOut{});
}

void perform(Self* self, scheduler::Effects effects) {
  SchedulerState& state = self->state;
  if (state.recorder.is_superseded()) return;
  if (state.options.listener)
    for (const journal::Batch& batch : effects.batches) state.options.listener(batch);
  schedule_wake(self, effects.wake_at);
  carry_out(self, state.recorder.perform(std::move(effects), [&](const scheduler::RunIndex& index) {
    const scheduler::Run* run = state.core.find(index);
    REPRISE_ASSERT(run != nullptr, index.value);
    return std::pair(run->context().run, run->totals().whole);
  }));
}

// Answers now, or once everything up to here is on disk; what cannot get there is told to nobody.
template <class Answer>
caf::result<Answer> answer_when_durable(Self* self, Answer answer) {
  SchedulerState& state = self->state;
  carry_out(self, state.recorder.write_out());
  const auto with = [](const Status& journal, Answer& good) {
    return journal ? std::move(good) : Answer(tl::unexpected(journal.error()));
  };
  if (state.recorder.is_settled()) return with(state.recorder.trouble(), answer);
  auto promise = self->make_response_promise();
  state.questions.push_back(
      {state.recorder.last_ticket(),
       [promise, with, answer = std::move(answer)](const Status& journal) mutable {
         promise.deliver(with(journal, answer));
       }});
  return caf::delegated<Answer>{};
}

void durable(Self* self, const Durable& news) {
  SchedulerState& state = self->state;
  if (state.recorder.is_lost() && !news.status) return;
  Recorder::Step step = state.recorder.durable(news);
  if (!news.status) state.options.on_journal_lost(news.status.error());
  if (state.recorder.is_superseded()) return;
  while (!state.questions.empty() &&
         (state.recorder.is_lost() ||
          state.questions.front().ticket <= state.recorder.durable_ticket())) {
    state.questions.front().answer(state.recorder.trouble());
    state.questions.pop_front();
  }
  carry_out(self, std::move(step));
}

// Cancel or Pause: the named tasks of a run that is alive.
template <class Event, class Request>
caf::result<Status> steer(Self* self, const Request& request) {
  scheduler::Run* run = self->state.core.find(request.run);
  const auto refuse = [](ErrorCode code, std::string why) {
    return Status(fail(code, std::move(why)));
  };
  if (run == nullptr) return refuse(ErrorCode::not_found, "no such run in this process");
  if (run->ended() && run->ended()->state != RunState::paused)
    return refuse(ErrorCode::conflict, "the run is already finished");
  Event event{request.run, {}, request.reason};
  for (const std::string& name : request.tasks) {
    const std::optional<TaskId> task = run->find_task(name);
    if (!task)
      return refuse(ErrorCode::not_found,
                    fmt::format("no task \"{}\" in this run", escape_for_terminal(name)));
    event.tasks.push_back(*task);
  }
  perform(self, self->state.core.handle(std::move(event), self->state.options.clock->now()));
  return answer_when_durable(self, Status{});
}

caf::result<Result<Payload>> value(Self* self, const AskValue& request) {
  SchedulerState& state = self->state;
  scheduler::Run* run = state.core.find(request.run);
  Result<Payload> answer =
      run != nullptr ? run->result_of(request.node)
                     : Result<Payload>(fail(ErrorCode::not_found, "no such run in this process"));
  return answer_when_durable(self, std::move(answer));
}

void check_lead_later(Self* self) {
  caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), lead_check, CheckLead{});
}

caf::behavior scheduler_behavior(Self* self, std::shared_ptr<SchedulerActorOptions> options) {
  self->state.options = std::move(*options);
  self->state.core = scheduler::Scheduler{std::move(self->state.options.workers),
                                          std::move(self->state.options.policy)};
  self->state.recorder =
      Recorder{self->state.options.durability, static_cast<bool>(self->state.options.journal),
               self->state.options.leads};
  if (self->state.options.leads && self->state.options.journal) check_lead_later(self);
  const auto handle = [self](scheduler::Event event) {
    perform(self, self->state.core.handle(std::move(event), self->state.options.clock->now()));
  };
  return {
      [handle](Begin& begin) { handle(std::move(begin.submit)); },
      [handle](scheduler::LookedUp& event) { handle(std::move(event)); },
      [handle](scheduler::Kept& event) { handle(std::move(event)); },
      [self, handle](scheduler::Reported& event) {
        std::vector<scheduler::AttemptRef> attempts;
        for (const scheduler::Report& each : event.reports) attempts.push_back(each.attempt);
        handle(std::move(event));
        carry_out(self, self->state.recorder.reported(std::move(attempts)));
      },
      [handle](scheduler::Began& event) { handle(std::move(event)); },
      [handle](scheduler::Adopted& event) { handle(std::move(event)); },
      [handle](scheduler::Returned& event) { handle(std::move(event)); },
      [handle](scheduler::WorkersChanged& event) { handle(std::move(event)); },
      [self, handle](const Wake& wake) {
        if (wake.generation != self->state.wake_generation) return;
        self->state.wake_at.reset();
        handle(scheduler::Tick{});
      },
      [self](const WriteOut&) { carry_out(self, self->state.recorder.write_out()); },
      [self](const CheckLead&) {
        carry_out(self, self->state.recorder.ask_lead());
        check_lead_later(self);
      },
      [self](const Durable& news) { durable(self, news); },
      [self](const CancelRun& request) { return steer<scheduler::Cancel>(self, request); },
      [self](const PauseRun& request) { return steer<scheduler::Pause>(self, request); },
      [self](const AskValue& request) { return value(self, request); },
      [self](const AskStates& request) -> StatesAnswer {
        scheduler::Run* run = self->state.core.find(request.run);
        if (run == nullptr) return fail(ErrorCode::not_found, "no such run in this process");
        return run->states();
      },
      [handle](const ForgetRun& request) { handle(scheduler::Forget{request.run}); },
  };
}

}  // namespace

caf::actor spawn_scheduler_actor(caf::actor_system& system, SchedulerActorOptions options) {
  return system.spawn(scheduler_behavior,
                      std::make_shared<SchedulerActorOptions>(std::move(options)));
}

}  // namespace reprise::actors
