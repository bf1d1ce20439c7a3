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
               std::size_t number)
    : NetNode(world, net, std::move(name)), config_(config), checker_(checker) {
  card_.slots = config.worker_slots[number];
  card_.capacity = {card_.slots * 1000, worker_memory, {}};
  if (number == 0) card_.labels["zone"] = "first";
  card_.functions = {body_function};
  card_.version = "sim";
  net.add(*this);
}

void Worker::make_node() {
  cluster::NodeOptions options = config_.node;
  options.capacity = card_.capacity;
  node_.emplace(std::move(options));
}

void Worker::on_start() {
  make_node();
  hub_to_node_.emplace(*this, 1us, 40us);
  slots_to_node_.emplace(*this, 1us, 200us);
  open_exchange(cluster::Role::worker, config_);
  dial_server();
  const auto look_around = [this](const auto& again) -> void {
    node_->tick(world().now());
    perform();
    world().after(100ms, *this, [again] { again(again); });
  };
  world().after(100ms, *this, [look_around] { look_around(look_around); });
}

void Worker::on_crash() {
  node_.reset();
  link_.reset();
  waiting_.clear();
  running_.clear();
  is_leaving_ = false;
  checker_.worker_died(name());
  close_exchange();
}

void Worker::leave() {
  if (!is_alive()) return;
  is_leaving_ = true;
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
    node_->linked(up->peer.version >= wire::version_of_epochs, world().now());
  } else if (const auto* got = std::get_if<cluster::LinkMessages>(&event)) {
    if (link_ != got->link) return;
    node_->heard(world().now());
    for (const cluster::Message& each : got->messages) {
      const Status handled = message(each);
      perform();
      if (handled || !link_) continue;
      close(*link_, handled.error());
      return;
    }
  } else if (const auto* down = std::get_if<cluster::LinkDown>(&event)) {
    if (link_ != down->link) return;
    link_.reset();
    if (has(Bug::keep_running_unlinked))
      make_node();
    else
      node_->unlinked(world().now());
  }
  perform();
}

Status Worker::message(const cluster::Message& message) {
  const auto decoded = [&](auto& request) {
    const Status read = decode(message.bytes, request);
    REPRISE_ASSERT(read.has_value(), message.kind);
  };
  switch (static_cast<Kind>(message.kind)) {
    case Kind::ping:
      say(Kind::pong, message.bytes);
      return {};
    case Kind::run_context: {
      wire::Context context;
      decoded(context);
      node_->run_began(context.run, std::move(context.context));
      return {};
    }
    case Kind::dispatch: {
      wire::Dispatch dispatch;
      const auto context_of = [&](std::uint32_t run) { return node_->context_of(run); };
      const Status read = decode(message.bytes, context_of, dispatch);
      checker_.require(read.has_value(), Invariant::no_phantom,
                       name() + " was sent an attempt of a run that it was not told of");
      std::vector<Attempt> attempts;
      for (wire::Dispatched& each : dispatch.attempts) attempts.push_back(std::move(each.attempt));
      return node_->dispatched(dispatch.epoch, std::move(attempts));
    }
    case Kind::stop: {
      wire::Attempts stops;
      decoded(stops);
      return node_->stop(stops.epoch, stops.attempts, world().now());
    }
    case Kind::retract: {
      wire::Attempts wanted;
      decoded(wanted);
      return node_->retract(wanted.epoch, wanted.attempts);
    }
    case Kind::forget_run: {
      wire::ForgetRun over;
      decoded(over);
      node_->run_over(over.run);
      return {};
    }
    case Kind::welcome: {
      wire::Welcome welcome;
      decoded(welcome);
      return node_->welcomed(welcome.epoch, welcome.lost_after, world().now());
    }
    case Kind::acknowledged: {
      wire::Attempts known;
      decoded(known);
      node_->acknowledged(known.attempts);
      return {};
    }
    default:
      return {};
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
      hello.slots = card_.slots;
      hello.capacity = card_.capacity;
      hello.labels = card_.labels;
      hello.functions = card_.functions;
      hello.version = card_.version;
      hello.epoch = effects.hello->epoch;
      hello.running = std::move(effects.hello->inventory);
      say(Kind::worker_hello, encode(hello));
    }
    if (effects.draining) say(Kind::draining, encode(wire::Draining{true}));
    if (!effects.refused.empty())
      say(Kind::rejected, encode(wire::Refused{std::move(effects.refused), {}}));
    for (auto& [attempt, reason] : effects.rejected)
      say(Kind::rejected, encode(wire::Refused{{attempt}, std::move(reason)}));
    if (!effects.retracted.empty())
      say(Kind::retracted, encode(wire::Refused{std::move(effects.retracted), {}}));
    if (!effects.began.starts.empty())
      say(Kind::began, encode(wire::Began{std::move(effects.began.starts)}));
    if (!effects.reports.empty())
      say(Kind::reports, encode(wire::Reports{std::move(effects.reports)}));
    for (Attempt& attempt : effects.starts) waiting_.push_back(std::move(attempt));
    start_some();
    for (const scheduler::AttemptRef& each : effects.stops) stop(each);
    if (!effects.retracts.empty()) give_back(effects.retracts);
    if (effects.withdraw)
      for (const Attempt& each : std::deque<Attempt>(waiting_)) stop(ref_of(each));
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
  while (!waiting_.empty() && running_.size() < card_.slots) {
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
  running.execution = checker_.began(this->name(), life(), card_, attempt);
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
  outcome.duration = std::max(now() - outcome.started, Duration{0});
  outcome.executed = true;
  outcome.exit_code = found->second.execution;
  const Duration takes = world().random.between(1ms, checker_.grace / 2);
  world().after(takes, *this, [this, name, execution = found->second.execution, outcome] {
    end(name, execution, outcome);
  });
}

// What did not begin is wanted elsewhere.
void Worker::give_back(const std::vector<scheduler::AttemptRef>& attempts) {
  std::vector<scheduler::AttemptRef> given;
  for (const scheduler::AttemptRef& each : attempts) {
    const auto is_it = [&](const Attempt& attempt) { return ref_of(attempt) == each; };
    const auto found = std::ranges::find_if(waiting_, is_it);
    if (found == waiting_.end()) continue;
    if (!has(Bug::run_what_was_given_back)) waiting_.erase(found);
    given.push_back(each);
  }
  slots_to_node_->send([this, given = std::move(given)] {
    node_->retracted(given);
    perform();
  });
}

void Worker::end(const Name& name, std::int32_t execution, Outcome outcome) {
  const auto found = running_.find(name);
  if (found == running_.end() || found->second.execution != execution) return;
  boundary("worker ends a body");
  checker_.finished(execution, outcome);
  const scheduler::AttemptRef ref = ref_of(found->second.attempt);
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
  checker_.require(node_->unacknowledged() == 0, Invariant::bounded_memory,
                   name() + " keeps ends that were recorded");
  checker_.require(node_->folders_in_use().empty(), Invariant::bounded_memory,
                   name() + " remembers runs that are over");
}

}  // namespace reprise::sim
