#include "cluster/fleet_actor.hpp"

#include <chrono>
#include <fstream>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <caf/all.hpp>

#include "actors/lent_thread.hpp"
#include "actors/messages.hpp"
#include "actors/result_keeper.hpp"
#include "cluster/blob_transfer.hpp"
#include "cluster/link_actor.hpp"
#include "cluster/log_relay.hpp"
#include "cluster/wire.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

namespace {

struct LookRound {};    // to itself, every `ping_every`
struct ShowWorkers {};  // to itself, after a change

}  // namespace

}  // namespace reprise::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LookRound)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::ShowWorkers)

namespace reprise::cluster {

namespace {

// Workers of wire version 1 do not say how much they have: it is taken to be enough for any task.
constexpr std::uint64_t memory_of_older_workers = std::uint64_t{1} << 50;

constexpr std::chrono::milliseconds show_after{50};

// A report whose result is not all here yet.
struct Coming {
  scheduler::Report report;
  std::set<Digest> missing;
};

struct WorkerLink {
  Peer peer;
  std::shared_ptr<LinkSender> sender;
  bool joined = false;                                                     // it has said hello
  std::pair<std::uint64_t, std::chrono::steady_clock::time_point> pinged;  // last number, and when
  std::vector<worker::KnownFunction> functions;
  std::set<std::uint32_t> contexts;  // runs that it knows
  std::unique_ptr<BlobFetches> fetches;
  std::list<Coming> coming;
};

struct FleetState {
  static inline const char* name = "fleet";
  FleetActorOptions options;
  Fleet fleet;
  std::optional<BlobSource> source;
  std::map<LinkNumber, WorkerLink> links;
  actors::ResultKeeper keeper;
  LogRelay logs;
  caf::actor_addr scheduler;
  actors::LentThread* thread = nullptr;  // where the scheduler runs
  std::uint64_t pings = 0;
  std::set<std::string> members;  // as written down
  bool shows_soon = false;        // ShowWorkers is under way
  // Silence is measured by a clock that nobody sets.
  const Time begun = reprise::now();
  const std::chrono::steady_clock::time_point begun_steady = std::chrono::steady_clock::now();
  [[nodiscard]] Time now() const {
    return begun +
           std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begun_steady);
  }
};

using Self = caf::stateful_actor<FleetState>;
using wire::Kind;

void say(Self* self, std::string line) {
  if (self->state.options.say) self->state.options.say(std::move(line));
}

std::string name_of(const WorkerLink& link) {
  return fmt::format("worker \"{}\"", escape_for_terminal(link.peer.identity.name));
}

// A worker that does not take what it is sent is of no use: its link ends, and with it its work.
void send(Self* self, WorkerLink& link, Kind kind, std::string bytes) {
  const Status sent = link.sender->send(static_cast<std::uint16_t>(kind), std::move(bytes));
  if (sent || sent.error().code == ErrorCode::not_found) return;
  say(self, fmt::format("{} is sent away: {}", name_of(link), sent.error().message));
  link.sender->close(sent.error());
}

// Mostly the next task of a worker follows from it, so this thread carries that out, too.
void tell_scheduler(Self* self, std::vector<scheduler::Report> reports) {
  if (reports.empty()) return;
  const actors::LentThread::Loan loan(self->state.thread);
  if (const auto to = caf::actor_cast<caf::actor>(self->state.scheduler))
    self->send(to, scheduler::Reported{std::move(reports)});
}

// Ended attempts: their results to the cache, then their news to the scheduler.
void conclude(Self* self, std::vector<EndedAttempt> ended) {
  if (ended.empty()) return;
  std::vector<actors::Finished> batch;
  for (EndedAttempt& each : ended) {
    Attempt& attempt = each.attempt;
    batch.push_back({{{scheduler::RunIndex{attempt.run}, attempt.task, attempt.number},
                      std::move(each.outcome)},
                     std::move(attempt.context),
                     attempt.node,
                     attempt.map_index,
                     std::move(attempt.label),
                     attempt.key});
  }
  actors::ResultKeeper::Step step = self->state.keeper.finished(std::move(batch), true);
  if (!step.given_up.keys.empty()) self->send(self->state.options.cache, std::move(step.given_up));
  tell_scheduler(self, std::move(step.reports));
  if (!step.store.commits.empty()) self->send(self->state.options.cache, std::move(step.store));
}

void dispatch_to(Self* self, LinkNumber number, std::vector<Attempt> attempts) {
  FleetState& state = self->state;
  const auto found = state.links.find(number);
  if (found == state.links.end()) return;
  WorkerLink& link = found->second;
  wire::Dispatch message;
  for (Attempt& attempt : attempts) {
    if (link.contexts.insert(attempt.run).second)
      send(self, link, Kind::run_context, encode(wire::Context{attempt.run, attempt.context}));
    for (const Argument& argument : attempt.arguments) state.source->offer(argument.value);
    state.source->offer(attempt.loop_result);
    if (attempt.question) {
      state.source->offer(attempt.question->before.result);
      state.source->offer(attempt.question->after.result);
      for (const Question::Upstream& each : attempt.question->upstreams)
        state.source->offer(each.state.result);
      for (const Candidate& each : attempt.question->candidates) state.source->offer(each.value);
    }
    message.attempts.push_back({std::move(attempt), {}});
  }
  message.epoch = state.options.epoch.number;
  send(self, link, Kind::dispatch, encode(message));
}

// One name a line. A line that a crash took makes the next server wait a little for nobody, or not
// for somebody; so nothing waits for the disk.
void write_members(Self* self) {
  FleetState& state = self->state;
  std::set<std::string> members = state.fleet.members();
  if (members == state.members || state.options.members.empty()) return;
  std::filesystem::path draft = state.options.members;
  draft += ".new";
  std::ofstream file(draft, std::ios::trunc);
  for (const std::string& each : members) file << each << '\n';
  file.close();
  std::error_code ignored;
  if (file) std::filesystem::rename(draft, state.options.members, ignored);
  state.members = std::move(members);
}

std::optional<std::set<std::string>> read_members(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::set<std::string> members;
  for (std::string line; std::getline(file, line);) members.insert(line);
  return members;
}

// Who is there is shown at once; what each has in hand, which changes with every message, soon.
void show_workers(Self* self, bool at_once) {
  FleetState& state = self->state;
  if (!state.options.board) return;
  if (at_once)
    state.options.board->set(state.fleet.workers());
  else if (!std::exchange(state.shows_soon, true))
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), show_after, ShowWorkers{});
}

void perform(Self* self) {
  FleetState& state = self->state;
  FleetEffects effects = state.fleet.take_effects();
  for (auto& [number, attempts] : effects.dispatches)
    dispatch_to(self, number, std::move(attempts));
  const auto with_link = [&](LinkNumber number, auto action) {
    if (const auto link = state.links.find(number); link != state.links.end()) action(link->second);
  };
  for (auto& [number, attempts] : effects.stops)
    with_link(number, [self, &stopped = attempts](WorkerLink& link) {
      send(self, link, Kind::stop,
           encode(wire::Attempts{self->state.options.epoch.number, std::move(stopped)}));
    });
  for (auto& [number, attempts] : effects.acknowledged)
    with_link(number, [self, &known = attempts](WorkerLink& link) {
      if (link.peer.version < wire::version_of_epochs) return;
      send(self, link, Kind::acknowledged,
           encode(wire::Attempts{self->state.options.epoch.number, std::move(known)}));
    });
  for (auto& [number, attempts] : effects.retracts)
    with_link(number, [self, &wanted = attempts](WorkerLink& link) {
      send(self, link, Kind::retract,
           encode(wire::Attempts{self->state.options.epoch.number, std::move(wanted)}));
    });
  for (const WorkerId number : effects.pings)
    with_link(number, [&](WorkerLink& link) {
      link.pinged = {state.pings + 1, std::chrono::steady_clock::now()};
      send(self, link, Kind::ping, encode(wire::Ping{++state.pings}));
    });
  for (const WorkerId number : effects.lost)
    with_link(number, [&](WorkerLink& link) {
      say(self, fmt::format("{} was lost: it said nothing for {}", name_of(link),
                            describe(state.options.fleet.lost_after)));
      link.sender->close({ErrorCode::unavailable, "it said nothing for too long"});
    });
  for (const WorkerId number : effects.drained)
    with_link(number, [&](WorkerLink& link) {
      link.sender->close({ErrorCode::cancelled, "it is drained: nothing is left to do"});
    });
  const bool is_news = effects.workers.has_value();
  // First: a worker is known before it is told what it has.
  if (effects.workers)
    if (const auto to = caf::actor_cast<caf::actor>(state.scheduler))
      self->send(to, *std::move(effects.workers));
  if (!effects.adopted.attempts.empty())
    if (const auto to = caf::actor_cast<caf::actor>(state.scheduler))
      self->send(to, std::move(effects.adopted));
  if (!effects.began.starts.empty())
    if (const auto to = caf::actor_cast<caf::actor>(state.scheduler))
      self->send(to, std::move(effects.began));
  conclude(self, std::move(effects.ended));
  if (!effects.returned.attempts.empty())
    if (const auto to = caf::actor_cast<caf::actor>(state.scheduler))
      self->send(to, std::move(effects.returned));
  show_workers(self, is_news);
  if (is_news) write_members(self);
}

// ---- what workers say ----

void request_blobs(Self* self, WorkerLink& link) {
  for (const wire::BlobRequest& request : link.fetches->take_requests())
    send(self, link, Kind::blob_request, encode(request));
}

// What was adopted is told of before how it ended: the scheduler knows it under another number.
void count(Self* self, LinkNumber number, std::vector<scheduler::Report> reports) {
  std::vector<EndedAttempt> ended =
      self->state.fleet.reported(number, std::move(reports), self->state.now());
  perform(self);
  conclude(self, std::move(ended));
}

void reported(Self* self, LinkNumber number, WorkerLink& link, wire::Reports message) {
  std::vector<scheduler::Report> whole;
  for (scheduler::Report& report : message.reports) {
    const auto missing = complete(report.outcome.value, *self->state.options.blobs);
    if (missing.empty()) {
      whole.push_back(std::move(report));
      continue;
    }
    Coming& coming = link.coming.emplace_back();
    coming.report = std::move(report);
    for (const Wanted& each : missing) {
      coming.missing.insert(each.digest);
      link.fetches->want(each);
    }
  }
  request_blobs(self, link);
  count(self, number, std::move(whole));
}

// A value may turn out to name files that are missing, too.
void look_at_coming(Self* self, LinkNumber number, WorkerLink& link) {
  std::vector<scheduler::Report> whole;
  for (const BlobFetches::Arrived& arrived : link.fetches->take_arrived()) {
    for (auto it = link.coming.begin(); it != link.coming.end();) {
      if (it->missing.erase(arrived.what.digest) == 0 || (!it->missing.empty() && arrived.status)) {
        ++it;
        continue;
      }
      Outcome& outcome = it->report.outcome;
      std::vector<Wanted> missing;
      if (arrived.status) {
        missing = complete(outcome.value, *self->state.options.blobs);
      } else {
        outcome.state = TaskState::failed;
        outcome.failure = FailureClass::cannot_start;
        outcome.message = "its result could not be fetched: " + arrived.status.error().message;
        outcome.value = {};
      }
      for (const Wanted& each : missing) {
        it->missing.insert(each.digest);
        link.fetches->want(each);
      }
      if (!it->missing.empty() && arrived.status) {
        ++it;
        continue;
      }
      whole.push_back(std::move(it->report));
      it = link.coming.erase(it);
    }
  }
  request_blobs(self, link);
  count(self, number, std::move(whole));
}

std::string shown(const Signature& signature) {
  const auto list = [](const auto& fields) {
    std::string text;
    for (const auto& [name, type] : fields)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", type, name);
    return escape_for_terminal(text);
  };
  return fmt::format("({}) -> ({})", list(signature.inputs), list(signature.outputs));
}

// One name and version stands for one signature, whoever runs it: keys are made of it.
Status check_functions(Self* self, const std::string& name,
                       const std::vector<worker::KnownFunction>& offered) {
  std::map<std::string, const worker::KnownFunction*> known;
  std::map<std::string, const WorkerLink*> whose;
  for (const auto& [number, link] : self->state.links) {
    if (link.peer.identity.name == name) continue;  // whose place it takes
    for (const worker::KnownFunction& each : link.functions) {
      known.emplace(each.id(), &each);
      whose.emplace(each.id(), &link);
    }
  }
  for (const worker::KnownFunction& each : offered) {
    const auto found = known.find(each.id());
    if (found == known.end() || found->second->signature == each.signature) continue;
    return fail(ErrorCode::conflict,
                fmt::format("function \"{}\" is known with another signature: {} here, {} at {}; "
                            "give one of them another version",
                            escape_for_terminal(each.id()), shown(each.signature),
                            shown(found->second->signature), name_of(*whose.at(each.id()))));
  }
  return {};
}

void show_functions(Self* self) {
  if (!self->state.options.board) return;
  std::map<std::string, worker::KnownFunction> all;
  for (const auto& [number, link] : self->state.links)
    for (const worker::KnownFunction& each : link.functions) all.emplace(each.id(), each);
  std::vector<worker::KnownFunction> list;
  for (auto& [id, each] : all) list.push_back(std::move(each));
  self->state.options.board->set_functions(std::move(list));
}

Status hello(Self* self, LinkNumber number, WorkerLink& link, wire::WorkerHello& message) {
  if (link.joined) return fail(ErrorCode::invalid_argument, "a worker says hello once");
  auto functions = message.signatures.empty() ? std::vector<worker::KnownFunction>{}
                                              : worker::decode_known(message.signatures);
  if (!functions) return tl::unexpected(functions.error());
  if (Status agreed = check_functions(self, link.peer.identity.name, *functions); !agreed)
    return agreed;
  link.joined = true;
  link.functions = *std::move(functions);
  show_functions(self);
  const std::size_t brought = message.running.size();
  if (message.capacity.cpu_milli == 0) message.capacity.cpu_milli = message.slots * 1000;
  if (message.version.empty() && message.capacity.memory_bytes == 0)
    message.capacity.memory_bytes = memory_of_older_workers;
  WorkerCard card{link.peer.identity.name, message.slots,       message.capacity, message.labels,
                  message.functions,       message.enforcement, message.version};
  self->state.fleet.joined(number, std::move(card), self->state.now(), std::move(message.running));
  say(self,
      fmt::format("{} joined from {}, slots: {}{}", name_of(link), link.peer.address, message.slots,
                  brought > 0 ? fmt::format(", with {} attempts in hand", brought) : ""));
  return {};
}

template <class Message, class Action>
Status with(const std::string& bytes, Action action) {
  Message message;
  if (Status decoded = decode(bytes, message); !decoded) return decoded;
  return action(message);
}

Status handle(Self* self, LinkNumber number, WorkerLink& link, const Message& message) {
  FleetState& state = self->state;
  switch (static_cast<Kind>(message.kind)) {
    case Kind::worker_hello:
      return with<wire::WorkerHello>(message.bytes,
                                     [&](auto& m) { return hello(self, number, link, m); });
    case Kind::began:
      return with<wire::Began>(message.bytes, [&](wire::Began& m) -> Status {
        state.fleet.began(number, {std::move(m.starts)});
        return {};
      });
    case Kind::reports:
      return with<wire::Reports>(message.bytes, [&](wire::Reports& m) -> Status {
        reported(self, number, link, std::move(m));
        return {};
      });
    case Kind::rejected:
    case Kind::retracted:
      return with<wire::Refused>(message.bytes, [&](const wire::Refused& m) -> Status {
        state.fleet.refused(number, m.attempts, escape_for_terminal(m.reason));
        return {};
      });
    case Kind::draining:
      return with<wire::Draining>(message.bytes, [&](const wire::Draining& m) -> Status {
        state.fleet.drain(number, m.draining);
        return {};
      });
    case Kind::blob_request:
      return with<wire::BlobRequest>(message.bytes, [&](const wire::BlobRequest& m) -> Status {
        send(self, link, Kind::blob_chunk, encode(state.source->answer(m)));
        return {};
      });
    case Kind::blob_chunk:
      return with<wire::BlobChunk>(message.bytes, [&](const wire::BlobChunk& m) -> Status {
        link.fetches->take(m);
        look_at_coming(self, number, link);
        return {};
      });
    case Kind::log_answer:
      return with<wire::LogAnswer>(message.bytes, [&](wire::LogAnswer& m) -> Status {
        state.logs.answered(number, std::move(m));
        return {};
      });
    case Kind::ping:
      send(self, link, Kind::pong, message.bytes);
      return {};
    case Kind::pong:
      return with<wire::Ping>(message.bytes, [&](const wire::Ping& m) -> Status {
        if (m.number == link.pinged.first)
          state.fleet.measured(number, std::chrono::duration_cast<Duration>(
                                           std::chrono::steady_clock::now() - link.pinged.second));
        return {};
      });
    default:  // what a newer worker may say
      return {};
  }
}

void messages(Self* self, LinkMessages& got) {
  FleetState& state = self->state;
  const auto found = state.links.find(got.link);
  if (found == state.links.end()) return;
  state.fleet.heard(got.link, self->state.now());
  for (const Message& message : got.messages) {
    const Status handled = handle(self, got.link, found->second, message);
    if (handled) continue;
    say(self, fmt::format("{} is sent away: {}", name_of(found->second), handled.error().message));
    found->second.sender->close(handled.error());
    break;
  }
  perform(self);
}

Status set_aside(Self* self, const SetAside& request) {
  FleetState& state = self->state;
  const bool is_aside = request.what != SetAside::What::undrain;
  const auto worker = state.fleet.set_aside(request.name, is_aside);
  if (!worker)
    return fail(ErrorCode::not_found,
                fmt::format("no worker \"{}\" is there", escape_for_terminal(request.name)));
  const auto link = state.links.find(*worker);
  if (request.what == SetAside::What::stop && link != state.links.end())
    send(self, link->second, Kind::drain, encode(wire::Drain{true}));
  perform(self);
  return {};
}

// Workers of wire version 1 know no such question.
void find_log(Self* self, const FindLog& question) {
  FleetState& state = self->state;
  std::set<LinkNumber> asked;
  for (const auto& [number, link] : state.links)
    if (link.joined && link.peer.version >= wire::version_of_epochs) asked.insert(number);
  const std::string request =
      encode(state.logs.ask(question.what, asked, question.answer, state.now()));
  for (const LinkNumber number : asked)
    send(self, state.links.at(number), Kind::log_request, request);
}

void look_round_later(Self* self) {
  caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), self->state.options.fleet.ping_every,
                         LookRound{});
}

caf::behavior fleet_behavior(Self* self, std::shared_ptr<FleetActorOptions> options) {
  FleetState& state = self->state;
  state.options = std::move(*options);
  state.thread = actors::LentThread::of(self->system());
  state.options.fleet.epoch = state.options.epoch.number;
  state.fleet = Fleet{state.options.fleet};
  auto before = read_members(state.options.members);
  if (before) state.members = *before;
  state.fleet.expect_inventories(state.now(), std::move(before));
  state.source.emplace(state.options.blobs);
  look_round_later(self);
  return {
      [self](const actors::Serve& serve) {
        self->state.scheduler = caf::actor_cast<caf::actor_addr>(serve.scheduler);
        perform(self);
      },
      [self](actors::Dispatch& dispatch) {
        self->state.fleet.dispatch(std::move(dispatch.attempts));
        perform(self);
      },
      [self](const actors::Stop& stop) {
        self->state.fleet.stop(stop.attempts, self->state.now());
        perform(self);
      },
      [self](const actors::Retract& wanted) {
        self->state.fleet.retract(wanted.attempts);
        perform(self);
      },
      [self](const SetAside& request) -> Status { return set_aside(self, request); },
      [self](const actors::Stored& answer) {
        tell_scheduler(self, self->state.keeper.stored(answer));
      },
      [self](const actors::Recorded& news) {
        self->state.fleet.recorded(news.attempts);
        perform(self);
      },
      [self](RunsGoOn& news) {
        self->state.fleet.runs_go_on(std::move(news.runs));
        perform(self);
      },
      [self](const actors::RunOver& news) {
        self->state.fleet.run_over(news.id);
        for (auto& [number, link] : self->state.links)
          if (link.contexts.erase(news.run.value) > 0)
            send(self, link, Kind::forget_run, encode(wire::ForgetRun{news.run.value}));
        perform(self);
      },
      [self](const LookRound&) {
        look_round_later(self);
        self->state.fleet.tick(self->state.now());
        self->state.logs.tick(self->state.now());
        perform(self);
        write_members(self);  // who is expected no longer is nobody's news
      },
      [self](const ShowWorkers&) {
        self->state.shows_soon = false;
        show_workers(self, true);
      },
      [self](const FindLog& question) { find_log(self, question); },
      [self](LinkUp& up) {
        WorkerLink& link = self->state.links[up.peer.link];
        link.peer = std::move(up.peer);
        link.sender = std::move(up.sender);
        link.fetches =
            std::make_unique<BlobFetches>(self->state.options.blobs, self->state.options.incoming);
        const FleetActorOptions& known = self->state.options;
        if (link.peer.version >= wire::version_of_epochs && known.epoch.number > 0)
          send(self, link, Kind::welcome,
               encode(wire::Welcome{known.epoch, known.fleet.lost_after}));
      },
      [self](LinkMessages& got) { messages(self, got); },
      [self](const LinkDown& down) {
        const auto found = self->state.links.find(down.link);
        if (found == self->state.links.end()) return;
        say(self, fmt::format("{} is gone: {}", name_of(found->second), down.why.message));
        self->state.links.erase(found);
        self->state.logs.left(down.link);
        show_functions(self);
        self->state.fleet.left(down.link, down.why.message, self->state.now());
        perform(self);
      },
      [self](const LinkCut& cut) {
        self->state.fleet.connected(cut.link, false);
        perform(self);
      },
      [self](const LinkBack& back) {
        self->state.fleet.connected(back.link, true);
        perform(self);
      },
      [](const LinkRoom&) {},
      [](const LinkTrouble&) {},
  };
}

}  // namespace

caf::actor spawn_fleet_actor(caf::actor_system& system, FleetActorOptions options) {
  // Detached: it reads and writes files.
  return system.spawn<caf::detached>(fleet_behavior,
                                     std::make_shared<FleetActorOptions>(std::move(options)));
}

}  // namespace reprise::cluster
