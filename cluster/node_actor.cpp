#include "cluster/node_actor.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <caf/all.hpp>

#include "actors/messages.hpp"
#include "cluster/blob_transfer.hpp"
#include "cluster/link_actor.hpp"
#include "cluster/log_relay.hpp"
#include "cluster/node.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

namespace {

struct LookAround {};  // to itself, now and then

}  // namespace

}  // namespace reprise::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LookAround)

namespace reprise::cluster {

namespace {

// A server that gives workers up quickly says so only later.
constexpr Duration look_round_at_most = std::chrono::milliseconds{250};

// Folders of finished runs that stay, for their logs.
constexpr std::size_t run_folders_kept = 100;
constexpr std::uint64_t look_for_room_every = 16;

using wire::Kind;

struct NodeState {
  static inline const char* name = "node";
  NodeActorOptions options;
  Node node;
  std::optional<BlobSource> source;
  std::optional<Peer> peer;  // the scheduler, while there is a link
  std::shared_ptr<LinkSender> sender;
  std::unique_ptr<BlobFetches> fetches;
  std::set<Digest> brought;     // files that came with flows and are here
  std::uint64_t forgotten = 0;  // runs
  // Silence is measured by a clock that nobody sets.
  const Time begun = reprise::now();
  const std::chrono::steady_clock::time_point begun_steady = std::chrono::steady_clock::now();
  [[nodiscard]] Time now() const {
    return begun +
           std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begun_steady);
  }
};

using Self = caf::stateful_actor<NodeState>;

void say(Self* self, std::string line) {
  if (self->state.options.say) self->state.options.say(std::move(line));
}

void send(Self* self, Kind kind, std::string bytes) {
  NodeState& state = self->state;
  if (!state.sender) return;
  const Status sent = state.sender->send(static_cast<std::uint16_t>(kind), std::move(bytes));
  if (!sent && sent.error().code != ErrorCode::not_found) state.sender->close(sent.error());
}

void say_hello(Self* self, NodeHello known) {
  const NodeState& state = self->state;
  wire::WorkerHello hello;
  hello.epoch = known.epoch;
  hello.running = std::move(known.inventory);
  hello.slots = state.options.slots;
  hello.capacity = state.options.capacity;
  hello.labels = state.options.labels;
  hello.enforcement = state.options.enforcement;
  for (const worker::KnownFunction& each : state.options.functions)
    hello.functions.push_back(each.id());
  hello.signatures = worker::encode_known(state.options.functions);
  hello.version = state.options.version;
  send(self, Kind::worker_hello, encode(hello));
  say(self, fmt::format("serving scheduler \"{}\" at {}",
                        escape_for_terminal(state.peer->identity.name), state.peer->address));
}

// Fills in what is here. @return what is not
std::set<Digest> gather(Self* self, Attempt& attempt) {
  std::set<Digest> missing;
  const auto look_at = [&](Payload& value) {
    for (const Wanted& each : complete(value, *self->state.options.blobs)) {
      missing.insert(each.digest);
      self->state.fetches->want(each);
    }
  };
  for (const auto& [path, file] : attempt.context->files) {
    if (self->state.brought.contains(file.content)) continue;
    if (self->state.options.blobs->contains(file.content)) {
      self->state.brought.insert(file.content);
      continue;
    }
    missing.insert(file.content);
    self->state.fetches->want({file.content, false});
  }
  look_at(attempt.loop_result);
  for (Argument& argument : attempt.arguments) look_at(argument.value);
  if (!attempt.question) return missing;
  auto question = std::make_shared<Question>(*attempt.question);
  look_at(question->before.result);
  look_at(question->after.result);
  for (Question::Upstream& each : question->upstreams) look_at(each.state.result);
  for (Candidate& each : question->candidates) look_at(each.value);
  attempt.question = std::move(question);
  return missing;
}

void request_blobs(Self* self) {
  if (!self->state.fetches) return;
  for (const wire::BlobRequest& request : self->state.fetches->take_requests())
    send(self, Kind::blob_request, encode(request));
}

void perform(Self* self) {
  NodeState& state = self->state;
  NodeEffects effects = state.node.take_effects();
  if (effects.hello) say_hello(self, *std::move(effects.hello));
  if (effects.draining) send(self, Kind::draining, encode(wire::Draining{true}));
  if (!effects.refused.empty())
    send(self, Kind::rejected, encode(wire::Refused{std::move(effects.refused), {}}));
  for (auto& [attempt, reason] : effects.rejected)
    send(self, Kind::rejected, encode(wire::Refused{{attempt}, std::move(reason)}));
  if (!effects.retracted.empty())
    send(self, Kind::retracted, encode(wire::Refused{std::move(effects.retracted), {}}));
  if (!effects.began.starts.empty())
    send(self, Kind::began, encode(wire::Began{std::move(effects.began.starts)}));
  if (!effects.reports.empty())
    send(self, Kind::reports, encode(wire::Reports{std::move(effects.reports)}));
  if (!effects.starts.empty())
    self->send(state.options.worker, actors::Dispatch{std::move(effects.starts)});
  if (!effects.stops.empty())
    self->send(state.options.worker, actors::Stop{std::move(effects.stops)});
  if (!effects.retracts.empty())
    self->send(state.options.worker, actors::Retract{std::move(effects.retracts)});
  if (effects.withdraw) self->send(state.options.worker, actors::Withdraw{});
  if (effects.abandoned > 0)
    say(self, fmt::format("nothing was heard of the scheduler for {}: ending what runs ({})",
                          describe(state.options.node.orphan_after), effects.abandoned));
  if (effects.left && state.options.on_left) std::exchange(state.options.on_left, nullptr)();
  if (effects.gathers.empty()) return;
  for (Attempt& attempt : effects.gathers) {
    std::set<Digest> missing = gather(self, attempt);
    state.node.gathered(std::move(attempt), std::move(missing));
  }
  request_blobs(self);
  perform(self);
}

// ---- what the scheduler says ----

// The folder is made by whoever has something to put there.
Status run_began(Self* self, wire::Context message) {
  auto context = std::make_shared<RunContext>(*message.context);
  context->folder = (self->state.options.runs / context->run.text()).string();
  self->state.node.run_began(message.run, std::move(context));
  return {};
}

// The logs of a run stay until newer ones need the room. Looking for it takes as long as a short
// run, so it is not done for each.
void make_room(Self* self) {
  NodeState& state = self->state;
  state.brought.clear();  // looked at again where they are still wanted
  if (++state.forgotten % look_for_room_every != 0) return;
  const std::set<std::string> in_use = state.node.folders_in_use();
  std::vector<std::filesystem::path> folders;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(state.options.runs, ignored))
    if (!in_use.contains(entry.path().string())) folders.push_back(entry.path());
  if (folders.size() <= run_folders_kept) return;
  std::ranges::sort(folders);  // names of runs sort by time
  folders.resize(folders.size() - run_folders_kept);
  for (const auto& folder : folders) std::filesystem::remove_all(folder, ignored);
}

template <class Message, class Action>
Status with(const std::string& bytes, Action action) {
  Message message;
  if (Status decoded = decode(bytes, message); !decoded) return decoded;
  return action(message);
}

Status handle(Self* self, const Message& message) {
  NodeState& state = self->state;
  switch (static_cast<Kind>(message.kind)) {
    case Kind::ping:
      send(self, Kind::pong, message.bytes);
      return {};
    case Kind::run_context:
      return with<wire::Context>(message.bytes,
                                 [&](wire::Context& m) { return run_began(self, std::move(m)); });
    case Kind::dispatch: {
      wire::Dispatch dispatch;
      const auto context_of = [&](std::uint32_t run) { return state.node.context_of(run); };
      if (Status decoded = decode(message.bytes, context_of, dispatch); !decoded) return decoded;
      std::vector<Attempt> attempts;
      for (wire::Dispatched& each : dispatch.attempts) attempts.push_back(std::move(each.attempt));
      return state.node.dispatched(dispatch.epoch, std::move(attempts));
    }
    case Kind::stop:
      return with<wire::Attempts>(message.bytes, [&](const wire::Attempts& m) -> Status {
        return state.node.stop(m.epoch, m.attempts, state.now());
      });
    case Kind::welcome:
      return with<wire::Welcome>(message.bytes, [&](const wire::Welcome& m) {
        return state.node.welcomed(m.epoch, m.lost_after, state.now());
      });
    case Kind::acknowledged:
      return with<wire::Attempts>(message.bytes, [&](const wire::Attempts& m) -> Status {
        state.node.acknowledged(m.attempts);
        return {};
      });
    case Kind::retract:
      return with<wire::Attempts>(message.bytes, [&](const wire::Attempts& m) -> Status {
        return state.node.retract(m.epoch, m.attempts);
      });
    case Kind::drain:
      if (state.options.on_stop) state.options.on_stop();
      return {};
    case Kind::forget_run:
      return with<wire::ForgetRun>(message.bytes, [&](const wire::ForgetRun& m) -> Status {
        state.node.run_over(m.run);
        make_room(self);
        return {};
      });
    case Kind::log_request:
      return with<wire::LogRequest>(message.bytes, [&](const wire::LogRequest& m) -> Status {
        wire::AskLog what;
        if (Status decoded = decode(m.what, what); !decoded) return decoded;
        const auto part = read_log(state.options.runs, what);
        send(self, Kind::log_answer,
             encode(part ? wire::LogAnswer{m.number, {}, encode(*part)}
                         : wire::LogAnswer{m.number, tl::unexpected(part.error()), {}}));
        return {};
      });
    case Kind::blob_request:
      return with<wire::BlobRequest>(message.bytes, [&](const wire::BlobRequest& m) -> Status {
        send(self, Kind::blob_chunk, encode(state.source->answer(m)));
        return {};
      });
    case Kind::blob_chunk:
      return with<wire::BlobChunk>(message.bytes, [&](const wire::BlobChunk& m) -> Status {
        state.fetches->take(m);
        for (const BlobFetches::Arrived& each : state.fetches->take_arrived())
          state.node.arrived(each.what.digest, each.status, state.now());
        request_blobs(self);
        return {};
      });
    default:  // what a newer scheduler may say
      return {};
  }
}

void messages(Self* self, const LinkMessages& got) {
  NodeState& state = self->state;
  if (!state.peer || state.peer->link != got.link) return;
  state.node.heard(state.now());
  for (const Message& message : got.messages) {
    const Status handled = handle(self, message);
    perform(self);
    if (handled) continue;
    const bool is_refused = handled.error().code == ErrorCode::denied;
    say(self,
        fmt::format("the scheduler at {} {}: {}", state.peer->address,
                    is_refused ? "is refused" : "said something odd", handled.error().message));
    state.sender->close(handled.error());
    return;
  }
}

void link_down(Self* self, const LinkDown& down) {
  NodeState& state = self->state;
  if (!state.peer || state.peer->link != down.link) return;
  say(self, fmt::format("the link to the scheduler is over: {}", down.why.message));
  // What this worker offers does not change by coming again.
  if (down.why.code == ErrorCode::conflict && state.options.on_refused)
    std::exchange(state.options.on_refused, nullptr)(down.why);
  state.peer.reset();
  state.sender.reset();
  state.fetches.reset();
  state.node.unlinked(state.now());
  perform(self);
}

void look_round_later(Self* self) {
  const NodeOptions& times = self->state.options.node;
  const Duration pause =
      std::min<Duration>(std::min(times.orphan_after, times.lost_after) / 8, look_round_at_most);
  caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), pause, LookAround{});
}

caf::behavior node_behavior(Self* self, std::shared_ptr<NodeActorOptions> options) {
  NodeState& state = self->state;
  state.options = std::move(*options);
  state.options.node.capacity = state.options.capacity;
  state.node = Node{state.options.node};
  look_round_later(self);
  state.source.emplace(state.options.blobs);
  self->send(state.options.worker, actors::Serve{caf::actor_cast<caf::actor>(self)});
  return {
      [self](scheduler::Reported& news) {
        self->state.node.reported(std::move(news.reports));
        perform(self);
      },
      [self](const scheduler::Began& news) {
        self->state.node.began(news);
        perform(self);
      },
      [self](const actors::Retracted& news) {
        self->state.node.retracted(news.attempts);
        perform(self);
      },
      [self](const LookAround&) {
        look_round_later(self);
        self->state.node.tick(self->state.now());
        perform(self);
      },
      [self](const Leave&) {
        self->state.node.leave();
        perform(self);
      },
      [self](LinkUp& up) {
        NodeState& linked = self->state;
        linked.peer = std::move(up.peer);
        linked.sender = std::move(up.sender);
        linked.fetches =
            std::make_unique<BlobFetches>(linked.options.blobs, linked.options.incoming);
        linked.node.linked(linked.peer->version >= wire::version_of_epochs, linked.now());
        perform(self);
      },
      [self](const LinkMessages& got) { messages(self, got); },
      [self](const LinkDown& down) { link_down(self, down); },
      [self](const LinkCut& cut) {
        say(self, fmt::format("the scheduler cannot be heard: {}", cut.why.message));
      },
      [self](const LinkBack&) { say(self, "the scheduler can be heard again"); },
      [](const LinkRoom&) {},
      [self](const LinkTrouble& trouble) {
        say(self, fmt::format("cannot connect with {}: {}", trouble.address, trouble.why.message));
      },
  };
}

}  // namespace

caf::actor spawn_node_actor(caf::actor_system& system, NodeActorOptions options) {
  // In the worker actor's thread, although it reads and writes files: all that goes to that actor
  // and comes from it passes here, and a thread that has to be woken takes longer than a short
  // task.
  return system.spawn(node_behavior, std::make_shared<NodeActorOptions>(std::move(options)));
}

}  // namespace reprise::cluster
