// TLS 1.3 with certificates on both sides, as a transformer of bytes: OpenSSL over memory, no
// sockets and no clock but the one that certificates are judged by.
//
// A certificate says who its holder is in one URI of its subjectAltName, "reprise:ROLE:NODE"
// (authority.hpp makes such certificates). Connections are never resumed, so each one proves
// anew that its certificate is good.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "cluster/peer.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

/// Why a file that was named by people could not be opened: not_found where it is not there.
[[nodiscard]] Error open_error(const std::filesystem::path& file, int errno_value);

struct TlsFiles {
  std::filesystem::path authority;    // certificate of the cluster's authority, PEM
  std::filesystem::path certificate;  // this node's, PEM
  std::filesystem::path key;          // this node's private key, PEM; readable by its owner alone
};

/// What a certificate says of its holder.
struct CertifiedPeer {
  Role role = Role::client;
  std::string name;
  bool operator==(const CertifiedPeer&) const = default;
};

/// Keys and rules of this node, read once. Immutable; shared by all its connections, from any
/// thread.
class TlsContext {
 public:
  /// Reads the three files. Blocks for the disk.
  /// @error not_found, io: a file cannot be read; denied: others than its owner may read the key;
  /// invalid_argument: no certificates, not made for each other, or without a "reprise:" name
  [[nodiscard]] static Result<std::shared_ptr<const TlsContext>> load(const TlsFiles& files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// Whom the own certificate names.
  [[nodiscard]] const CertifiedPeer& self() const { return self_; }

 private:
  friend class TlsStream;
  TlsContext() = default;
  void* context_ = nullptr;  // SSL_CTX
  CertifiedPeer self_;
};

/// One connection's encryption. Not safe for concurrent use.
class TlsStream {
 public:
  enum class Side { accepting, connecting };
  TlsStream(std::shared_ptr<const TlsContext> context, Side side);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// Bytes from the socket in; what they say is appended to `plain`.
  /// @error denied: the peer's certificate is not accepted, it does not accept ours, or it does not
  /// speak TLS 1.3; unavailable: the peer ended the stream, or somebody else meddled with it.
  /// take_output() may then hold an alert for the peer.
  [[nodiscard]] Status receive(std::string_view bytes, std::string& plain);
  /// Encrypts; needs is_ready(). @error internal
  [[nodiscard]] Status send(std::string_view plain);
  /// Tells the peer that nothing more comes.
  void close();
  /// Bytes for the socket since the last call; appended to `out`.
  void take_output(std::string& out);
  /// Bytes for the socket are waiting.
  [[nodiscard]] bool has_output() const;

  /// The handshake is over and the peer's certificate was verified. On the connecting side the peer
  /// may still refuse ours.
  [[nodiscard]] bool is_ready() const { return ready_; }
  /// Whom the peer's certificate names; of a ready stream.
  [[nodiscard]] const CertifiedPeer& peer() const { return peer_; }
  /// 32 bytes that only the two ends of this very connection know (RFC 5705); of a ready stream.
  [[nodiscard]] std::string binding() const;

 private:
  [[nodiscard]] Status handshake();

  std::shared_ptr<const TlsContext> context_;
  void* tls_ = nullptr;     // SSL, owns both BIOs
  void* input_ = nullptr;   // BIO
  void* output_ = nullptr;  // BIO
  bool ready_ = false;
  CertifiedPeer peer_;
};

}  // namespace reprise::cluster
