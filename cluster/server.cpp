#include "cluster/server.hpp"

#include <array>
#include <atomic>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "cluster/client_desk.hpp"
#include "cluster/fleet_actor.hpp"
#include "cluster/folder_lock.hpp"
#include "cluster/link_actor.hpp"
#include "journal/data_folder.hpp"
#include "worker/function_message.hpp"
#include "worker/functions.hpp"

namespace reprise::cluster {

class Server::State {
 public:
  Status open(ServerOptions options);
  ~State();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] const FleetBoard& board() const { return *board_; }

 private:
  void route(LinkEvent event);
  [[nodiscard]] std::map<std::string, Signature, std::less<>> callable(
      const worker::FunctionTable* table) const;
  Result<std::string> answer(
      const std::string& op, const std::string& body,
      const std::function<Result<std::string>(const std::string&, const std::string&)>& others);
  Status set_worker_aside(SetAside request);

  std::function<void(std::string)> say_;
  FolderLock lock_;
  std::shared_ptr<FleetBoard> board_ = std::make_shared<FleetBoard>();
  std::unique_ptr<Engine> engine_;
  caf::actor fleet_;
  std::unique_ptr<ClientDesk> desk_;
  std::atomic<ClientDesk*> at_desk_{nullptr};  // for the engine's thread
  std::atomic<bool> is_ending_{false};
  std::set<LinkNumber> worker_links_;  // the hub's thread only
  std::unique_ptr<Hub> hub_;
  std::uint16_t port_ = 0;
};

Status Server::State::open(ServerOptions options) {
  say_ = options.say;
  // Before anything else: who may come has to be clear before anybody can.
  HubOptions hub = hub_options(Role::scheduler, options.name, options.credentials);
  hub.exchange.accepted = {Role::worker, Role::client};
  hub.on_event = [this](LinkEvent event) { route(std::move(event)); };

  const auto data = options.engine.data;
  options.engine.spawn_worker = [&](caf::actor_system& system, const WorkerParts& parts) {
    FleetActorOptions fleet;
    fleet.fleet = options.fleet;
    fleet.epoch = parts.epoch;
    fleet.cache = parts.cache;
    fleet.blobs = parts.blobs;
    fleet.incoming = data / "incoming";
    fleet.members = data / "server.workers";
    fleet.board = board_;
    fleet.say = options.say;
    return fleet_ = spawn_fleet_actor(system, std::move(fleet));
  };
  options.engine.on_end = [this](const RunId& run) {
    if (ClientDesk* desk = at_desk_.load()) desk->run_ended(run);
  };
  options.engine.on_nested = [this](const RunId& run) {
    if (ClientDesk* desk = at_desk_.load()) desk->run_nested(run);
  };
  options.engine.known_functions = [this, table = options.engine.functions] {
    return callable(table.get());
  };
  options.engine.name = hub.exchange.self.name;
  options.engine.on_superseded = options.on_superseded;
  // Before the epoch begins: who loses the race for the folder must not supersede who has it.
  auto folder = journal::DataFolder::open({.path = data, .create = true});
  if (!folder) return tl::unexpected(folder.error());
  if (Status locked = lock_.take(data, "server"); !locked) return locked;
  auto engine = Engine::open(options.engine);
  if (!engine) return tl::unexpected(engine.error());
  engine_ = *std::move(engine);
  auto opened = Hub::open(std::move(hub));
  if (!opened) return tl::unexpected(opened.error());
  hub_ = *std::move(opened);
  engine_->listen([this](const journal::Batch& batch) {
    if (ClientDesk* at_work = at_desk_.load()) at_work->run_changed(batch.run);
  });
  engine_->start();
  const auto query = [this, others = options.query](const std::string& op,
                                                    const std::string& body) {
    return answer(op, body, others);
  };
  const auto find_log = [this](const wire::AskLog& what,
                               std::function<void(Result<wire::LogPart>)> answer) {
    caf::anon_send(fleet_, FindLog{what, std::move(answer)});
  };
  auto desk = ClientDesk::open({.engine = *engine_,
                                .data = data,
                                .board = board_,
                                .find_log = find_log,
                                .query = query,
                                .is_stable = options.engine.durability != Durability::none,
                                .say = say_});
  if (!desk) return tl::unexpected(desk.error());
  desk_ = *std::move(desk);
  at_desk_ = desk_.get();
  // Who comes before the runs of the server before go on waits at the desk.
  const auto port = hub_->listen(options.listen);
  if (!port) return tl::unexpected(port.error());
  port_ = *port;
  if (Status started = desk_->start(); !started) return started;
  caf::anon_send(fleet_, RunsGoOn{desk_->going_on()});
  return {};
}

// The hub first: nobody is told anything any more. That its links end is no news: workers keep what
// they have for the next server. Then the desk, which uses the engine.
Server::State::~State() {
  is_ending_ = true;
  hub_.reset();
  if (desk_) desk_->stop();
  fleet_ = {};
  engine_.reset();  // it may tell of ended runs until it is gone
}

// What flows may call: what every worker has, and what those have that are there.
std::map<std::string, Signature, std::less<>> Server::State::callable(
    const worker::FunctionTable* table) const {
  worker::FunctionTable builtins;
  if (table == nullptr) worker::add_builtins(builtins);
  std::map<std::string, Signature, std::less<>> all;
  for (const worker::KnownFunction& each :
       worker::known_functions(table != nullptr ? *table : builtins))
    all.emplace(each.id(), each.signature);
  for (const worker::KnownFunction& each : board_->functions())
    all.emplace(each.id(), each.signature);
  return all;
}

// What is about workers is answered here, the rest by whoever opened the server.
Result<std::string> Server::State::answer(
    const std::string& op, const std::string& body,
    const std::function<Result<std::string>(const std::string&, const std::string&)>& others) {
  constexpr std::array<std::pair<std::string_view, SetAside::What>, 3> known{
      {{"worker.drain", SetAside::What::drain},
       {"worker.undrain", SetAside::What::undrain},
       {"worker.stop", SetAside::What::stop}}};
  for (const auto& [name, what] : known) {
    if (op != name) continue;
    if (const Status done = set_worker_aside({what, body}); !done)
      return tl::unexpected(done.error());
    return std::string();
  }
  if (!others) return fail(ErrorCode::not_found, "no such query");
  return others(op, body);
}

Status Server::State::set_worker_aside(SetAside request) {
  Status answer = fail(ErrorCode::unavailable, "the server is busy");
  caf::scoped_actor self{fleet_.home_system()};
  self->request(fleet_, caf::duration{std::chrono::seconds{10}}, std::move(request))
      .receive([&](Status& status) { answer = std::move(status); }, [](const caf::error&) {});
  return answer;
}

void Server::State::route(LinkEvent event) {
  if (is_ending_) return;
  if (const auto* trouble = std::get_if<LinkTrouble>(&event)) {
    say_(fmt::format("turned away {}: {}", trouble->address, trouble->why.message));
    return;
  }
  if (const auto* up = std::get_if<LinkUp>(&event);
      up != nullptr && up->peer.identity.role == Role::worker)
    worker_links_.insert(up->peer.link);
  const LinkNumber link = link_of(event);
  if (!worker_links_.contains(link)) return desk_->take(std::move(event));
  if (std::holds_alternative<LinkDown>(event)) worker_links_.erase(link);
  std::visit([&](auto& one) { caf::anon_send(fleet_, std::move(one)); }, event);
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

std::uint16_t Server::port() const {
  return state_->port();
}

bool Server::is_responding(Duration limit) {
  return state_->engine().is_responding(limit);
}

std::size_t Server::worker_count() const {
  return state_->board().workers().size();
}

Result<std::unique_ptr<Server>> Server::open(ServerOptions options) {
  auto state = std::make_unique<State>();
  if (const Status opened = state->open(std::move(options)); !opened)
    return tl::unexpected(opened.error());
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

}  // namespace reprise::cluster
