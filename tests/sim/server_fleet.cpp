// The part of Server that plays the fleet actor.
#include <algorithm>
#include <utility>

#include "actors/commit.hpp"
#include "core/assert.hpp"
#include "tests/sim/server_life.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;
namespace wire = cluster::wire;
using cluster::LinkNumber;
using scheduler::RunIndex;
using wire::Kind;

void Server::tell_scheduler(std::vector<scheduler::Report> reports) {
  if (has(Bug::lose_report))
    std::erase_if(reports, [this](const auto&) { return world().random.one_in(6); });
  if (has(Bug::mix_up_results))
    for (scheduler::Report& report : reports)
      if (report.outcome.state == TaskState::success)
        std::swap(report.outcome.value, life_->other_value);
  for (scheduler::Report& report : reports) {
    FailureClass& failure = report.outcome.failure;
    if (has(Bug::count_lost_as_try) && failure == FailureClass::worker_lost)
      failure = FailureClass::task;
    else if (has(Bug::retry_for_ever) && failure == FailureClass::task)
      failure = FailureClass::worker_lost;
  }
  if (reports.empty()) return;
  auto shared = std::make_shared<std::vector<scheduler::Report>>(std::move(reports));
  const int times = has(Bug::accept_report_twice) ? 2 : 1;
  for (int i = 0; i < times; ++i)
    life_->fleet_to_scheduler.send([this, shared] { handle(scheduler::Reported{*shared}); });
}

void Server::conclude(std::vector<cluster::EndedAttempt> ended) {
  if (ended.empty()) return;
  boundary("fleet concludes");
  std::vector<actors::Finished> batch;
  for (cluster::EndedAttempt& each : ended) {
    Attempt& attempt = each.attempt;
    if (has(Bug::cache_failure) && each.outcome.failure == FailureClass::task && attempt.key) {
      cache::Commit commit =
          actors::commit_of(*attempt.context, attempt.node, attempt.label, attempt.map_index,
                            *attempt.key, Payload::nil(), 1ms);
      static_cast<void>(cache_.store->commit({&commit, 1}, now()));
    }
    batch.push_back(
        {{{RunIndex{attempt.run}, attempt.task, attempt.number}, std::move(each.outcome)},
         std::move(attempt.context),
         attempt.node,
         attempt.map_index,
         std::move(attempt.label),
         attempt.key});
  }
  actors::ResultKeeper::Step step = life_->keeper.finished(std::move(batch), true);
  if (!step.given_up.keys.empty())
    life_->fleet_to_cache.send([this, news = std::move(step.given_up)] {
      life_->service.give_up(news.keys, news.why);
      look_again(news.keys);
    });
  tell_scheduler(std::move(step.reports));
  if (step.store.commits.empty()) return;
  if (has(Bug::report_before_store))
    tell_scheduler(life_->keeper.stored(
        {step.store.ticket, std::vector<std::string>(step.store.commits.size())}));
  auto shared = std::make_shared<actors::Store>(std::move(step.store));
  const Duration late = has(Bug::report_before_store) ? Duration{50ms} : Duration{0};
  world().after(late, *this, [this, shared] {
    life_->fleet_to_cache.send([this, shared] {
      const actors::Stored stored{shared->ticket, commit_all(shared->commits)};
      life_->cache_to_fleet.send([this, stored] { tell_scheduler(life_->keeper.stored(stored)); });
    });
  });
}

void Server::dispatch_to(LinkNumber number, std::vector<Attempt> attempts) {
  const auto found = life_->links.find(number);
  if (found == life_->links.end()) return;
  wire::Dispatch message;
  message.epoch = life_->epoch.number;
  for (Attempt& attempt : attempts) {
    if (found->second.contexts.insert(attempt.run).second)
      send(number, static_cast<std::uint16_t>(Kind::run_context),
           encode(wire::Context{attempt.run, attempt.context}));
    message.attempts.push_back({std::move(attempt), {}});
  }
  send(number, static_cast<std::uint16_t>(Kind::dispatch), encode(message));
}

void Server::fleet_perform() {
  life_->fleet.check_invariants();
  cluster::FleetEffects effects = life_->fleet.take_effects();
  for (auto& [number, attempts] : effects.dispatches) dispatch_to(number, std::move(attempts));
  for (auto& [number, attempts] : effects.stops)
    if (life_->links.contains(number))
      send(number, static_cast<std::uint16_t>(Kind::stop),
           encode(wire::Attempts{life_->epoch.number, std::move(attempts)}));
  for (auto& [number, attempts] : effects.acknowledged)
    if (life_->links.contains(number))
      send(number, static_cast<std::uint16_t>(Kind::acknowledged),
           encode(wire::Attempts{life_->epoch.number, std::move(attempts)}));
  for (auto& [number, attempts] : effects.retracts)
    if (life_->links.contains(number))
      send(number, static_cast<std::uint16_t>(Kind::retract),
           encode(wire::Attempts{life_->epoch.number, std::move(attempts)}));
  for (const LinkNumber number : effects.pings) {
    const auto link = life_->links.find(number);
    if (link == life_->links.end()) continue;
    link->second.pinged = {++life_->pings, world().now()};
    send(number, static_cast<std::uint16_t>(Kind::ping), encode(wire::Ping{life_->pings}));
  }
  for (const LinkNumber number : effects.lost) {
    const auto link = life_->links.find(number);
    if (link == life_->links.end()) continue;
    checker_.gave_up_worker(link->second.name, world().now() - link->second.heard,
                            config_.fleet.lost_after);
    close(number, {ErrorCode::unavailable, "it said nothing for too long"});
  }
  for (const LinkNumber number : effects.drained)
    close(number, {ErrorCode::cancelled, "it is drained: nothing is left to do"});
  // First: a worker is known before it is told what it has.
  if (effects.workers && !has(Bug::forget_new_workers))
    life_->fleet_to_scheduler.send(
        [this, workers = *std::move(effects.workers)] { handle(workers); });
  if (!effects.adopted.attempts.empty())
    life_->fleet_to_scheduler.send(
        [this, adopted = std::move(effects.adopted)] { handle(adopted); });
  if (!effects.began.starts.empty())
    life_->fleet_to_scheduler.send([this, began = std::move(effects.began)] { handle(began); });
  if (has(Bug::skip_worker_lost))
    std::erase_if(effects.ended, [](const cluster::EndedAttempt& each) {
      return each.outcome.failure == FailureClass::worker_lost;
    });
  conclude(std::move(effects.ended));
  if (!effects.returned.attempts.empty() && !has(Bug::forget_returned))
    life_->fleet_to_scheduler.send(
        [this, returned = std::move(effects.returned)] { handle(returned); });
  disk_.members = life_->fleet.members();
}

void Server::fleet_link(cluster::LinkEvent& event) {
  if (auto* up = std::get_if<cluster::LinkUp>(&event)) {
    WorkerLink& link = life_->links[up->peer.link];
    link.name = up->peer.identity.name;
    link.heard = world().now();
    if (up->peer.version >= wire::version_of_epochs)
      send(up->peer.link, static_cast<std::uint16_t>(Kind::welcome),
           encode(wire::Welcome{life_->epoch, config_.fleet.lost_after}));
    return;
  }
  if (auto* got = std::get_if<cluster::LinkMessages>(&event)) {
    const auto found = life_->links.find(got->link);
    if (found == life_->links.end()) return;
    found->second.heard = world().now();
    if (!has(Bug::declare_healthy_lost)) life_->fleet.heard(got->link, world().now());
    for (const cluster::Message& message : got->messages) fleet_message(got->link, message);
  } else if (const auto* down = std::get_if<cluster::LinkDown>(&event)) {
    if (life_->links.erase(down->link) == 0) return;
    life_->fleet.left(down->link, down->why.message, world().now());
  } else if (const auto* cut = std::get_if<cluster::LinkCut>(&event)) {
    life_->fleet.connected(cut->link, false);
  } else if (const auto* back = std::get_if<cluster::LinkBack>(&event)) {
    life_->fleet.connected(back->link, true);
  }
  fleet_perform();
}

void Server::fleet_message(LinkNumber number, const cluster::Message& message) {
  const auto decoded = [&](auto& request) {
    const Status read = decode(message.bytes, request);
    REPRISE_ASSERT(read.has_value(), message.kind);
  };
  switch (static_cast<Kind>(message.kind)) {
    case Kind::worker_hello: {
      wire::WorkerHello hello;
      decoded(hello);
      WorkerLink& link = life_->links.at(number);
      checker_.require(!std::exchange(link.joined, true), Invariant::fencing,
                       link.name + " said hello twice");
      cluster::WorkerCard card{link.name,       hello.slots,       hello.capacity, hello.labels,
                               hello.functions, hello.enforcement, hello.version};
      life_->fleet.joined(number, std::move(card), world().now(), std::move(hello.running));
      return;
    }
    case Kind::began: {
      wire::Began began;
      decoded(began);
      return life_->fleet.began(number, {std::move(began.starts)});
    }
    case Kind::reports: {
      wire::Reports reports;
      decoded(reports);
      const std::vector<scheduler::Report> all = reports.reports;
      auto ended = life_->fleet.reported(number, std::move(reports.reports), world().now());
      if (has(Bug::accept_late_report))
        for (const scheduler::Report& report : all) {
          const auto is_it = [&](const cluster::EndedAttempt& each) {
            return each.attempt.task == report.attempt.task;
          };
          const auto sent = life_->sent.find(name_of(report.attempt));
          if (std::ranges::none_of(ended, is_it) && sent != life_->sent.end())
            ended.push_back({sent->second, report.outcome});
        }
      // What was adopted is told of before how it ended.
      fleet_perform();
      return conclude(std::move(ended));
    }
    case Kind::rejected:
    case Kind::retracted: {
      wire::Refused refused;
      decoded(refused);
      world().trace("given back", refused.attempts.size(), refused.reason.size());
      return life_->fleet.refused(number, refused.attempts, refused.reason);
    }
    case Kind::pong: {
      wire::Ping ping;
      decoded(ping);
      const WorkerLink& link = life_->links.at(number);
      if (ping.number == link.pinged.first)
        life_->fleet.measured(number, world().now() - link.pinged.second);
      return;
    }
    case Kind::draining: {
      wire::Draining draining;
      decoded(draining);
      return life_->fleet.drain(number, draining.draining);
    }
    default:
      return;
  }
}

}  // namespace reprise::sim
