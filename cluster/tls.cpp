#include "cluster/tls.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <sys/stat.h>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cluster/openssl_pointer.hpp"
#include "core/assert.hpp"

namespace reprise::cluster {
namespace {

constexpr std::size_t record_bytes = 16384;  // the most that TLS puts into one record
constexpr long max_certificate_chain_bytes = 16384;
constexpr std::string_view uri_prefix = "reprise:";

using Names = OpensslPointer<GENERAL_NAMES, GENERAL_NAMES_free>;

SSL* ssl(void* tls) {
  return static_cast<SSL*>(tls);
}
BIO* bio(void* thing) {
  return static_cast<BIO*>(thing);
}

/// The oldest error of OpenSSL's queue, which is the cause of the others; empties the queue.
std::string openssl_error() {
  char text[256] = "no detail";
  if (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (reason)
      std::snprintf(text, sizeof text, "%s", reason);
    else
      ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return text;
}

/// Exactly one "reprise:ROLE:NODE" among the certificate's alternative names.
std::optional<CertifiedPeer> holder_of(const X509* certificate) {
  const Names names{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  std::optional<CertifiedPeer> found;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* entry = sk_GENERAL_NAME_value(names.get(), i);
    if (entry->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = entry->d.uniformResourceIdentifier;
    std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                          static_cast<std::size_t>(ASN1_STRING_length(uri)));
    if (text.substr(0, uri_prefix.size()) != uri_prefix) continue;
    if (found) return std::nullopt;
    text.remove_prefix(uri_prefix.size());
    const auto colon = text.find(':');
    const auto role = parse_role(text.substr(0, colon));
    if (!role || colon == std::string_view::npos || !is_node_name(text.substr(colon + 1)))
      return std::nullopt;
    found = CertifiedPeer{*role, std::string(text.substr(colon + 1))};
  }
  return found;
}

Status check_readable(const std::filesystem::path& file, bool is_secret) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return tl::unexpected(open_error(file, errno));
  if (is_secret && (info.st_mode & 077) != 0)
    return fail(ErrorCode::denied,
                fmt::format("others may read the key \"{}\"; run chmod 600 on it", file.string()));
  return {};
}

Status load_files(SSL_CTX* context, const TlsFiles& files) {
  for (const auto* file : {&files.authority, &files.certificate, &files.key})
    if (auto fine = check_readable(*file, file == &files.key); !fine) return fine;
  ERR_clear_error();
  const auto refuse = [](const std::filesystem::path& file, std::string_view what) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" {}: {}", file.string(), what, openssl_error()));
  };
  if (SSL_CTX_load_verify_file(context, files.authority.c_str()) != 1)
    return refuse(files.authority, "holds no certificate");
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return refuse(files.certificate, "holds no certificate");
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse(files.key, "is no private key of the certificate");
  if (SSL_CTX_check_private_key(context) != 1)
    return refuse(files.key, "is no private key of the certificate");
  return {};
}

}  // namespace

Error open_error(const std::filesystem::path& file, int errno_value) {
  Error error = system_error(fmt::format("open \"{}\"", file.string()), errno_value);
  if (errno_value == ENOENT || errno_value == ENOTDIR) error.code = ErrorCode::not_found;
  return error;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsFiles& files) {
  std::shared_ptr<TlsContext> made(new TlsContext);
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  if (!context) return fail(ErrorCode::internal, "OpenSSL: " + openssl_error());
  made->context_ = context;
  if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1)
    return fail(ErrorCode::internal, "OpenSSL has no TLS 1.3: " + openssl_error());
  if (auto fine = load_files(context, files); !fine) return tl::unexpected(fine.error());
  const auto self = holder_of(SSL_CTX_get0_certificate(context));
  if (!self)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the certificate \"{}\" names no role and node of a cluster; "
                            "make one with reprise cluster add-node",
                            files.certificate.string()));
  made->self_ = *self;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_max_cert_list(context, max_certificate_chain_bytes);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // idle connections cost 34 KiB less each
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  return made;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(static_cast<SSL_CTX*>(context_));
}

TlsStream::TlsStream(std::shared_ptr<const TlsContext> context, Side side)
    : context_(std::move(context)) {
  SSL* tls = SSL_new(static_cast<SSL_CTX*>(context_->context_));
  BIO* input = BIO_new(BIO_s_mem());
  BIO* output = BIO_new(BIO_s_mem());
  REPRISE_ASSERT(tls && input && output, "out of memory");
  // An empty input means "later", not "the end".
  BIO_set_mem_eof_return(input, -1);
  SSL_set_bio(tls, input, output);
  tls_ = tls;
  input_ = input;
  output_ = output;
  if (side == Side::accepting) {
    SSL_set_accept_state(tls);
  } else {
    SSL_set_connect_state(tls);
    (void)handshake();  // the first message; nothing can be wrong yet
  }
}

TlsStream::~TlsStream() {
  SSL_free(ssl(tls_));
}

Status TlsStream::handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl(tls_));
  if (done != 1) {
    const int error = SSL_get_error(ssl(tls_), done);
    if (error == SSL_ERROR_WANT_READ) return {};
    const long verdict = SSL_get_verify_result(ssl(tls_));
    if (verdict != X509_V_OK) {
      ERR_clear_error();
      return fail(ErrorCode::denied, fmt::format("the peer's certificate is not accepted: {}",
                                                 X509_verify_cert_error_string(verdict)));
    }
    return fail(ErrorCode::denied, "TLS handshake: " + openssl_error());
  }
  const Certificate certificate{SSL_get1_peer_certificate(ssl(tls_))};
  const auto holder = certificate ? holder_of(certificate.get()) : std::nullopt;
  if (!holder || SSL_get_verify_result(ssl(tls_)) != X509_V_OK)
    return fail(ErrorCode::denied, "the peer's certificate names no role and node of a cluster");
  peer_ = *holder;
  ready_ = true;
  return {};
}

Status TlsStream::receive(std::string_view bytes, std::string& plain) {
  while (!bytes.empty()) {
    const auto portion = static_cast<int>(std::min<std::size_t>(bytes.size(), record_bytes));
    if (BIO_write(bio(input_), bytes.data(), portion) != portion)
      return fail(ErrorCode::internal, "OpenSSL: " + openssl_error());
    bytes.remove_prefix(static_cast<std::size_t>(portion));
    if (!ready_) {
      if (auto done = handshake(); !done) return done;
      if (!ready_) continue;
    }
    char buffer[record_bytes];
    for (;;) {
      ERR_clear_error();
      const int got = SSL_read(ssl(tls_), buffer, sizeof buffer);
      if (got > 0) {
        plain.append(buffer, static_cast<std::size_t>(got));
        // Asking when there is nothing costs as much as opening a short record.
        if (BIO_ctrl_pending(bio(input_)) == 0 && SSL_pending(ssl(tls_)) == 0) break;
        continue;
      }
      const int error = SSL_get_error(ssl(tls_), got);
      if (error == SSL_ERROR_WANT_READ) break;
      if (error == SSL_ERROR_ZERO_RETURN)
        return fail(ErrorCode::unavailable, "the peer closed the connection");
      // The peer may learn of our certificate only after its own handshake: an alert comes here.
      const bool is_alert = ERR_GET_REASON(ERR_peek_error()) > SSL_AD_REASON_OFFSET;
      return fail(is_alert ? ErrorCode::denied : ErrorCode::unavailable, "TLS: " + openssl_error());
    }
  }
  return {};
}

Status TlsStream::send(std::string_view plain) {
  REPRISE_ASSERT(ready_);
  while (!plain.empty()) {
    const auto portion = static_cast<int>(std::min<std::size_t>(plain.size(), record_bytes));
    ERR_clear_error();
    const int put = SSL_write(ssl(tls_), plain.data(), portion);
    if (put <= 0) return fail(ErrorCode::internal, "TLS: " + openssl_error());
    plain.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

void TlsStream::close() {
  if (!ready_) return;
  ERR_clear_error();
  (void)SSL_shutdown(ssl(tls_));
  ERR_clear_error();
}

void TlsStream::take_output(std::string& out) {
  const std::size_t waiting = BIO_ctrl_pending(bio(output_));
  if (waiting == 0) return;
  const std::size_t before = out.size();
  out.resize(before + waiting);
  const int got = BIO_read(bio(output_), out.data() + before, static_cast<int>(waiting));
  out.resize(before + static_cast<std::size_t>(std::max(got, 0)));
}

bool TlsStream::has_output() const {
  return BIO_ctrl_pending(bio(output_)) > 0;
}

std::string TlsStream::binding() const {
  constexpr std::string_view label = "EXPORTER-reprise-link";
  std::string bytes(32, '\0');
  const int done =
      SSL_export_keying_material(ssl(tls_), reinterpret_cast<unsigned char*>(bytes.data()),
                                 bytes.size(), label.data(), label.size(), nullptr, 0, 0);
  REPRISE_ASSERT(done == 1);
  return bytes;
}

}  // namespace reprise::cluster
