#include "cluster/handshake.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/assert.hpp"
#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise::cluster {
namespace {

constexpr std::string_view hello_word = "reprise-link";
enum Type : std::uint64_t { refused = 0, challenge = 1, proof = 2, ready = 3 };

constexpr std::uint32_t hello_values = 8;
constexpr std::uint32_t challenge_values = 6;
constexpr std::size_t max_refusal_text = 512;

template <std::size_t size>
std::string_view view(const std::array<std::uint8_t, size>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), size};
}

template <std::size_t size>
void read(Unpacker& in, std::array<std::uint8_t, size>& bytes) {
  const std::string_view got = in.bytes();
  if (got.size() != size) return in.fail();
  std::memcpy(bytes.data(), got.data(), size);
}

void write(Packer& out, const Identity& identity) {
  out.unsigned_integer(static_cast<std::uint64_t>(identity.role));
  out.text(identity.name);
  out.bytes(view(identity.incarnation));
}

void read(Unpacker& in, Identity& identity) {
  const auto role = in.unsigned_integer();
  identity.role = static_cast<Role>(role);
  if (role < 1 || role > static_cast<std::uint64_t>(Role::scheduler)) in.fail();
  const std::string_view name = in.text();
  if (!is_node_name(name)) in.fail();
  identity.name = name;
  read(in, identity.incarnation);
}

/// A newer program may append values to every frame.
bool skip_rest(Unpacker& in, std::uint32_t count, std::uint32_t known) {
  for (; count > known && !in.failed(); --count) (void)in.skip();
  return in.at_end();
}

void write_grant(Packer& pack, const Grant& grant) {
  pack.bytes(view(grant.link));
  pack.boolean(grant.resumed);
  pack.unsigned_integer(grant.received);
}

std::string numbered(const Grant& grant) {
  std::string bytes;
  Packer pack(bytes);
  write_grant(pack, grant);
  return bytes;
}

void add_to(std::string& transcript, std::string_view body) {
  Packer(transcript).bytes(body);  // with its length, so that two frames cannot be cut differently
}

bool is_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

tl::unexpected<Error> not_a_handshake() {
  return fail(ErrorCode::invalid_argument, "the peer does not speak the link's protocol");
}

}  // namespace

Handshake::Handshake(Side side, HandshakeOptions options, std::optional<Channel> channel)
    : side_(side),
      stage_(side == Side::accepting ? Stage::hello : Stage::challenge),
      options_(std::move(options)),
      channel_(std::move(channel)) {
  REPRISE_ASSERT(channel_ || !options_.secret.empty(), "a link needs TLS or a secret");
}

std::string Handshake::hello() {
  REPRISE_ASSERT(side_ == Side::connecting);
  std::string body;
  Packer pack(body);
  pack.array(hello_values);
  pack.text(hello_word);
  pack.unsigned_integer(options_.versions.oldest);
  pack.unsigned_integer(options_.versions.newest);
  write(pack, options_.self);
  pack.bytes(view(options_.nonce));
  if (options_.resume) {
    pack.array(2);
    pack.bytes(view(options_.resume->link));
    pack.unsigned_integer(options_.resume->received);
  } else {
    pack.nil();
  }
  add_to(transcript_, body);
  return body;
}

std::string Handshake::mac(std::string_view purpose, std::string_view rest) const {
  std::string key = options_.secret;
  if (channel_) key += channel_->binding;
  std::string message(purpose);
  message += transcript_;
  message += rest;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const auto* made =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest, &size);
  REPRISE_ASSERT(made && size == 32);
  OPENSSL_cleanse(key.data(), key.size());
  return {reinterpret_cast<const char*>(digest), size};
}

std::string Handshake::refusal(const Error& error) {
  std::string body;
  Packer pack(body);
  pack.array(3);
  pack.unsigned_integer(refused);
  pack.unsigned_integer(static_cast<std::uint64_t>(error.code));
  pack.bytes(std::string_view(error.message).substr(0, max_refusal_text));
  return body;
}

Status Handshake::check_peer(const Identity& peer) const {
  if (channel_ && (channel_->peer.role != peer.role || channel_->peer.name != peer.name))
    return fail(
        ErrorCode::denied,
        fmt::format("the peer says it is {} \"{}\"; its certificate says {} \"{}\"",
                    name(peer.role), peer.name, name(channel_->peer.role), channel_->peer.name));
  if (std::find(options_.accepted.begin(), options_.accepted.end(), peer.role) ==
      options_.accepted.end())
    return fail(ErrorCode::denied,
                fmt::format("{} \"{}\" may not connect to {} \"{}\"", name(peer.role), peer.name,
                            name(options_.self.role), options_.self.name));
  if (options_.name && *options_.name != peer.name)
    return fail(ErrorCode::denied,
                fmt::format("the peer is \"{}\"; \"{}\" was expected", peer.name, *options_.name));
  return {};
}

Status Handshake::receive(std::string_view body, std::vector<std::string>& replies) {
  Status done;
  switch (stage_) {
    case Stage::hello:
      done = on_hello(body, replies);
      break;
    case Stage::proof:
      done = on_proof(body, replies);
      break;
    case Stage::challenge:
      done = on_challenge(body, replies);
      break;
    case Stage::ready:
      done = on_ready(body);
      break;
    case Stage::grant:
    case Stage::over:
      done =
          fail(ErrorCode::invalid_argument, "the peer did not wait for the end of the handshake");
  }
  if (!done) stage_ = Stage::over;
  return done;
}

Status Handshake::on_hello(std::string_view body, std::vector<std::string>& replies) {
  Unpacker in(body);
  const std::uint32_t count = in.array();
  Versions theirs;
  const bool is_hello = in.text() == hello_word;
  theirs.oldest = in.index();
  theirs.newest = in.index();
  read(in, draft_.peer);
  Nonce nonce;
  read(in, nonce);
  if (in.next_is_nil()) {
    in.nil();
  } else {
    in.array(2);
    read(in, draft_.resume.emplace().link);
    draft_.resume->received = in.unsigned_integer();
  }
  // Nobody is told anything before it said a whole hello.
  if (!is_hello || count < hello_values || !skip_rest(in, count, hello_values))
    return not_a_handshake();
  const auto refuse = [&](const Error& error) -> Status {
    replies.push_back(refusal(error));
    return tl::unexpected(error);
  };
  const std::uint32_t common = std::min(theirs.newest, options_.versions.newest);
  if (theirs.oldest > theirs.newest || common < theirs.oldest || common < options_.versions.oldest)
    return refuse({ErrorCode::invalid_argument,
                   fmt::format("no common version: the calling side speaks {} to {}, the called "
                               "one {} to {}; upgrade the older one",
                               theirs.oldest, theirs.newest, options_.versions.oldest,
                               options_.versions.newest)});
  if (auto fine = check_peer(draft_.peer); !fine) return refuse(fine.error());
  draft_.version = common;
  add_to(transcript_, body);
  std::string answer;
  Packer pack(answer);
  pack.array(challenge_values);
  pack.unsigned_integer(challenge);
  pack.unsigned_integer(common);
  write(pack, options_.self);
  pack.bytes(view(options_.nonce));
  add_to(transcript_, answer);
  replies.push_back(std::move(answer));
  stage_ = Stage::proof;
  return {};
}

Status Handshake::on_challenge(std::string_view body, std::vector<std::string>& replies) {
  Unpacker in(body);
  const std::uint32_t count = in.array();
  const std::uint64_t type = in.unsigned_integer();
  if (type == refused) {
    const auto code = in.unsigned_integer(static_cast<std::uint64_t>(ErrorCode::internal));
    const std::string_view text = in.bytes();
    if (count < 3 || !skip_rest(in, count, 3) || text.size() > max_refusal_text)
      return not_a_handshake();
    return fail(static_cast<ErrorCode>(code), "the peer refused: " + escape_for_terminal(text));
  }
  const std::uint64_t version = in.unsigned_integer();
  read(in, draft_.peer);
  Nonce nonce;
  read(in, nonce);
  if (type != challenge || count < challenge_values || !skip_rest(in, count, challenge_values))
    return not_a_handshake();
  if (version < options_.versions.oldest || version > options_.versions.newest)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the peer wants to speak version {}; this program speaks {} to {}",
                            version, options_.versions.oldest, options_.versions.newest));
  if (auto fine = check_peer(draft_.peer); !fine) return fine;
  draft_.version = static_cast<std::uint32_t>(version);
  add_to(transcript_, body);
  std::string answer;
  Packer pack(answer);
  pack.array(2);
  pack.unsigned_integer(proof);
  pack.bytes(mac("reprise-link connecting"));
  replies.push_back(std::move(answer));
  stage_ = Stage::ready;
  return {};
}

Status Handshake::on_proof(std::string_view body, std::vector<std::string>& replies) {
  Unpacker in(body);
  const std::uint32_t count = in.array();
  const std::uint64_t type = in.unsigned_integer();
  const std::string_view proven = in.bytes();
  if (type != proof || count < 2 || !skip_rest(in, count, 2)) return not_a_handshake();
  if (!is_equal(proven, mac("reprise-link connecting"))) {
    const Error error{ErrorCode::denied,
                      "the proof is wrong; both sides need the same secret of the cluster"};
    replies.push_back(refusal(error));
    return tl::unexpected(error);
  }
  greeting_ = draft_;
  stage_ = Stage::grant;
  return {};
}

std::string Handshake::grant(const Grant& grant) {
  REPRISE_ASSERT(stage_ == Stage::grant);
  stage_ = Stage::over;
  std::string body;
  Packer pack(body);
  pack.array(5);
  pack.unsigned_integer(ready);
  write_grant(pack, grant);
  pack.bytes(mac("reprise-link accepting", numbered(grant)));
  return body;
}

Status Handshake::on_ready(std::string_view body) {
  Unpacker in(body);
  const std::uint32_t count = in.array();
  const std::uint64_t type = in.unsigned_integer();
  if (type == refused) {
    stage_ = Stage::challenge;  // the same form as a refusal there
    std::vector<std::string> none;
    return on_challenge(body, none);
  }
  Grant grant;
  read(in, grant.link);
  grant.resumed = in.boolean();
  grant.received = in.unsigned_integer();
  const std::string_view proven = in.bytes();
  if (type != ready || count < 5 || !skip_rest(in, count, 5)) return not_a_handshake();
  if (!is_equal(proven, mac("reprise-link accepting", numbered(grant))))
    return fail(ErrorCode::denied,
                "the peer's proof is wrong; both sides need the same secret of the cluster");
  if (grant.resumed && (!options_.resume || options_.resume->link != grant.link))
    return fail(ErrorCode::invalid_argument, "the peer goes on with a link that was not asked for");
  granted_ = grant;
  greeting_ = draft_;
  stage_ = Stage::over;
  return {};
}

}  // namespace reprise::cluster
