// A scheduler that others reach: the engine with its journal and cache, workers behind links, and a
// desk for clients, on one port.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "actors/engine.hpp"
#include "cluster/credentials.hpp"
#include "cluster/fleet.hpp"
#include "cluster/hub.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

struct ServerOptions {
  EngineOptions engine;  // with `data`; spawn_worker, name, on_end and on_superseded are filled in
  ListenOptions listen;
  std::string name;  // empty: of host and process
  Credentials credentials;
  FleetOptions fleet;
  std::function<void(std::string)> say;  // one line for people, from any thread; required
  /// Another server leads over the same data directory: this one does nothing any more and should
  /// end. From any thread. May be empty.
  std::function<void(const Error&)> on_superseded;
  /// Answers what clients ask beyond runs and workers, from one thread. May be empty.
  std::function<Result<std::string>(const std::string& op, const std::string& body)> query;
};

class Server {
 public:
  /// Starts everything and goes on with the runs that a server before left unfinished here.
  /// @error conflict: another server has the data directory, or the port is taken; denied: beyond
  /// loopback without certificates; else as Engine::open() and Hub::listen()
  [[nodiscard]] static Result<std::unique_ptr<Server>> open(ServerOptions options);
  /// Runs that are not finished become interrupted; the next server goes on with them.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  /// The scheduler answers in time. Blocks for as long.
  [[nodiscard]] bool is_responding(Duration limit);
  [[nodiscard]] std::size_t worker_count() const;

 private:
  class State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cluster
