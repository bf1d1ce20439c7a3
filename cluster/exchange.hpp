// All links and connections of one node, without sockets: who may connect, which link a connection
// carries, when to dial again, when a link is over.
//
// Events go in (a connection was accepted, bytes came, time passed), effects come out (dial, close)
// together with news for the owner of the links. hub.hpp carries the effects out on real sockets;
// the tests do on a simulated network. Pure: time is passed in, randomness comes from a function.
// Not safe for concurrent use. Nothing calls back.
//
// What the owner is told of one link, always in this order:
//   LinkUp, then any number of LinkMessages, LinkCut and LinkBack, then LinkDown.
// Between LinkCut and LinkBack the peer cannot be heard; nothing is lost, messages may be sent.
// After LinkDown, what the peer had not acknowledged may or may not have arrived.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/connection.hpp"
#include "cluster/handshake.hpp"
#include "cluster/link.hpp"
#include "cluster/peer.hpp"
#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cluster {

// Numbers that this process gives out, from 1, never twice.
using LinkNumber = std::uint64_t;
using ConnectionNumber = std::uint64_t;
using DialNumber = std::uint64_t;

/// The peer of a link as its owner sees it.
struct Peer {
  LinkNumber link = 0;
  Identity identity;
  std::uint32_t version = 0;  // of the protocol, as agreed on the first connection
  std::string address;        // of the first connection; for people
  DialNumber dial = 0;        // the dial that made the link; 0: it was accepted
};

class LinkSender;  // hub.hpp

/// A new link: the peer knows nothing of earlier ones any more.
struct LinkUp {
  Peer peer;
  std::shared_ptr<LinkSender> sender;  // how the owner sends; null where no hub is involved
};
/// Messages in order, each exactly once.
struct LinkMessages {
  LinkNumber link = 0;
  std::vector<Message> messages;
  // While copies of it live, the messages count as not yet taken: a peer that sends faster than its
  // messages are taken is not read from. Null where no hub is involved.
  std::shared_ptr<const void> hold;
};
/// The connection broke; the link may come back within the resume window.
struct LinkCut {
  LinkNumber link = 0;
  Error why;
};
/// The link goes on where it was cut.
struct LinkBack {
  LinkNumber link = 0;
};
/// The link is over.
struct LinkDown {
  LinkNumber link = 0;
  Error why;
};
/// A send was refused because too much waited; now it may be tried again. Told by a hub.
struct LinkRoom {
  LinkNumber link = 0;
};
/// Somebody could not be connected with, or was turned away: for logs. A dial goes on trying.
struct LinkTrouble {
  DialNumber dial = 0;  // 0: an accepted connection
  std::string address;
  Error why;
};
using LinkEvent =
    std::variant<LinkUp, LinkMessages, LinkCut, LinkBack, LinkDown, LinkRoom, LinkTrouble>;
/// The link that it is about; 0 for trouble, which has none.
[[nodiscard]] LinkNumber link_of(const LinkEvent& event);

struct ExchangeOptions {
  Identity self;
  Versions versions;
  std::shared_ptr<const TlsContext> tls;  // null: `secret` proves who speaks
  std::string secret;                     // at least min_secret_bytes, or empty under TLS
  std::vector<Role> accepted{Role::worker, Role::client};  // who may connect to us
  LinkLimits limits;
  ConnectionTimes times;
  Duration resume_window{std::chrono::seconds{30}};  // how long a cut link waits to go on
  Duration linger{std::chrono::seconds{1}};          // how long a closing connection may still send
  Duration dial_base{std::chrono::milliseconds{100}};  // first pause between dials, then doubled
  Duration dial_max{std::chrono::seconds{10}};
  std::size_t max_links = 10'000;
  // Accepted connections that have not proved themselves. The oldest goes when there are more: a
  // good peer needs milliseconds, one that holds a place needs it for long.
  std::size_t max_half_open = 512;
  std::size_t max_half_open_per_address = 64;
  std::size_t max_connections_per_address = 4096;
  // Whether a role may send a kind of message; empty: everybody everything.
  std::function<bool(Role, std::uint16_t)> may_send;
};

/// A secret shorter than this could be found by trying.
inline constexpr std::size_t min_secret_bytes = 32;

struct DialOptions {
  std::string address;              // for people and the shell that connects
  Role role = Role::scheduler;      // that the peer must have
  std::optional<std::string> name;  // that the peer must have; nullopt: any node of that role
};

/// To be carried out by the shell.
struct ExchangeEffects {
  std::vector<std::pair<DialNumber, std::string>> dials;  // connect to this address
  // Send what produce() still gives, then close.
  std::vector<ConnectionNumber> ends;
  std::vector<ConnectionNumber> aborts;  // close now; the number is gone
  std::vector<LinkEvent> events;         // for the owner, in order
};

class Exchange {
 public:
  using Random = std::function<void(std::span<std::uint8_t>)>;

  /// @error invalid_argument: neither TLS nor a secret, a secret that is too short, a name that is
  /// none; denied: the certificate is somebody else's
  [[nodiscard]] static Result<std::unique_ptr<Exchange>> open(ExchangeOptions options,
                                                              Random random);

  /// A socket was accepted. @param address  of the peer without its port: what caps count by
  [[nodiscard]] ConnectionNumber accepted(std::string address, Instant now);

  /// Connects with a node, and again whenever the connection is lost, until hang_up().
  [[nodiscard]] DialNumber dial(DialOptions options);
  /// A dial's socket is connected. nullopt: the dial was given up meanwhile.
  [[nodiscard]] std::optional<ConnectionNumber> dialed(DialNumber dial, Instant now);
  void dial_failed(DialNumber dial, const Error& why, Instant now);
  /// Ends the dial and its link.
  void hang_up(DialNumber dial, Instant now);

  /// Bytes from a connection's socket; unknown numbers are ignored, here and below.
  void received(ConnectionNumber connection, std::string_view bytes, Instant now);
  /// A connection's socket is gone.
  void lost(ConnectionNumber connection, const Error& why, Instant now);
  /// Bytes for a connection's socket; see Connection::produce.
  void produce(ConnectionNumber connection, std::string& out, std::size_t limit, Instant now);
  [[nodiscard]] bool has_output(ConnectionNumber connection) const;
  /// The shell takes no bytes of this connection for now: its peer's silence means nothing.
  void set_reading(ConnectionNumber connection, bool reading);

  /// @error not_found: no such link, or it is over; else as Link::send()
  [[nodiscard]] Status send(LinkNumber link, std::uint16_t kind, std::string bytes);
  /// Ends a link once what was queued is sent; the peer is told `why`.
  void close(LinkNumber link, const Error& why, Instant now);

  /// Closes every link, hangs up every dial and drops what has not proved itself.
  void shut_down(const Error& why, Instant now);

  /// To be called a few times a second.
  void tick(Instant now);

  [[nodiscard]] ExchangeEffects take_effects() { return std::exchange(effects_, {}); }
  [[nodiscard]] bool has_effects() const {
    return !effects_.dials.empty() || !effects_.ends.empty() || !effects_.aborts.empty() ||
           !effects_.events.empty();
  }

  /// The connection that carries a link now.
  [[nodiscard]] std::optional<ConnectionNumber> connection_of(LinkNumber link) const;
  /// The link that a connection carries.
  [[nodiscard]] std::optional<LinkNumber> link_of(ConnectionNumber connection) const;
  [[nodiscard]] std::size_t unacked_bytes(LinkNumber link) const;
  [[nodiscard]] std::size_t connection_count() const { return connections_.size(); }
  [[nodiscard]] std::size_t link_count() const { return links_.size(); }

 private:
  struct ConnectionState {
    std::unique_ptr<Connection> connection;
    std::string address;
    DialNumber dial = 0;
    std::optional<LinkNumber> link;
    bool reading = true;
    std::optional<Instant> closing_since;
  };
  struct LinkState {
    std::unique_ptr<Link> link;
    LinkId id{};
    Peer peer;
    std::optional<ConnectionNumber> connection;
    std::optional<Instant> cut_at;
    bool leaving = false;  // the owner closed it
  };
  struct DialState {
    DialOptions options;
    std::optional<LinkNumber> link;
    std::optional<ConnectionNumber> connection;
    bool connecting = false;       // the shell is at it
    std::uint32_t failures = 0;    // in a row
    std::optional<Instant> again;  // when to dial next
  };
  struct AddressState {
    std::size_t connections = 0;
    std::set<ConnectionNumber> half_open;
  };

  Exchange(ExchangeOptions options, Random random)
      : options_(std::move(options)), random_(std::move(random)) {}

  ConnectionNumber add_connection(Connection::Side side, std::string address, DialNumber dial,
                                  HandshakeOptions handshake, Instant now);
  [[nodiscard]] HandshakeOptions handshake_options();
  void make_room(const std::string& address);
  void no_longer_half_open(ConnectionNumber number);
  void erase_connection(ConnectionNumber number);
  [[nodiscard]] Status admit(ConnectionNumber number, Instant now, std::vector<Message>& out);
  [[nodiscard]] Status admit_accepted(ConnectionNumber number, Instant now,
                                      std::vector<Message>& out);
  [[nodiscard]] Status admit_dialed(ConnectionNumber number, Instant now,
                                    std::vector<Message>& out);
  LinkNumber add_link(const ConnectionState& connection, const LinkId& id);
  void carry(LinkNumber link, ConnectionNumber connection, Instant now);
  void fail_connection(ConnectionNumber number, const Error& why, bool is_farewell, Instant now);
  void begin_end(ConnectionNumber number, Instant now);
  void end_link(LinkNumber number, const Error& why, bool tell_peer, Instant now);
  void dial_later(DialNumber number, Instant now);
  void call(DialNumber number);

  ExchangeOptions options_;
  Random random_;
  ExchangeEffects effects_;
  std::map<ConnectionNumber, ConnectionState> connections_;
  std::map<LinkNumber, LinkState> links_;
  std::map<DialNumber, DialState> dials_;
  std::map<Identity, LinkNumber> accepted_links_;  // by place_of() the peer
  std::map<std::string, AddressState> addresses_;  // of accepted connections
  std::set<ConnectionNumber> half_open_;
  std::uint64_t last_number_ = 0;
};

}  // namespace reprise::cluster
