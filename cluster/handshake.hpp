// How two nodes meet on a new connection: version, names, proof, and where their link goes on.
//
//   connecting                                     accepting
//     HELLO  versions, identity, nonce, resume ──▶
//            ◀── CHALLENGE  version, identity, nonce
//     PROOF  MAC of both ──────────────────────▶   looks for the link, then
//            ◀── READY  link, resumed, received, MAC of all
//
// or REFUSED with a reason instead of either answer. The side that was called shows its proof
// last, so a stranger who dials learns nothing that was made with the secret.
//
// The MAC's key is the cluster's shared secret, or under TLS a value that only the two ends of this
// connection know; nonces are fresh, so a recorded handshake is worth nothing. Pure: bodies of
// frames in and out, randomness passed in. docs/protocol.md, "Link", has the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/peer.hpp"
#include "cluster/tls.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

/// Versions of the link protocol and of the messages on it that this program speaks.
struct Versions {
  std::uint32_t oldest = 1;
  std::uint32_t newest = 2;
};

using Nonce = std::array<std::uint8_t, 32>;

/// A link that the connecting side wants to go on with.
struct Resume {
  LinkId link{};
  std::uint64_t received = 0;  // parts it has of the peer
  bool operator==(const Resume&) const = default;
};

struct HandshakeOptions {
  Identity self;
  Versions versions;
  Nonce nonce{};                    // drawn for this connection alone
  std::string secret;               // shared by the cluster; empty: TLS proves who speaks
  std::vector<Role> accepted;       // roles that the peer may have
  std::optional<std::string> name;  // connecting: the peer has to be this node
  std::optional<Resume> resume;     // connecting: the link to go on with
};

/// Who the peer is, once proven.
struct Greeting {
  Identity peer;
  std::uint32_t version = 0;     // spoken on this connection
  std::optional<Resume> resume;  // accepting: what the peer wants to go on with
};

/// Accepting: the answer to a greeting. Connecting: what the peer answered.
struct Grant {
  LinkId link{};
  bool resumed = false;        // the link goes on; otherwise it is new, and older ones are over
  std::uint64_t received = 0;  // parts that the accepting side has of the connecting one
};

class Handshake {
 public:
  enum class Side { accepting, connecting };

  /// @param tls  the peer's certificate and the connection's binding, of a ready TLS stream
  struct Channel {
    CertifiedPeer peer;
    std::string binding;
  };
  Handshake(Side side, HandshakeOptions options, std::optional<Channel> channel);

  /// The first frame's body, for the connecting side.
  [[nodiscard]] std::string hello();

  /// One frame's body from the peer in; what there is to answer is appended to `replies`. A
  /// refusal may have to be sent even when this fails.
  /// @error denied: wrong role, name or proof, or the peer refused us; invalid_argument: no common
  /// version, or not a handshake
  [[nodiscard]] Status receive(std::string_view body, std::vector<std::string>& replies);

  /// Accepting: the peer is proven and waits for grant(). Connecting: the peer is proven and the
  /// handshake is over.
  [[nodiscard]] const std::optional<Greeting>& greeting() const { return greeting_; }
  /// Connecting: what the peer granted; of a finished handshake.
  [[nodiscard]] const std::optional<Grant>& granted() const { return granted_; }
  /// Accepting: ends the handshake. @return the body of READY
  [[nodiscard]] std::string grant(const Grant& grant);

  /// The body of a refusal, for the accepting side.
  [[nodiscard]] static std::string refusal(const Error& error);

 private:
  [[nodiscard]] Status on_hello(std::string_view body, std::vector<std::string>& replies);
  [[nodiscard]] Status on_challenge(std::string_view body, std::vector<std::string>& replies);
  [[nodiscard]] Status on_proof(std::string_view body, std::vector<std::string>& replies);
  [[nodiscard]] Status on_ready(std::string_view body);
  [[nodiscard]] Status check_peer(const Identity& peer) const;
  [[nodiscard]] std::string mac(std::string_view purpose, std::string_view rest = {}) const;

  enum class Stage : std::uint8_t { hello, challenge, proof, grant, ready, over };

  Side side_;
  Stage stage_;
  HandshakeOptions options_;
  std::optional<Channel> channel_;
  std::string transcript_;  // both opening frames
  Greeting draft_;          // not proven yet
  std::optional<Greeting> greeting_;
  std::optional<Grant> granted_;
};

}  // namespace reprise::cluster
