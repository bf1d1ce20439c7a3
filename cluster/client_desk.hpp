// What clients ask of a server, one request after the other, on a thread of its own: requests wait
// for the disk.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "actors/engine.hpp"
#include "cluster/fleet_actor.hpp"
#include "cluster/hub.hpp"
#include "cluster/wire.hpp"
#include "journal/journal.hpp"

namespace reprise::cluster {

class ClientDesk {
 public:
  struct Options {
    Engine& engine;              // outlives the desk
    std::filesystem::path data;  // of the engine
    std::shared_ptr<FleetBoard> board;
    /// Answers queries that the desk does not know; on the desk's thread. May be empty.
    std::function<Result<std::string>(const std::string& op, const std::string& body)> query;
    std::function<void(std::string)> say;
  };
  /// @error what the data directory and its journal say
  [[nodiscard]] static Result<std::unique_ptr<ClientDesk>> open(Options options);
  ~ClientDesk();
  ClientDesk(const ClientDesk&) = delete;
  ClientDesk& operator=(const ClientDesk&) = delete;

  /// Goes on with every run that came through a server here and is not at rest, then serves.
  /// @error what the journal says
  Status start();
  /// The runs that start() goes on with. To be asked right after it.
  [[nodiscard]] std::set<RunId> going_on() const { return going_on_; }
  /// Nothing is answered any more; news are still taken, and nothing comes of them.
  void stop();

  /// Something happened on the link of a client. Returns at once; any thread.
  void take(LinkEvent event);
  /// A run came to rest. Returns at once; any thread.
  void run_ended(const RunId& run);

 private:
  struct Client {
    Peer peer;
    std::shared_ptr<LinkSender> sender;
  };
  struct Watcher {
    LinkNumber link = 0;
    std::uint64_t request = 0;
  };
  using Event = std::variant<LinkEvent, RunId>;

  explicit ClientDesk(Options options) : options_(std::move(options)) {}
  Status resume_runs();
  Status resume(const journal::RunRow& row);
  void loop();
  void handle(Event& event);
  void handle(Client& client, const Message& message);
  void submit(Client& client, const wire::Submit& request);
  void watch(Client& client, const wire::Watch& request);
  void ended(const RunId& run);
  void tell_end(Client& client, std::uint64_t request, const journal::RunRow& row);
  template <class Action>
  void steer(Client& client, const std::string& bytes, Action action);
  void send(Client& client, wire::Kind kind, std::string bytes);
  void answer(Client& client, std::uint64_t request, Status status, std::string body = {});
  [[nodiscard]] Result<std::optional<journal::RunRow>> row_of(const RunId& run);

  Options options_;
  std::unique_ptr<journal::Journal> journal_;  // for reading what the engine has written
  std::map<LinkNumber, Client> clients_;
  std::map<RunId, std::vector<Watcher>> watchers_;
  struct Submitted {
    RunId run;
    Digest what;  // of flow, parameters and options
  };
  std::map<std::string, Submitted> by_key_;
  std::set<RunId> going_on_;  // not changed after start()
  std::set<RunId> alive_;     // of the engine, their end not yet told here
  std::map<RunId, std::map<std::string, Payload>> outputs_;  // of the newest runs that ended

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace reprise::cluster
