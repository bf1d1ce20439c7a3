#include "actors/scheduler_actor.hpp"

#include <deque>
#include <utility>

#include <fmt/format.h>
#include <caf/all.hpp>

#include "actors/messages.hpp"
#include "core/text.hpp"

namespace reprise::actors {

namespace {

// A group of changes goes to the journal when it is this large or this old, and at once when
// somebody waits for it.
constexpr std::size_t group_changes = 512;
constexpr std::chrono::milliseconds group_age{1};

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
  std::uint64_t last_ticket = 0;  // of the last Append sent
  Append group;                   // changes that wait for company
  std::size_t group_size = 0;
  bool write_out_sent = false;
  struct Waiting {
    std::uint64_t ticket;
    scheduler::Effects effects;  // what may happen once the ticket is durable
  };
  std::deque<Waiting> waiting;
  std::uint64_t durable_ticket = 0;  // everything up to here is on disk
  struct Question {
    std::uint64_t ticket;
    caf::response_promise promise;
    Result<Payload> answer;
  };
  std::deque<Question> questions;  // answered, but people are not told before it is durable
  // Reports that are durable with this ticket, at the latest.
  std::deque<std::pair<std::uint64_t, std::vector<scheduler::AttemptRef>>> unrecorded;
  bool journal_lost = false;
  bool is_superseded = false;  // another server leads: nothing is done any more
  std::uint64_t wake_generation = 0;
  std::optional<Time> wake_at;
};

using Self = caf::stateful_actor<SchedulerState>;

void release(Self* self, scheduler::Effects& effects) {
  SchedulerState& state = self->state;
  if (!effects.look_ups.empty())
    self->send(state.options.cache, LookUp{std::move(effects.look_ups)});
  if (!effects.keeps.empty())
    self->send(state.options.cache, KeepResults{std::move(effects.keeps)});
  if (!effects.dispatches.empty())
    self->send(state.options.worker, Dispatch{std::move(effects.dispatches)});
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
    if (run != nullptr) self->state.options.on_end(RunEnd{ended, run->totals(), run->outputs()});
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

void write_out(Self* self) {
  SchedulerState& state = self->state;
  if (state.group.batches.empty()) return;
  state.group.ticket = ++state.last_ticket;
  self->send(state.options.journal, std::exchange(state.group, {}));
  state.group_size = 0;
}

// Record, tell, then act (scheduler/events.hpp, Effects).
void perform(Self* self, scheduler::Effects effects) {
  SchedulerState& state = self->state;
  if (state.is_superseded) return;
  if (state.options.listener)
    for (const journal::Batch& batch : effects.batches) state.options.listener(batch);
  schedule_wake(self, effects.wake_at);
  if (effects.batches.empty() || !state.options.journal || state.journal_lost) {
    release(self, effects);
    tell_ended(self, effects.ended);
    return;
  }
  const bool waits = state.options.durability == Durability::sync || !effects.ended.empty();
  for (journal::Batch& batch : effects.batches) {
    state.group_size += batch.count();
    state.group.batches.push_back(std::move(batch));
  }
  effects.batches.clear();
  for (const scheduler::Ended& ended : effects.ended)
    if (const scheduler::Run* run = state.core.find(ended.run))
      state.group.summaries.emplace_back(run->context().run, run->totals().whole);
  if (state.options.durability == Durability::group) release(self, effects);
  if (waits || state.group_size >= group_changes) {
    write_out(self);
  } else if (!state.write_out_sent) {
    state.write_out_sent = true;
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), group_age, WriteOut{});
  }
  if (waits) state.waiting.push_back({state.last_ticket, std::move(effects)});
}

void durable(Self* self, const Durable& news) {
  SchedulerState& state = self->state;
  if (!news.status) {
    if (state.journal_lost) return;
    state.journal_lost = true;
    state.is_superseded = state.options.leads && news.status.error().code == ErrorCode::denied;
    state.options.on_journal_lost(news.status.error());
  }
  if (state.is_superseded) return state.waiting.clear();
  state.durable_ticket = std::max(state.durable_ticket, news.ticket);
  while (!state.questions.empty() &&
         (state.journal_lost || state.questions.front().ticket <= state.durable_ticket)) {
    state.questions.front().promise.deliver(std::move(state.questions.front().answer));
    state.questions.pop_front();
  }
  while (!state.waiting.empty() &&
         (state.journal_lost || state.waiting.front().ticket <= news.ticket)) {
    scheduler::Effects effects = std::move(state.waiting.front().effects);
    state.waiting.pop_front();
    if (state.options.durability == Durability::sync) release(self, effects);
    tell_ended(self, effects.ended);
  }
}

// How attempts ended is durable with what follows from it, which was just performed.
void note_recorded(Self* self, std::vector<scheduler::AttemptRef> attempts) {
  SchedulerState& state = self->state;
  if (state.is_superseded) return;
  const std::uint64_t ticket = state.last_ticket + (state.group.batches.empty() ? 0 : 1);
  if (!state.options.journal || state.durable_ticket >= ticket)
    self->send(state.options.worker, Recorded{std::move(attempts)});
  else
    state.unrecorded.emplace_back(ticket, std::move(attempts));
}

void tell_recorded(Self* self) {
  SchedulerState& state = self->state;
  Recorded recorded;
  for (; !state.unrecorded.empty() && state.unrecorded.front().first <= state.durable_ticket;
       state.unrecorded.pop_front()) {
    const auto& attempts = state.unrecorded.front().second;
    recorded.attempts.insert(recorded.attempts.end(), attempts.begin(), attempts.end());
  }
  if (!recorded.attempts.empty()) self->send(state.options.worker, std::move(recorded));
}

// Cancel or Pause: the named tasks of a run that is alive.
template <class Event, class Request>
Status steer(Self* self, const Request& request) {
  scheduler::Run* run = self->state.core.find(request.run);
  if (run == nullptr) return fail(ErrorCode::not_found, "no such run in this process");
  if (run->ended() && run->ended()->state != RunState::paused)
    return fail(ErrorCode::conflict, "the run is already finished");
  Event event{request.run, {}, request.reason};
  for (const std::string& name : request.tasks) {
    const std::optional<TaskId> task = run->find_task(name);
    if (!task)
      return fail(ErrorCode::not_found,
                  fmt::format("no task \"{}\" in this run", escape_for_terminal(name)));
    event.tasks.push_back(*task);
  }
  perform(self, self->state.core.handle(std::move(event), self->state.options.clock->now()));
  return {};
}

caf::result<Result<Payload>> value(Self* self, const AskValue& request) {
  SchedulerState& state = self->state;
  scheduler::Run* run = state.core.find(request.run);
  Result<Payload> answer =
      run != nullptr ? run->result_of(request.node)
                     : Result<Payload>(fail(ErrorCode::not_found, "no such run in this process"));
  if (!state.options.journal || state.journal_lost) return answer;
  write_out(self);
  if (state.durable_ticket >= state.last_ticket) return answer;
  state.questions.push_back({state.last_ticket, self->make_response_promise(), std::move(answer)});
  return caf::delegated<Result<Payload>>{};
}

void check_lead_later(Self* self) {
  caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), lead_check, CheckLead{});
}

caf::behavior scheduler_behavior(Self* self, std::shared_ptr<SchedulerActorOptions> options) {
  self->state.options = std::move(*options);
  self->state.core = scheduler::Scheduler{std::move(self->state.options.workers),
                                          std::move(self->state.options.policy)};
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
        if (self->state.options.leads)
          for (const scheduler::Report& each : event.reports) attempts.push_back(each.attempt);
        handle(std::move(event));
        if (!attempts.empty()) note_recorded(self, std::move(attempts));
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
      [self](const WriteOut&) {
        self->state.write_out_sent = false;
        if (self->state.options.journal) write_out(self);
      },
      [self](const CheckLead&) {
        SchedulerState& state = self->state;
        if (!state.journal_lost && state.group.batches.empty())
          self->send(state.options.journal, Append{++state.last_ticket, {}, {}});
        check_lead_later(self);
      },
      [self](const Durable& news) {
        durable(self, news);
        if (news.status) tell_recorded(self);
      },
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
