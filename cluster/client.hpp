// A client of a server: asks one thing at a time and waits for the answer.
//
//   auto client = Client::connect({.server = {.host = "127.0.0.1"}, .credentials = …});
//   auto run = (*client)->submit({.flow = flow, .parameters = parameters});
//   auto ended = (*client)->wait(run->run);
//
// A link that breaks is made again and the question asked again: every one of them may be, a submit
// because of its key. Blocks; not safe for concurrent use.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/credentials.hpp"
#include "cluster/hub.hpp"
#include "cluster/wire.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

struct ClientOptions {
  ConnectOptions server;
  Credentials credentials;
  Duration patience{std::chrono::seconds{5}};  // for the server to be reached, again, too
};

class Client {
 public:
  /// @error unavailable: the server is not reached in time; denied: it does not accept the
  /// credentials, or is not accepted; else as Hub::open()
  [[nodiscard]] static Result<std::unique_ptr<Client>> connect(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Of all: @error unavailable: the server was not reached any more; else what it answers

  /// `request` is filled in, and `idempotency` with something random where it is empty.
  [[nodiscard]] Result<wire::Submitted> submit(wire::Submit submit);
  [[nodiscard]] Result<std::string> query(std::string op, std::string body = {});
  [[nodiscard]] Status cancel(const RunId& run, std::vector<std::string> tasks, std::string reason);
  [[nodiscard]] Status pause(const RunId& run, std::vector<std::string> tasks, std::string reason);
  /// Until the run is at rest. nullopt: `timeout` passed.
  [[nodiscard]] Result<std::optional<wire::RunEnded>> wait(const RunId& run,
                                                           std::optional<Duration> timeout = {});

 private:
  explicit Client(Duration patience) : patience_(patience) {}
  struct Reply {
    wire::Kind kind{};
    std::string bytes;
  };
  void take(LinkEvent event);
  [[nodiscard]] Status reach();
  /// Sends, and again on a new link, until a message of one of these kinds answers the request.
  [[nodiscard]] Result<std::optional<Reply>> ask(wire::Kind kind, const std::string& bytes,
                                                 std::uint64_t request,
                                                 std::optional<Duration> timeout = {});
  [[nodiscard]] Status steer(wire::Kind kind, const RunId& run, std::vector<std::string> tasks,
                             std::string reason);

  Duration patience_;
  std::uint64_t last_request_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<LinkSender> sender_;  // null: no link
  std::uint64_t links_ = 0;             // so many there were
  std::optional<Error> trouble_;        // of the last attempt to connect
  std::deque<Message> messages_;
  std::unique_ptr<Hub> hub_;  // last: its thread uses the others
};

}  // namespace reprise::cluster
