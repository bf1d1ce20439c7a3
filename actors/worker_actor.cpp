#include "actors/worker_actor.hpp"

#include <caf/all.hpp>

#include "actors/finished_queue.hpp"
#include "actors/lent_thread.hpp"
#include "actors/messages.hpp"
#include "actors/result_keeper.hpp"
#include "worker/gpu_set.hpp"
#include "worker/slot_pool.hpp"

namespace reprise::actors {

namespace {

struct Look {};  // to itself, now and then: which attempts have been running for a while?

struct Collect {};  // from the slots: something is in the queue

// Shorter attempts are never announced as running: their end says it all, at half the messages.
constexpr Duration announce_after = std::chrono::milliseconds{20};

}  // namespace

}  // namespace reprise::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Look)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Collect)

namespace reprise::actors {

namespace {

struct WorkerState {
  static inline const char* name = "worker";
  WorkerActorOptions options;
  std::shared_ptr<FinishedQueue<Finished>> queue = std::make_shared<FinishedQueue<Finished>>();
  worker::GpuSet gpus;
  std::unique_ptr<worker::SlotPool> pool;  // after the queue: its slots use it until it is closed
  caf::actor_addr scheduler;
  ResultKeeper keeper;
  std::size_t in_flight = 0;
  bool looking = false;
  Time announced_until;  // starts up to here were announced
};

using Self = caf::stateful_actor<WorkerState>;

scheduler::AttemptRef to_ref(const worker::AttemptId& id) {
  return {scheduler::RunIndex{id.run}, id.task, id.number};
}

worker::AttemptId to_id(const scheduler::AttemptRef& attempt) {
  return {attempt.run.value, attempt.task, attempt.number};
}

std::vector<worker::AttemptId> to_ids(const std::vector<scheduler::AttemptRef>& attempts) {
  std::vector<worker::AttemptId> ids;
  for (const scheduler::AttemptRef& attempt : attempts) ids.push_back(to_id(attempt));
  return ids;
}

void report(Self* self, std::vector<scheduler::Report> reports) {
  if (reports.empty()) return;
  self->state.in_flight -= std::min(self->state.in_flight, reports.size());
  if (const auto to = caf::actor_cast<caf::actor>(self->state.scheduler))
    self->send(to, scheduler::Reported{std::move(reports)});
}

void look_again(Self* self) {
  if (self->state.looking || self->state.in_flight == 0) return;
  self->state.looking = true;
  caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), announce_after, Look{});
}

void look(Self* self) {
  WorkerState& state = self->state;
  state.looking = false;
  const Time until = now() - announce_after;
  scheduler::Began began;
  for (const worker::RunningAttempt& running : state.pool->running()) {
    if (running.started <= state.announced_until || running.started > until) continue;
    began.starts.push_back({to_ref(running.id), running.started});
  }
  state.announced_until = until;
  if (!began.starts.empty())
    if (const auto to = caf::actor_cast<caf::actor>(state.scheduler))
      self->send(to, std::move(began));
  look_again(self);
}

void finished(Self* self, std::vector<Finished> batch) {
  WorkerState& state = self->state;
  if (state.options.gpus > 0)
    for (const Finished& item : batch) state.gpus.release(to_id(item.report.attempt));
  ResultKeeper::Step step =
      state.keeper.finished(std::move(batch), static_cast<bool>(state.options.cache));
  if (!step.given_up.keys.empty() && state.options.cache)
    self->send(state.options.cache, std::move(step.given_up));
  report(self, std::move(step.reports));
  if (!step.store.commits.empty()) self->send(state.options.cache, std::move(step.store));
}

// Called on slot threads: keeps large values, hands the batch to the actor, and carries out what
// follows from it where actors can be run by other threads.
void deliver(const caf::actor_addr& to, LentThread* thread, FinishedQueue<Finished>& queue,
             cache::BlobStore* blobs, std::vector<worker::Finished> batch) {
  std::vector<Finished> items;
  items.reserve(batch.size());
  for (worker::Finished& done : batch) {
    Outcome& outcome = done.outcome;
    if (blobs != nullptr && outcome.value.size > journal::inline_result_bytes) {
      // Whoever needs it in this run has it in memory; a process that goes on with the run finds
      // that it is nowhere and makes it again.
      if (const Status kept = blobs->put_value(outcome.value); !kept)
        outcome.uncacheable = "it could not be kept: " + kept.error().message;
    }
    Finished& item = items.emplace_back();
    item.report.attempt = to_ref(done.id);
    item.report.outcome = std::move(outcome);
    item.context = std::move(done.context);
    item.node = done.node;
    item.map_index = done.map_index;
    item.label = std::move(done.label);
    item.key = done.key;
  }
  if (!queue.put(std::move(items))) return;
  const LentThread::Loan loan(thread);
  if (const auto actor = caf::actor_cast<caf::actor>(to)) caf::anon_send(actor, Collect{});
}

// Whoever sent the attempts has counted the GPUs: there are as many as they ask for. Those of an
// attempt that is over are free before anybody hears of its end.
void give_gpus(Self* self, std::vector<Attempt>& attempts) {
  if (self->state.options.gpus == 0) return;
  for (Attempt& attempt : attempts) {
    if (attempt.question) continue;
    const auto& custom = attempt.context->flow->kind_of(attempt.node).resources.custom;
    const auto wanted = custom.find(std::string(gpus_name));
    if (wanted == custom.end() || wanted->second == 0) continue;
    auto taken = self->state.gpus.take({attempt.run, attempt.task, attempt.number}, wanted->second);
    if (taken) attempt.gpus = *std::move(taken);
  }
}

void retract(Self* self, const Retract& wanted) {
  WorkerState& state = self->state;
  Retracted answer;
  for (const worker::AttemptId& id : state.pool->retract(to_ids(wanted.attempts))) {
    state.gpus.release(id);
    answer.attempts.push_back(to_ref(id));
  }
  state.in_flight -= std::min(state.in_flight, answer.attempts.size());
  if (const auto to = caf::actor_cast<caf::actor>(state.scheduler))
    self->send(to, std::move(answer));
}

caf::behavior worker_behavior(Self* self, std::shared_ptr<WorkerActorOptions> options) {
  WorkerState& state = self->state;
  state.options = std::move(*options);
  state.gpus = worker::GpuSet{state.options.gpus};
  worker::SlotPool::Options pool;
  pool.slots = state.options.slots;
  pool.grace = state.options.grace;
  pool.warn = state.options.warn;
  state.pool = std::make_unique<worker::SlotPool>(
      std::move(pool), state.options.runner,
      [me = caf::actor_cast<caf::actor_addr>(self), thread = LentThread::of(self->system()),
       queue = state.queue, blobs = state.options.blobs](std::vector<worker::Finished> batch) {
        deliver(me, thread, *queue, blobs.get(), std::move(batch));
      });
  return {
      [self](const Serve& serve) {
        self->state.scheduler = caf::actor_cast<caf::actor_addr>(serve.scheduler);
      },
      [self](Dispatch& dispatch) {
        self->state.in_flight += dispatch.attempts.size();
        give_gpus(self, dispatch.attempts);
        self->state.pool->submit(std::move(dispatch.attempts));
        look_again(self);
      },
      [self](const Stop& stop) { self->state.pool->cancel(to_ids(stop.attempts)); },
      [self](const Retract& wanted) { retract(self, wanted); },
      [self](const Withdraw&) { self->state.pool->cancel_waiting(); },
      [self](const Collect&) { finished(self, self->state.queue->take()); },
      [self](const Stored& answer) { report(self, self->state.keeper.stored(answer)); },
      [self](const Look&) { look(self); },
      [](const RunOver&) {},
  };
}

}  // namespace

caf::actor spawn_worker_actor(caf::actor_system& system, WorkerActorOptions options) {
  return system.spawn(worker_behavior, std::make_shared<WorkerActorOptions>(std::move(options)));
}

}  // namespace reprise::actors
