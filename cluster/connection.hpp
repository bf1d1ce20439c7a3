// One connection between two nodes, without its socket: bytes in, bytes out, TLS, frames,
// handshake, and then the link that it carries.
//
//   socket ──receive()──▶ [TLS] ──▶ frames ──▶ handshake, then Link ──▶ messages
//   socket ◀──produce()── [TLS] ◀── frames ◀── handshake, Link
//
// Whoever owns connections and links (hub.hpp, or a test with a simulated network) moves bytes,
// looks up the link when `greeting()` appears, and calls `check_time()` now and then. Pure: time
// and randomness are passed in. Not safe for concurrent use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/frame.hpp"
#include "cluster/handshake.hpp"
#include "cluster/link.hpp"
#include "cluster/peer.hpp"
#include "cluster/tls.hpp"
#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cluster {

/// Before a peer has proved who it is, it may send no longer frames than this.
inline constexpr std::size_t max_handshake_frame_bytes = 1024;

struct ConnectionTimes {
  Duration handshake{std::chrono::seconds{5}};  // to prove oneself, from connecting on
  Duration keepalive{std::chrono::seconds{1}};  // this side says something at least so often
  Duration silence{std::chrono::seconds{10}};   // a peer that says nothing so long is cut off
};

struct ConnectionOptions {
  HandshakeOptions handshake;
  ConnectionTimes times;
  std::shared_ptr<const TlsContext> tls;  // null: no TLS, the handshake's secret proves the peer
  // Whether a peer of this role may send this kind of message; one that does otherwise is cut off
  // with `denied`. Empty: everybody may send everything.
  std::function<bool(Role, std::uint16_t)> may_send;
};

class Connection {
 public:
  using Side = Handshake::Side;
  Connection(Side side, ConnectionOptions options, Instant now);

  /// Bytes from the socket in; whole messages are appended to `out`.
  /// @error denied, invalid_argument, corrupt, exhausted: the peer broke the rules; unavailable: it
  /// said good-bye (`is_farewell()`) or ended TLS. What produce() still gives should be sent, then
  /// the connection closed. Messages appended before are good.
  [[nodiscard]] Status receive(std::string_view bytes, Instant now, std::vector<Message>& out);

  /// Appends bytes for the socket, as long as `out` is shorter than `limit` and there is something
  /// to send; more by one frame at most. @error internal: TLS failed
  [[nodiscard]] Status produce(std::string& out, std::size_t limit, Instant now);
  [[nodiscard]] bool has_output() const;

  /// To be called a few times a second.
  /// @param reading  bytes of the peer are being taken, so that its silence means something
  /// @error unavailable: the handshake took too long, or the peer says nothing any more
  [[nodiscard]] Status check_time(Instant now, bool reading = true);

  /// The peer is proven and the link to carry is wanted; see Handshake.
  [[nodiscard]] const std::optional<Greeting>& greeting() const;
  /// Connecting side, with a greeting: what the peer granted.
  [[nodiscard]] const std::optional<Grant>& granted() const;

  /// Carries `link` from now on, after greeting(). On the accepting side this answers the peer with
  /// `grant`, whose `received` is filled in from the link. `link` must outlive the connection or
  /// its detach(). Frames that came with the handshake are taken now.
  /// @error as receive()
  [[nodiscard]] Status attach(Link& link, Grant grant, Instant now, std::vector<Message>& out);
  void detach() { link_ = nullptr; }
  [[nodiscard]] bool is_attached() const { return link_ != nullptr; }

  /// Accepting side, with a greeting: tells the peer why it gets no link.
  void refuse(const Error& why);

  /// Ends the link for good: the peer is told why, after everything queued. Nothing is received any
  /// more.
  void say_farewell(const Error& why);
  /// receive() failed because the peer ended the link for good.
  [[nodiscard]] bool is_farewell() const { return farewell_; }

 private:
  [[nodiscard]] Status take_frames(std::vector<Message>& out);
  [[nodiscard]] Status begin_handshake();
  [[nodiscard]] Status check_kinds(const std::vector<Message>& messages, std::size_t from) const;
  [[nodiscard]] Status send_frame(std::string_view body);

  Side side_;
  ConnectionOptions options_;
  std::unique_ptr<TlsStream> tls_;
  std::optional<Handshake> handshake_;  // under TLS from when that is ready
  FrameReader reader_{max_handshake_frame_bytes};
  std::string output_;  // frames that wait, as they are or encrypted
  Link* link_ = nullptr;
  Instant began_;
  Instant last_heard_;
  Instant last_said_;
  std::optional<Error> leaving_;
  bool established_ = false;  // was attached once
  bool farewell_ = false;
};

}  // namespace reprise::cluster
