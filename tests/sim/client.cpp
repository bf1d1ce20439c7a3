#include "tests/sim/client.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "core/assert.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;
namespace wire = cluster::wire;
using wire::Kind;

Client::Client(World& world, Net& net, const Config& config, Checker& checker, std::size_t index)
    : NetNode(world, net, fmt::format("client-{}", index)), config_(config), checker_(checker) {
  net.add(*this);
  for (const Job& job : config.workload.jobs)
    if (job.client == index) asked_.push_back({.job = &job});
  for (Asked& asked : asked_)
    world.at(World::beginning() + asked.job->at, [this, &asked] {
      asked.is_due = true;
      if (is_alive() && !is_paused()) ask(asked);
    });
}

void Client::on_start() {
  hub_to_client_.emplace(*this, 1us, 40us);
  open_exchange(cluster::Role::client, config_);
  dial_server();
  const auto again = [this](const auto& self) -> void {
    for (Asked& asked : asked_) ask(asked);
    world().after(1s, *this, [self] { self(self); });
  };
  world().after(1s, *this, [again] { again(again); });
}

void Client::on_crash() {
  link_.reset();
  for (Asked& asked : asked_) asked.submit = asked.cancel = asked.watch = 0;
  close_exchange();
}

void Client::on_link(cluster::LinkEvent& event) {
  auto shared = std::make_shared<cluster::LinkEvent>(std::move(event));
  hub_to_client_->send([this, shared] { link_event(*shared); });
}

void Client::link_event(cluster::LinkEvent& event) {
  if (const auto* up = std::get_if<cluster::LinkUp>(&event)) {
    link_ = up->peer.link;
    for (Asked& asked : asked_) {
      asked.submit = asked.cancel = asked.watch = 0;
      ask(asked);
    }
  } else if (const auto* got = std::get_if<cluster::LinkMessages>(&event)) {
    if (link_ != got->link) return;
    for (const cluster::Message& each : got->messages) message(each);
  } else if (const auto* down = std::get_if<cluster::LinkDown>(&event)) {
    if (link_ == down->link) link_.reset();
  }
}

// Says what is to be said about one job and is not under way.
void Client::ask(Asked& asked) {
  if (!link_ || !asked.is_due) return;
  const auto say = [&](Kind kind, std::string bytes) {
    send(*link_, static_cast<std::uint16_t>(kind), std::move(bytes));
  };
  if (!asked.run) {
    if (asked.submit != 0) return;
    asked.submit = ++last_request_;
    RunOptions options;
    options.cache = asked.job->cache;
    wire::Submit submit;
    submit.request = asked.submit;
    submit.idempotency = asked.job->key;
    submit.flow = asked.job->flow;
    submit.options = actors::encode_options(options);
    return say(Kind::submit, encode(submit));
  }
  if (asked.wants_cancel && !asked.is_cancelled && !asked.ended && asked.cancel == 0) {
    asked.cancel = ++last_request_;
    say(Kind::cancel, encode(wire::Steer{asked.cancel, *asked.run, {}, "not wanted any more"}));
  }
  if (!asked.ended && asked.watch == 0) {
    asked.watch = ++last_request_;
    say(Kind::watch, encode(wire::Watch{asked.watch, *asked.run, 0}));
  }
}

void Client::message(const cluster::Message& message) {
  const auto decoded = [&](auto& answer) {
    const Status read = decode(message.bytes, answer);
    REPRISE_ASSERT(read.has_value(), message.kind);
  };
  switch (static_cast<Kind>(message.kind)) {
    case Kind::submitted: {
      wire::Submitted answer;
      decoded(answer);
      for (Asked& asked : asked_) {
        if (asked.submit != answer.request) continue;
        asked.submit = 0;
        checker_.told_accepted(*asked.job, answer.run);
        if (!asked.run) {
          asked.run = answer.run;
          if (asked.job->cancel_after)
            world().after(*asked.job->cancel_after, [this, &asked] {
              asked.wants_cancel = true;
              if (is_alive() && !is_paused()) ask(asked);
            });
        }
        ask(asked);
      }
      return;
    }
    case Kind::answer: {
      wire::Answer answer;
      decoded(answer);
      for (Asked& asked : asked_) {
        // What was refused is asked again, later.
        if (asked.submit == answer.request) asked.submit = 0;
        if (asked.watch == answer.request) asked.watch = 0;
        if (asked.cancel != answer.request) continue;
        asked.cancel = 0;
        asked.is_cancelled |= answer.status.has_value();
        if (answer.status) checker_.told_cancelled(*asked.run);
      }
      return;
    }
    case Kind::run_ended: {
      wire::RunEnded ended;
      decoded(ended);
      for (Asked& asked : asked_) {
        if (asked.watch != ended.request) continue;
        asked.watch = 0;
        if (!is_finished(ended.state)) continue;  // the server's journal is lost: nothing is known
        asked.ended = ended.state;
        checker_.told_end(ended.run, ended.state);
      }
      return;
    }
    default:
      return;
  }
}

bool Client::is_done() const {
  return std::ranges::all_of(asked_, [](const Asked& asked) { return asked.ended.has_value(); });
}

std::string Client::pending() const {
  std::string text;
  for (const Asked& asked : asked_)
    if (!asked.ended) text += fmt::format(" {}{}", asked.job->key, asked.run ? " (accepted)" : "");
  return text;
}

}  // namespace reprise::sim
