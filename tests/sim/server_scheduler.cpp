// The part of Server that plays the scheduler actor.
#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "actors/commit.hpp"
#include "core/assert.hpp"
#include "tests/sim/server_life.hpp"

namespace reprise::sim {

namespace wire = cluster::wire;
using scheduler::RunIndex;
using wire::Kind;

// An attempt goes by another number, or nobody has it any more.
void Server::rename(const scheduler::AttemptRef& from, std::uint32_t number) {
  const Name renamed{from.run.value, from.task.value, number};
  if (auto taken = life_->taken.extract(name_of(from))) {
    taken.key() = renamed;
    life_->taken.insert(std::move(taken));
  }
  if (auto sent = life_->sent.extract(name_of(from))) {
    sent.key() = renamed;
    life_->sent.insert(std::move(sent));
  }
}

void Server::forget(const scheduler::AttemptRef& attempt) {
  life_->taken.erase(name_of(attempt));
  life_->sent.erase(name_of(attempt));
}

// What the scheduler is told, as the checker sees it.
void Server::note(scheduler::Event& event) {
  const auto correct = [this](scheduler::AttemptRef& attempt) {
    const auto real = life_->real_number.find(name_of(attempt));
    if (real != life_->real_number.end()) attempt.number = real->second;
  };
  if (auto* changed = std::get_if<scheduler::WorkersChanged>(&event)) {
    for (const scheduler::WorkerId gone : changed->gone) life_->offers.erase(gone);
    for (scheduler::WorkerOffer& offer : changed->workers) {
      life_->offers[offer.id] = offer;
      if (!has(Bug::over_dispatch)) continue;
      ++offer.slots;
      offer.capacity.cpu_milli += 1000;
    }
  } else if (auto* reported = std::get_if<scheduler::Reported>(&event)) {
    for (scheduler::Report& report : reported->reports) {
      correct(report.attempt);
      checker_.reported(report);
      forget(report.attempt);
    }
  } else if (auto* returned = std::get_if<scheduler::Returned>(&event)) {
    for (scheduler::Returned::Attempt& back : returned->attempts) {
      correct(back.attempt);
      checker_.returned(back.attempt);
      forget(back.attempt);
    }
  } else if (const auto* adopted = std::get_if<scheduler::Adopted>(&event)) {
    for (const scheduler::Adopted::One& each : adopted->attempts) {
      checker_.adopted(each);
      if (const auto taken = life_->taken.find(name_of(each.attempt));
          taken != life_->taken.end() && each.worker != 0) {
        taken->second.worker = each.worker;
        taken->second.is_adopted = true;
      }
      rename(each.attempt, each.number);
    }
  } else if (const auto* answers = std::get_if<scheduler::LookedUp>(&event)) {
    world().trace("looked up", answers->answers.size(), answers->waits.size());
  }
}

// So much more than it runs a worker may have in hand.
std::uint32_t Server::queued_most(const scheduler::WorkerOffer& offer) const {
  const double turnaround = 150e-6 + seconds(offer.round_trip);
  const double shortest = seconds(config_.workload.shortest());
  if (shortest > 50 * turnaround) return 0;
  return offer.slots * static_cast<std::uint32_t>(std::ceil(1.5 * turnaround / shortest));
}

void Server::check_placement(const std::set<scheduler::WorkerId>& given) const {
  for (const scheduler::WorkerId id : given) {
    const scheduler::WorkerOffer& offer = life_->offers.at(id);
    std::uint32_t count = 0;
    std::uint64_t milli = 0, memory = 0;
    bool is_special = false, is_adopted = false;
    for (const auto& [name, taken] : life_->taken) {
      if (taken.worker != id) continue;
      ++count;
      milli += taken.resources.cpu_milli;
      memory += taken.resources.memory_bytes;
      is_special |= taken.resources.cpu_milli > 1000 || taken.resources.memory_bytes > 0;
      is_adopted |= taken.is_adopted || taken.is_kept;
    }
    // What was adopted is there, whether there is room or not.
    if (is_adopted) continue;
    const std::uint32_t most = offer.slots + queued_most(offer);
    checker_.took(offer.name, "attempts", count, is_special ? offer.slots : most);
    if (is_special) checker_.took(offer.name, "processors", milli, offer.capacity.cpu_milli);
    checker_.took(offer.name, "memory", memory, offer.capacity.memory_bytes);
  }
}

void Server::handle(scheduler::Event event) {
  boundary("scheduler takes an event");
  std::vector<scheduler::AttemptRef> attempts;
  note(event);
  if (const auto* reported = std::get_if<scheduler::Reported>(&event))
    for (const scheduler::Report& report : reported->reports) attempts.push_back(report.attempt);
  scheduler::Effects effects = life_->core.handle(std::move(event), now());
  life_->core.check_invariants();
  for (const journal::Batch& batch : effects.batches) {
    checker_.appended(batch);
    for (const journal::TaskChange& change : batch.tasks) check_stored(change);
  }
  std::set<scheduler::WorkerId> given;
  for (const Attempt& attempt : effects.dispatches) {
    checker_.dispatched(attempt);
    given.insert(attempt.worker);
    const auto offer = life_->offers.find(attempt.worker);
    checker_.require(offer != life_->offers.end(), Invariant::resource_safety,
                     "a task is dispatched to a worker that is not there");
    const Name name{attempt.run, attempt.task.value, attempt.number};
    life_->taken[name] = {attempt.worker, attempt.context->flow->kind_of(attempt.node).resources,
                          false, !offer->second.takes_work};
    life_->sent[name] = attempt;
  }
  check_placement(given);
  perform(std::move(effects));
  carry_out(life_->recorder.reported(std::move(attempts)));
}

void Server::perform(scheduler::Effects effects) {
  for (const journal::Batch& batch : effects.batches)
    for (const journal::TaskChange& change : batch.tasks)
      world().trace("task", change.task.value, static_cast<std::uint64_t>(change.state));
  if (effects.wake_at) wake_at(*effects.wake_at);
  if (has(Bug::tell_end_before_append) && !effects.ended.empty()) {
    actors::Recorder::Step early;
    early.ended = effects.ended;
    for (const scheduler::Ended& ended : effects.ended)
      if (const auto run = life_->run_of.find(ended.run); run != life_->run_of.end())
        life_->ended_as[run->second] = ended.state;
    carry_out(std::move(early));
  }
  const bool was_told = has(Bug::tell_end_before_append);
  actors::Recorder::Step step =
      life_->recorder.perform(std::move(effects), [this](const RunIndex& index) {
        const scheduler::Run* run = life_->core.find(index);
        REPRISE_ASSERT(run != nullptr, index.value);
        journal::Summary summary = run->totals().whole;
        if (has(Bug::miscount_executed)) ++summary.executed;
        return std::pair(run->context().run, summary);
      });
  if (was_told) step.ended.clear();
  carry_out(std::move(step));
}

void Server::carry_out(actors::Recorder::Step step) {
  for (scheduler::Effects& effects : step.act) act(effects);
  for (const scheduler::Ended& ended : step.ended) {
    const auto run = life_->run_of.find(ended.run);
    if (run == life_->run_of.end()) continue;
    const RunId id = run->second;
    scheduler::Run* made = life_->core.find(ended.run);
    const std::uint64_t past_cache = made != nullptr ? made->take_past_cache() : 0;
    life_->scheduler_to_cache.send([this, index = ended.run, past_cache] {
      const std::vector<Key> free = life_->service.end_run(index, past_cache);
      look_again(free);
    });
    if (!has(Bug::forget_run_over))
      life_->scheduler_to_fleet.send([this, id, index = ended.run] {
        for (auto& [number, link] : life_->links)
          if (link.contexts.erase(index.value) > 0)
            send(number, static_cast<std::uint16_t>(Kind::forget_run),
                 encode(wire::ForgetRun{index.value}));
        life_->fleet.run_over(id);
        fleet_perform();
      });
    if (made != nullptr && !life_->journal_failed) checker_.ended(id, ended, made->totals().whole);
    life_->engine_to_desk.send([this, id] { desk([this, id] { run_ended(id); }); });
  }
  for (actors::Append& each : step.appends) {
    boundary("scheduler appends");
    auto shared = std::make_shared<actors::Append>(std::move(each));
    life_->scheduler_to_journal.send([this, shared] { append(std::move(*shared)); });
  }
  if (!step.recorded.empty() && !has(Bug::forget_acknowledgement))
    life_->scheduler_to_fleet.send([this, recorded = std::move(step.recorded)] {
      life_->fleet.recorded(recorded);
      fleet_perform();
    });
  if (step.wants_write_out)
    world().after(actors::Recorder::group_age, *this,
                  [this] { carry_out(life_->recorder.write_out()); });
}

void Server::act(scheduler::Effects& effects) {
  if (!effects.look_ups.empty()) {
    boundary("scheduler looks up");
    auto shared = std::make_shared<std::vector<Attempt>>(std::move(effects.look_ups));
    life_->scheduler_to_cache.send([this, shared] { look_up(std::move(*shared)); });
  }
  for (scheduler::Keep& keep : effects.keeps) {
    auto shared = std::make_shared<scheduler::Keep>(std::move(keep));
    life_->scheduler_to_cache.send([this, shared] {
      if (shared->value.is_none()) {
        life_->service.give_up({&shared->key, 1}, {});
        return look_again({&shared->key, 1});
      }
      std::vector<cache::Commit> commits{actors::commit_of(*shared)};
      std::string why = std::move(commit_all(commits).front());
      const scheduler::Kept kept{shared->attempt, why.empty(), why};
      life_->cache_to_scheduler.send([this, kept] { handle(kept); });
    });
  }
  if (!effects.dispatches.empty()) {
    boundary("scheduler dispatches");
    if (has(Bug::mix_up_workers) && life_->links.size() > 1)
      for (Attempt& attempt : effects.dispatches)
        attempt.worker = attempt.worker == life_->links.begin()->first
                             ? life_->links.rbegin()->first
                             : life_->links.begin()->first;
    if (has(Bug::reuse_attempt_number))
      for (Attempt& attempt : effects.dispatches) {
        const std::uint32_t real = std::exchange(attempt.number, 1);
        life_->real_number[{attempt.run, attempt.task.value, 1}] = real;
      }
    auto shared = std::make_shared<std::vector<Attempt>>(std::move(effects.dispatches));
    life_->scheduler_to_fleet.send([this, shared] {
      life_->fleet.dispatch(std::move(*shared));
      fleet_perform();
    });
  }
  if (!effects.stops.empty()) {
    boundary("scheduler stops");
    life_->scheduler_to_fleet.send([this, stops = std::move(effects.stops)] {
      life_->fleet.stop(stops, world().now());
      fleet_perform();
    });
  }
  if (!effects.retracts.empty()) {
    boundary("scheduler retracts");
    world().trace("retracts", effects.retracts.size());
    life_->scheduler_to_fleet.send([this, retracts = std::move(effects.retracts)] {
      life_->fleet.retract(retracts);
      fleet_perform();
    });
  }
}

void Server::wake_at(Time at) {
  if (life_->wake && *life_->wake <= at) return;
  life_->wake = at;
  const std::uint64_t generation = ++life_->wake_generation;
  world().after(std::max(at - now(), Duration{0}), *this, [this, generation] {
    if (generation != life_->wake_generation) return;
    life_->wake.reset();
    handle(scheduler::Tick{});
  });
}

void Server::durable(const actors::Durable& news) {
  boundary("scheduler hears of the disk");
  if (life_->recorder.is_lost() && !news.status) return;
  if (!news.status) {
    // As the engine has it: nothing more is begun, and all runs end.
    life_->journal_failed = true;
    for (const auto& [run, index] : life_->index_of) {
      checker_.cancel_asked(run);
      life_->desk_to_scheduler.send([this, index = index] {
        scheduler::Run* open = life_->core.find(index);
        if (open != nullptr && !open->ended())
          handle(scheduler::Cancel{index, {}, "the journal could not be written"});
      });
    }
  }
  actors::Recorder::Step step = life_->recorder.durable(news);
  while (!life_->questions.empty() &&
         (life_->recorder.is_lost() ||
          life_->questions.front().ticket <= life_->recorder.durable_ticket())) {
    life_->questions.front().answer(life_->recorder.trouble());
    life_->questions.pop_front();
  }
  carry_out(std::move(step));
}

// What is told to be kept is kept. A server that loses what it has may have lost this, too.
void Server::check_stored(const journal::TaskChange& change) const {
  if (config_.has_redis || change.cache != journal::CacheOutcome::stored) return;
  const auto kept = cache_.store->versions(change.detail->key->text());
  checker_.require(
      kept && !kept->empty(), Invariant::no_wrong_cache,
      fmt::format("task {} says that its result is kept, and it is not", change.task.value));
}

}  // namespace reprise::sim
