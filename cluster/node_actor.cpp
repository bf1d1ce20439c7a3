#include "cluster/node_actor.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <caf/all.hpp>

#include "actors/messages.hpp"
#include "cluster/blob_transfer.hpp"
#include "cluster/link_actor.hpp"
#include "cluster/log_relay.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

namespace {

// Folders of finished runs that stay, for their logs.
constexpr std::size_t run_folders_kept = 100;

using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // run, task, number
using wire::Kind;

Name name_of(const scheduler::AttemptRef& attempt) {
  return {attempt.run.value, attempt.task.value, attempt.number};
}

scheduler::AttemptRef ref_of(const Attempt& attempt) {
  return {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
}

scheduler::AttemptRef ref_of(const Name& name) {
  return {scheduler::RunIndex{std::get<0>(name)}, TaskId{std::get<1>(name)}, std::get<2>(name)};
}

// An attempt whose inputs are not all here yet.
struct Pulling {
  Attempt attempt;
  std::set<Digest> missing;
};

struct NodeState {
  static inline const char* name = "node";
  NodeActorOptions options;
  std::optional<BlobSource> source;
  std::optional<Peer> peer;  // the scheduler, while there is a link
  std::shared_ptr<LinkSender> sender;
  bool joined = false;  // it was told hello on this link
  bool leaving = false;
  bool said_draining = false;
  std::map<std::uint32_t, std::shared_ptr<const RunContext>> contexts;
  std::unique_ptr<BlobFetches> fetches;
  std::map<Name, Pulling> pulling;
  std::set<Digest> brought;  // files that came with flows and are here
  std::set<Name> running;    // given to the worker, not reported by it
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

// After anything that may have emptied the hands or the link.
void settle(Self* self) {
  NodeState& state = self->state;
  const bool is_empty = state.running.empty() && state.pulling.empty();
  if (state.leaving && !state.joined && is_empty) {
    if (state.options.on_left) std::exchange(state.options.on_left, nullptr)();
    return;
  }
  if (state.leaving && state.joined && !std::exchange(state.said_draining, true))
    send(self, Kind::draining, encode(wire::Draining{true}));
  if (!state.sender || state.joined || state.leaving || !is_empty) return;
  state.joined = true;
  wire::WorkerHello hello;
  hello.slots = state.options.slots;
  hello.capacity.cpu_milli = state.options.slots * 1000;
  hello.functions = state.options.functions;
  send(self, Kind::worker_hello, encode(hello));
  say(self, fmt::format("serving scheduler \"{}\" at {}",
                        escape_for_terminal(state.peer->identity.name), state.peer->address));
}

void report(Self* self, std::vector<scheduler::Report> reports) {
  if (!reports.empty()) send(self, Kind::reports, encode(wire::Reports{std::move(reports)}));
}

// ---- what the scheduler says ----

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
  attempt.question = std::move(question);
  return missing;
}

void run(Self* self, std::vector<Attempt> attempts) {
  if (attempts.empty()) return;
  for (const Attempt& each : attempts) self->state.running.insert(name_of(ref_of(each)));
  self->send(self->state.options.worker, actors::Dispatch{std::move(attempts)});
}

void request_blobs(Self* self) {
  for (const wire::BlobRequest& request : self->state.fetches->take_requests())
    send(self, Kind::blob_request, encode(request));
}

Status dispatched(Self* self, std::string_view bytes) {
  NodeState& state = self->state;
  wire::Dispatch message;
  const auto context_of = [&](std::uint32_t number) {
    const auto found = state.contexts.find(number);
    return found == state.contexts.end() ? nullptr : found->second;
  };
  if (Status decoded = decode(bytes, context_of, message); !decoded) return decoded;
  if (state.leaving) {
    wire::Refused refused;
    for (const wire::Dispatched& each : message.attempts)
      refused.attempts.push_back(ref_of(each.attempt));
    refused.reason = "it leaves";
    send(self, Kind::rejected, encode(refused));
    return {};
  }
  std::vector<Attempt> ready;
  for (wire::Dispatched& each : message.attempts) {
    std::set<Digest> missing = gather(self, each.attempt);
    const Name name = name_of(ref_of(each.attempt));
    if (missing.empty())
      ready.push_back(std::move(each.attempt));
    else
      state.pulling.insert_or_assign(name, Pulling{std::move(each.attempt), std::move(missing)});
  }
  run(self, std::move(ready));
  request_blobs(self);
  return {};
}

// A value may turn out to name files that are missing, too.
void look_at_pulling(Self* self) {
  NodeState& state = self->state;
  std::vector<Attempt> ready;
  std::vector<scheduler::Report> failed;
  for (const BlobFetches::Arrived& arrived : state.fetches->take_arrived()) {
    for (auto it = state.pulling.begin(); it != state.pulling.end();) {
      Pulling& pulling = it->second;
      if (pulling.missing.erase(arrived.what.digest) == 0) {
        ++it;
        continue;
      }
      if (!arrived.status) {
        Outcome outcome;
        outcome.failure = FailureClass::cannot_start;
        outcome.message = "an input could not be fetched: " + arrived.status.error().message;
        outcome.started = now();
        failed.push_back({ref_of(pulling.attempt), std::move(outcome)});
      } else if (!pulling.missing.empty() ||
                 !(pulling.missing = gather(self, pulling.attempt)).empty()) {
        ++it;
        continue;
      } else {
        ready.push_back(std::move(pulling.attempt));
      }
      it = state.pulling.erase(it);
    }
  }
  run(self, std::move(ready));
  report(self, std::move(failed));
  request_blobs(self);
}

void stop(Self* self, const std::vector<scheduler::AttemptRef>& attempts) {
  NodeState& state = self->state;
  actors::Stop running;
  std::vector<scheduler::Report> ended;
  for (const scheduler::AttemptRef& each : attempts) {
    if (state.pulling.erase(name_of(each)) == 0) {
      running.attempts.push_back(each);
      continue;
    }
    Outcome outcome;
    outcome.state = TaskState::cancelled;
    outcome.failure = FailureClass::cancelled;
    outcome.message = "cancelled before it started";
    outcome.started = now();
    ended.push_back({each, std::move(outcome)});
  }
  if (!running.attempts.empty()) self->send(state.options.worker, std::move(running));
  report(self, std::move(ended));
}

Status began(Self* self, wire::Context message) {
  auto context = std::make_shared<RunContext>(*message.context);
  const auto folder = self->state.options.runs / context->run.text();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return fail(ErrorCode::io,
                fmt::format("make folder \"{}\": {}", folder.string(), error.message()));
  context->folder = folder.string();
  self->state.contexts[message.run] = std::move(context);
  return {};
}

// The logs of a run stay until newer ones need the room.
void forget(Self* self, std::uint32_t run) {
  NodeState& state = self->state;
  state.contexts.erase(run);
  state.brought.clear();  // looked at again where they are still wanted
  std::set<std::filesystem::path> in_use;
  for (const auto& [number, context] : state.contexts) in_use.insert(context->folder);
  std::vector<std::filesystem::path> folders;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(state.options.runs, ignored))
    if (!in_use.contains(entry.path())) folders.push_back(entry.path());
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
                                 [&](wire::Context& m) { return began(self, std::move(m)); });
    case Kind::dispatch:
      return dispatched(self, message.bytes);
    case Kind::stop:
      return with<wire::Attempts>(message.bytes, [&](const wire::Attempts& m) -> Status {
        stop(self, m.attempts);
        return {};
      });
    case Kind::forget_run:
      return with<wire::ForgetRun>(message.bytes, [&](const wire::ForgetRun& m) -> Status {
        forget(self, m.run);
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
        look_at_pulling(self);
        return {};
      });
    default:  // what a newer scheduler may say
      return {};
  }
}

// ---- the link ----

void link_down(Self* self, const LinkDown& down) {
  NodeState& state = self->state;
  if (!state.peer || state.peer->link != down.link) return;
  say(self, fmt::format("the link to the scheduler is over: {}", down.why.message));
  state.peer.reset();
  state.sender.reset();
  state.joined = state.said_draining = false;
  state.pulling.clear();
  state.fetches.reset();
  state.contexts.clear();
  actors::Stop all;
  for (const Name& name : state.running) all.attempts.push_back(ref_of(name));
  if (!all.attempts.empty()) self->send(state.options.worker, std::move(all));
  settle(self);
}

caf::behavior node_behavior(Self* self, std::shared_ptr<NodeActorOptions> options) {
  NodeState& state = self->state;
  state.options = std::move(*options);
  state.source.emplace(state.options.blobs);
  self->send(state.options.worker, actors::Serve{caf::actor_cast<caf::actor>(self)});
  return {
      [self](scheduler::Reported& news) {
        std::vector<scheduler::Report> known;
        for (scheduler::Report& each : news.reports)
          if (self->state.running.erase(name_of(each.attempt)) > 0)
            known.push_back(std::move(each));
        if (self->state.joined) report(self, std::move(known));
        settle(self);
      },
      [self](scheduler::Began& news) {
        if (self->state.joined)
          send(self, Kind::began, encode(wire::Began{std::move(news.starts)}));
      },
      [self](const Leave&) {
        self->state.leaving = true;
        settle(self);
      },
      [self](LinkUp& up) {
        NodeState& now_linked = self->state;
        now_linked.peer = std::move(up.peer);
        now_linked.sender = std::move(up.sender);
        now_linked.fetches =
            std::make_unique<BlobFetches>(now_linked.options.blobs, now_linked.options.incoming);
        settle(self);
      },
      [self](LinkMessages& got) {
        if (!self->state.peer || self->state.peer->link != got.link) return;
        for (const Message& message : got.messages) {
          const Status handled = handle(self, message);
          if (handled) continue;
          say(self, "the scheduler said something odd: " + handled.error().message);
          self->state.sender->close(handled.error());
          return;
        }
      },
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
  // Detached: it reads and writes files.
  return system.spawn<caf::detached>(node_behavior,
                                     std::make_shared<NodeActorOptions>(std::move(options)));
}

}  // namespace reprise::cluster
