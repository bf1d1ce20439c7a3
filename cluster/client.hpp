// A client of a server: asks, and follows runs.
//
//   auto client = Client::connect({.server = {.host = "127.0.0.1"}, .credentials = …});
//   auto run = (*client)->submit({.flow = flow, .parameters = parameters});
//   auto ended = (*client)->wait(run->run);
//
// A link that breaks is made again and what is not answered asked again: every request may be, a
// submit because of its key, a following because it says how far it came. Safe from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
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
  // A cut link that does not come back in time is over: only then the patience begins.
  Duration resume_window{std::chrono::seconds{30}};
};

/// What is told of a run that is followed: in order, from a thread of the client; must be quick and
/// must not call the client.
struct RunNews {
  std::function<void(const wire::Changes&)> changes;       // each change once, over all links
  std::function<void(const Result<wire::RunEnded>&)> end;  // the last; an error: as Client::wait()
};

/// A run that is being followed, until destroyed: nothing is told afterwards.
class Following {
 public:
  ~Following();
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

 private:
  friend class Client;
  class Listener;
  explicit Following(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
  std::shared_ptr<Listener> listener_;
};

class Client {
 public:
  /// @error unavailable: the server is not reached in time; denied: it does not accept the
  /// credentials, or is not accepted; else as Hub::open()
  [[nodiscard]] static Result<std::unique_ptr<Client>> connect(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Of all that block: @error unavailable: the server was not reached any more; else its answer

  /// `request` is filled in, and `idempotency` with something random where it is empty. A server
  /// that cannot take it now, or leads no more, is asked again for as long as the patience lasts,
  /// the next one if the link to it ends.
  /// @param timeout  at most so long; then the error is unavailable
  [[nodiscard]] Result<wire::Submitted> submit(wire::Submit submit,
                                               std::optional<Duration> timeout = {});
  /// Local files that the server may ask for by digest from now on, those of a flow that is given
  /// to it.
  void offer(const std::map<Digest, std::filesystem::path>& files);
  [[nodiscard]] Result<std::string> query(std::string op, std::string body = {});
  // A run is steered once the journal has it: unavailable, too, when that takes longer than the
  // patience lasts; it may come about later.
  [[nodiscard]] Status cancel(const RunId& run, std::vector<std::string> tasks, std::string reason);
  [[nodiscard]] Status pause(const RunId& run, std::vector<std::string> tasks, std::string reason);
  /// Until the run is at rest. nullopt: `timeout` passed.
  [[nodiscard]] Result<std::optional<wire::RunEnded>> wait(const RunId& run,
                                                           std::optional<Duration> timeout = {});
  /// Follows a run from the change at `from` on, until it is at rest; 0: only its end is told. Does
  /// not block, and waits for ever for a server that is away.
  [[nodiscard]] std::unique_ptr<Following> follow(const RunId& run, journal::Offset from,
                                                  RunNews news);

 private:
  explicit Client(Duration patience) : patience_(patience) {}
  struct Reply {
    wire::Kind kind{};
    std::string bytes;
  };
  /// Not answered yet, or the answer not yet taken.
  struct Request {
    wire::Kind kind{};
    std::string bytes;
    std::uint64_t sent_on = 0;     // of `links_`; 0: not sent
    std::optional<Error> refusal;  // it cannot be sent, on no link
    std::optional<Reply> reply;
    bool follows = false;
    std::weak_ptr<Following::Listener> listener;  // when it follows; gone: nobody listens any more
    wire::Watch watch;                            // when it follows
  };
  void take(LinkEvent event);
  void take(Message message, std::unique_lock<std::mutex>& lock);
  void give_part(const wire::BlobRequest& wanted, std::unique_lock<std::mutex>& lock);
  void take_changes(const wire::Changes& changes, std::unique_lock<std::mutex>& lock);
  void send(Request& request);
  void send_all();
  [[nodiscard]] std::optional<Error> trouble_since(std::chrono::steady_clock::time_point begin);
  [[nodiscard]] Status reach();
  /// Until a message answers the request, whatever happens to links. nullopt: `timeout` passed.
  [[nodiscard]] Result<std::optional<Reply>> ask(wire::Kind kind, std::string bytes,
                                                 std::uint64_t request,
                                                 std::optional<Duration> timeout = {});
  [[nodiscard]] Result<wire::Submitted> submit_once(const wire::Submit& submit,
                                                    std::optional<Duration> timeout);
  [[nodiscard]] Status steer(wire::Kind kind, const RunId& run, std::vector<std::string> tasks,
                             std::string reason);
  [[nodiscard]] std::uint64_t next_request();

  Duration patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t last_request_ = 0;
  std::shared_ptr<LinkSender> sender_;  // null: no link
  std::uint64_t links_ = 0;             // so many there were
  std::chrono::steady_clock::time_point down_since_ = std::chrono::steady_clock::now();
  std::optional<Error> trouble_;  // of the last attempt to connect
  std::map<std::uint64_t, Request> requests_;
  std::map<Digest, std::filesystem::path> offered_;
  std::unique_ptr<Hub> hub_;  // last: its thread uses the others
};

}  // namespace reprise::cluster
