#include "tests/sim/worker.hpp"

#include <algorithm>
#include <utility>

#include "core/assert.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;
namespace wire = cluster::wire;
using wire::Kind;

namespace {

scheduler::AttemptRef ref_of(const Attempt& attempt) {
  return {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
}

}  // namespace

Worker::Worker(World& world, Net& net, const Config& config, Checker& checker, std::string name,
               std::uint32_t slots)
    : NetNode(world, net, std::move(name)), config_(config), checker_(checker), slots_(slots) {
  net.add(*this);
}

void Worker::on_start() {
  node_.emplace();
  hub_to_node_.emplace(*this, 1us, 40us);
  slots_to_node_.emplace(*this, 1us, 200us);
  cluster::ExchangeOptions options;
  options.self.role = cluster::Role::worker;
  options.self.name = name();
  options.secret = std::string(cluster::min_secret_bytes, 's');
  options.accepted = {};
  options.resume_window = config_.resume_window;
  options.times.silence = config_.silence;
  options.may_send = wire::may_send;
  open_exchange(std::move(options));
  cluster::DialOptions dial;
  dial.address = "server";
  static_cast<void>(exchange->dial(std::move(dial)));
  net().pump(*this);
}

void Worker::on_crash() {
  node_.reset();
  link_.reset();
  waiting_.clear();
  running_.clear();
  taken_ = 0;
  checker_.worker_died(name());
  close_exchange();
}

void Worker::leave() {
  if (!is_alive()) return;
  node_->leave();
  perform();
}

void Worker::on_link(cluster::LinkEvent& event) {
  auto shared = std::make_shared<cluster::LinkEvent>(std::move(event));
  hub_to_node_->send([this, shared] { link_event(*shared); });
}

void Worker::link_event(cluster::LinkEvent& event) {
  if (const auto* up = std::get_if<cluster::LinkUp>(&event)) {
    link_ = up->peer.link;
    node_->linked();
  } else if (const auto* got = std::get_if<cluster::LinkMessages>(&event)) {
    if (link_ != got->link) return;
    for (const cluster::Message& each : got->messages) {
      message(each);
      perform();
    }
  } else if (const auto* down = std::get_if<cluster::LinkDown>(&event)) {
    if (link_ != down->link) return;
    link_.reset();
    if (has(Bug::keep_running_unlinked))
      node_.emplace();
    else
      node_->unlinked(now());
  }
  perform();
}

void Worker::message(const cluster::Message& message) {
  const auto decoded = [&](auto& request) {
    const Status read = decode(message.bytes, request);
    REPRISE_ASSERT(read.has_value(), message.kind);
  };
  switch (static_cast<Kind>(message.kind)) {
    case Kind::ping:
      return say(Kind::pong, message.bytes);
    case Kind::run_context: {
      wire::Context context;
      decoded(context);
      return node_->run_began(context.run, std::move(context.context));
    }
    case Kind::dispatch: {
      wire::Dispatch dispatch;
      const auto context_of = [&](std::uint32_t run) { return node_->context_of(run); };
      const Status read = decode(message.bytes, context_of, dispatch);
      checker_.require(read.has_value(), Invariant::no_phantom,
                       name() + " was sent an attempt of a run that it was not told of");
      std::vector<Attempt> attempts;
      for (wire::Dispatched& each : dispatch.attempts) attempts.push_back(std::move(each.attempt));
      return node_->dispatched(std::move(attempts));
    }
    case Kind::stop: {
      wire::Attempts stops;
      decoded(stops);
      return node_->stop(stops.attempts, now());
    }
    case Kind::forget_run: {
      wire::ForgetRun over;
      decoded(over);
      return node_->run_over(over.run);
    }
    default:
      return;
  }
}

void Worker::say(Kind kind, std::string bytes) {
  if (link_) send(*link_, static_cast<std::uint16_t>(kind), std::move(bytes));
}

void Worker::perform() {
  for (;;) {
    node_->check_invariants();
    cluster::NodeEffects effects = node_->take_effects();
    if (effects.hello) {
      wire::WorkerHello hello;
      hello.slots = slots_;
      say(Kind::worker_hello, encode(hello));
    }
    if (effects.draining) say(Kind::draining, encode(wire::Draining{true}));
    if (!effects.refused.empty())
      say(Kind::rejected, encode(wire::Refused{std::move(effects.refused), "it leaves"}));
    if (!effects.began.starts.empty())
      say(Kind::began, encode(wire::Began{std::move(effects.began.starts)}));
    if (!effects.reports.empty())
      say(Kind::reports, encode(wire::Reports{std::move(effects.reports)}));
    for (Attempt& attempt : effects.starts) waiting_.push_back(std::move(attempt));
    start_some();
    for (const scheduler::AttemptRef& each : effects.stops) stop(each);
    if (effects.left) {
      world().after(1ms, *this, [this] { crash(); });
      world().after(500ms, [this] { start(); });
      return;
    }
    if (effects.gathers.empty()) return;
    // Values here are small: all of them came with the message.
    for (Attempt& attempt : effects.gathers) node_->gathered(std::move(attempt), {});
  }
}

// ---- slots

void Worker::start_some() {
  while (!waiting_.empty()) {
    const Attempt& next = waiting_.front();
    const std::uint32_t milli = next.context->flow->kind_of(next.node).resources.cpu_milli;
    const std::uint32_t width = std::min(slots_, std::max(1U, milli / 1000));
    if (taken_ + width > slots_) return;
    Attempt attempt = std::move(waiting_.front());
    waiting_.pop_front();
    begin(std::move(attempt));
  }
}

void Worker::begin(Attempt attempt) {
  boundary("worker starts a body");
  const FlowSpec& flow = *attempt.context->flow;
  const TaskKind& kind = flow.kind_of(attempt.node);
  const Behavior& behavior = config_.workload.behavior_of(flow, attempt.node);
  const Name name{attempt.run, attempt.task.value, attempt.number};
  Running& running = running_[name];
  running.width = std::min(slots_, std::max(1U, kind.resources.cpu_milli / 1000));
  taken_ += running.width;
  running.execution = checker_.began(this->name(), life(), slots_, attempt);
  running.started = now();

  Outcome outcome;
  outcome.started = running.started;
  outcome.executed = true;
  outcome.exit_code = running.execution;
  Duration takes = world().random.between(behavior.least, behavior.most);
  const bool hangs = behavior.hangs_first && attempt.run_count == 1;
  if (hangs || (kind.timeout > Duration{0} && takes > kind.timeout)) {
    takes = kind.timeout;
    outcome.state = TaskState::timed_out;
    outcome.failure = FailureClass::timeout;
    outcome.message = "took too long";
  } else if (attempt.run_count <= behavior.fails_first) {
    outcome.state = TaskState::failed;
    outcome.failure = FailureClass::task;
    outcome.message = "it is meant to fail";
  } else {
    outcome.state = TaskState::success;
    const auto salt = behavior.is_random ? static_cast<std::uint64_t>(running.execution) : 0;
    outcome.value = value_for(behavior, kind.cache_name, attempt.arguments, salt);
  }
  outcome.duration = takes;
  running.attempt = std::move(attempt);
  const std::int32_t execution = running.execution;
  world().after(takes, *this, [this, name, execution, outcome] { end(name, execution, outcome); });
  if (takes > 20ms)
    world().after(world().random.between(20ms, 40ms), *this, [this, name, execution] {
      const auto found = running_.find(name);
      if (found == running_.end() || found->second.execution != execution) return;
      slots_to_node_->send(
          [this, ref = ref_of(found->second.attempt), started = found->second.started] {
            node_->began({{{ref, started}}});
            perform();
          });
    });
}

void Worker::stop(const scheduler::AttemptRef& ref) {
  const auto is_it = [&](const Attempt& attempt) { return ref_of(attempt) == ref; };
  if (const auto found = std::ranges::find_if(waiting_, is_it); found != waiting_.end()) {
    waiting_.erase(found);
    Outcome outcome;
    outcome.state = TaskState::cancelled;
    outcome.failure = FailureClass::cancelled;
    outcome.started = now();
    return report({ref, std::move(outcome)});
  }
  const Name name{ref.run.value, ref.task.value, ref.number};
  const auto found = running_.find(name);
  if (found == running_.end()) return;
  checker_.stopped(found->second.execution);
  if (has(Bug::ignore_stop) || std::exchange(found->second.is_stopping, true)) return;
  Outcome outcome;
  outcome.state = TaskState::cancelled;
  outcome.failure = FailureClass::cancelled;
  outcome.message = "cancelled";
  outcome.started = found->second.started;
  outcome.executed = true;
  outcome.exit_code = found->second.execution;
  const Duration takes = world().random.between(1ms, checker_.grace / 2);
  world().after(takes, *this, [this, name, execution = found->second.execution, outcome] {
    end(name, execution, outcome);
  });
}

void Worker::end(const Name& name, std::int32_t execution, Outcome outcome) {
  const auto found = running_.find(name);
  if (found == running_.end() || found->second.execution != execution) return;
  boundary("worker ends a body");
  checker_.finished(execution, outcome);
  const scheduler::AttemptRef ref = ref_of(found->second.attempt);
  taken_ -= found->second.width;
  running_.erase(found);
  report({ref, std::move(outcome)});
  start_some();
}

void Worker::report(scheduler::Report report) {
  auto shared = std::make_shared<scheduler::Report>(std::move(report));
  slots_to_node_->send([this, shared] {
    if (has(Bug::keep_running_unlinked))
      return say(Kind::reports, encode(wire::Reports{{std::move(*shared)}}));
    node_->reported({std::move(*shared)});
    perform();
  });
}

void Worker::check_quiet() const {
  if (!is_alive()) return;
  checker_.require(running_.empty() && waiting_.empty() && node_->in_hand() == 0,
                   Invariant::no_orphan, name() + " still runs something");
  checker_.require(node_->folders_in_use().empty(), Invariant::bounded_memory,
                   name() + " remembers runs that are over");
}

}  // namespace reprise::sim
