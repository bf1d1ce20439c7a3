// The links of a process on real sockets: one thread, epoll, non-blocking everywhere.
//
//   HubOptions options;
//   options.exchange.self = {Role::worker, "node-1", new_incarnation()};
//   options.exchange.tls = TlsContext::load(bundle_files("/etc/reprise/node-1")).value();
//   options.on_event = events_to(owner);          // link_actor.hpp: to an actor, as messages
//   auto hub = Hub::open(std::move(options)).value();
//   hub->connect({.host = "scheduler.lan"});      // or hub->listen({})
//
// Exchange decides, this carries out. A plain thread instead of CAF's brokers: why is in
// docs/decisions/0014.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cluster/exchange.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

inline constexpr std::uint16_t default_port = 4747;

struct HubOptions {
  ExchangeOptions exchange;
  // Called with every event, in order, from the hub's thread; must be quick and must not call the
  // hub, but may use a LinkSender. Required.
  std::function<void(LinkEvent)> on_event;
  // Called by the hub's thread before the events of one look at its sockets and, once the hub may
  // be used, after them: for who handles events in that thread. Meanwhile nothing is read.
  std::function<void()> before_events{};
  std::function<void()> after_events{};
  // Bytes of one link's messages that its owner may have before its peer is read no more.
  std::size_t receive_window_bytes = 16u << 20;
  Duration connect_deadline{std::chrono::seconds{5}};  // for TCP to connect, per address
  // Lets the shared secret do where others can read along: for laboratories. With it a stranger on
  // the network can read everything, and change what is sent after the handshake.
  bool secret_beyond_loopback = false;
};

struct ListenOptions {
  std::string host = "127.0.0.1";  // an address or a name; every address of a name is listened on
  std::uint16_t port = default_port;  // 0: the system chooses
};

struct PeerPlace {
  std::string host;
  std::uint16_t port = default_port;
};

struct ConnectOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = default_port;
  std::vector<PeerPlace> others{};  // where the peer may be instead; tried in turn
  Role role = Role::scheduler;      // that the peer must have
  std::optional<std::string> name;  // that the peer must have; nullopt: any node of that role
};

class Mailbox;

/// Sends on one link. Safe from any thread, also after the link or the hub is gone. A short message
/// may go out in the caller's thread.
class LinkSender : public std::enable_shared_from_this<LinkSender> {
 public:
  /// Queues a message; returns at once.
  /// @error invalid_argument: longer than max_message_bytes; exhausted: too much waits for the peer
  /// to take it, LinkRoom tells when to try again; not_found: the link is over. Nothing was queued
  /// then.
  [[nodiscard]] Status send(std::uint16_t kind, std::string bytes);
  /// Ends the link once what was queued is sent; the peer is told `why`, the owner gets LinkDown.
  void close(Error why);
  /// Bytes that wait to be sent or acknowledged, with what keeping them costs.
  [[nodiscard]] std::size_t waiting_bytes() const { return waiting_.load(); }
  [[nodiscard]] LinkNumber link() const { return link_; }

 private:
  friend class Reactor;
  LinkSender(LinkNumber link, LinkLimits limits, std::shared_ptr<Mailbox> mailbox);

  LinkNumber link_;
  LinkLimits limits_;
  std::shared_ptr<Mailbox> mailbox_;
  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> refused_{false};
  std::atomic<bool> over_{false};
};

class Reactor;

class Hub {
 public:
  /// Starts the thread. @error as Exchange::open(); io, exhausted: the system
  [[nodiscard]] static Result<std::unique_ptr<Hub>> open(HubOptions options);
  /// Tells peers that links end, for at most a second, and closes everything. `on_event` is not
  /// called afterwards.
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  /// Accepts connections from now on. Blocks while a name is resolved.
  /// @return the port
  /// @error denied: an address beyond loopback without certificates; invalid_argument: no such
  /// address; conflict: the port is taken; io
  Result<std::uint16_t> listen(const ListenOptions& options);

  /// Connects, and connects again whenever the connection is lost, pausing longer each time.
  /// Returns at once; what happens is told as events.
  /// @error denied: as listen(), for addresses; a name's are judged later, and told as LinkTrouble
  Result<DialNumber> connect(const ConnectOptions& options);
  /// Ends a dial and its link.
  void hang_up(DialNumber dial);

 private:
  explicit Hub(std::unique_ptr<Reactor> reactor);
  std::unique_ptr<Reactor> reactor_;
};

/// Random bytes of the system.
[[nodiscard]] Incarnation new_incarnation();

}  // namespace reprise::cluster
