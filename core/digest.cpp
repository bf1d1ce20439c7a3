// Fetching the algorithm and allocating a context cost more than hashing a short key, so both are
// done once: the algorithm per process, the context of the one-shot functions per thread.
#include "core/digest.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise {
namespace {

const EVP_MD* algorithm() {
  // Never freed: threads may still hash while the process exits.
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  REPRISE_ASSERT(md != nullptr);
  return md;
}

EVP_MD_CTX* new_context() {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  REPRISE_ASSERT(context != nullptr);
  return context;
}

void start(EVP_MD_CTX* context) {
  REPRISE_ASSERT(EVP_DigestInit_ex2(context, algorithm(), nullptr) == 1);
}

void add(EVP_MD_CTX* context, std::string_view data) {
  REPRISE_ASSERT(EVP_DigestUpdate(context, data.data(), data.size()) == 1);
}

Digest finished(EVP_MD_CTX* context) {
  Digest digest;
  REPRISE_ASSERT(EVP_DigestFinal_ex(context, digest.bytes.data(), nullptr) == 1);
  return digest;
}

struct OwnContext {
  EVP_MD_CTX* context = new_context();
  OwnContext() = default;
  ~OwnContext() { EVP_MD_CTX_free(context); }
  OwnContext(const OwnContext&) = delete;
  OwnContext& operator=(const OwnContext&) = delete;
};

EVP_MD_CTX* context_of_this_thread() {
  thread_local OwnContext own;
  return own.context;
}

}  // namespace

std::string Digest::hex() const {
  return to_hex(raw());
}

std::string Digest::text() const {
  return "sha256:" + hex();
}

Result<Digest> Digest::parse(std::string_view text) {
  constexpr std::string_view prefix = "sha256:";
  std::string_view digits = text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  Digest digest;
  if (digits.size() != 64 || !from_hex(digits, digest.bytes.data())) {
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("\"{}\" is not a SHA-256 digest; expected \"sha256:\" and 64 hex digits",
                    shorten(escape_for_terminal(text), 80)));
  }
  return digest;
}

Result<Digest> Digest::from_raw(std::string_view raw) {
  Digest digest;
  if (raw.size() != digest.bytes.size()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("a SHA-256 digest has 32 bytes, not {}", raw.size()));
  }
  std::memcpy(digest.bytes.data(), raw.data(), raw.size());
  return digest;
}

Sha256::Sha256() : context_(new_context()) {
  start(static_cast<EVP_MD_CTX*>(context_));
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
}

Sha256& Sha256::update(std::string_view data) {
  add(static_cast<EVP_MD_CTX*>(context_), data);
  return *this;
}

Digest Sha256::finish() {
  auto* context = static_cast<EVP_MD_CTX*>(context_);
  Digest digest = finished(context);
  start(context);
  return digest;
}

Digest sha256(std::string_view data) {
  EVP_MD_CTX* context = context_of_this_thread();
  start(context);
  add(context, data);
  return finished(context);
}

Digest digest_in(std::string_view domain, std::string_view data) {
  constexpr std::string_view prefix = "rp1.";
  std::array<char, 256> buffer;
  std::size_t head = prefix.size() + domain.size() + 1;
  EVP_MD_CTX* context = context_of_this_thread();
  start(context);
  if (head + data.size() <= buffer.size()) {  // most arguments are short: one call instead of four
    std::memcpy(buffer.data(), prefix.data(), prefix.size());
    std::memcpy(buffer.data() + prefix.size(), domain.data(), domain.size());
    buffer[head - 1] = '\0';
    if (!data.empty()) std::memcpy(buffer.data() + head, data.data(), data.size());
    add(context, {buffer.data(), head + data.size()});
  } else {
    add(context, prefix);
    add(context, domain);
    add(context, std::string_view("\0", 1));
    add(context, data);
  }
  return finished(context);
}

}  // namespace reprise
