#include "cluster/connection.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise::cluster {
namespace {

// [3, code, message]: the sender ends the link for good.
constexpr std::uint64_t farewell_frame = 3;
constexpr std::size_t max_farewell_text = 512;

std::string encode_farewell(const Error& why) {
  std::string body;
  Packer pack(body);
  pack.array(3);
  pack.unsigned_integer(farewell_frame);
  pack.unsigned_integer(static_cast<std::uint64_t>(why.code));
  pack.bytes(std::string_view(why.message).substr(0, max_farewell_text));
  return body;
}

std::optional<Error> decode_farewell(std::string_view body) {
  Unpacker in(body);
  const std::uint32_t count = in.array();
  if (count < 3 || in.unsigned_integer() != farewell_frame) return std::nullopt;
  const std::uint64_t code = in.unsigned_integer();
  const std::string_view text = in.bytes();
  if (in.failed()) return std::nullopt;
  // Whatever it is, the link is over; only of a conflict coming again makes no sense.
  const bool is_conflict = code == static_cast<std::uint64_t>(ErrorCode::conflict);
  return Error{
      is_conflict ? ErrorCode::conflict : ErrorCode::unavailable,
      "the peer ended the link: " + escape_for_terminal(text.substr(0, max_farewell_text))};
}

}  // namespace

Connection::Connection(Side side, ConnectionOptions options, Instant now)
    : side_(side), options_(std::move(options)), began_(now), last_heard_(now), last_said_(now) {
  if (options_.tls) {
    tls_ = std::make_unique<TlsStream>(options_.tls, side == Side::accepting
                                                         ? TlsStream::Side::accepting
                                                         : TlsStream::Side::connecting);
    return;
  }
  auto begun = begin_handshake();
  REPRISE_ASSERT(begun.has_value());
}

Status Connection::begin_handshake() {
  std::optional<Handshake::Channel> channel;
  if (tls_) channel = Handshake::Channel{tls_->peer(), tls_->binding()};
  handshake_.emplace(side_, options_.handshake, std::move(channel));
  return side_ == Side::connecting ? send_frame(handshake_->hello()) : Status{};
}

Status Connection::send_frame(std::string_view body) {
  auto frame = encode_frame(body);
  if (!frame) return tl::unexpected(frame.error());
  if (!tls_) {
    output_ += *frame;
    return {};
  }
  return tls_->send(*frame);
}

Status Connection::receive(std::string_view bytes, Instant now, std::vector<Message>& out) {
  if (leaving_) return {};
  if (established_) last_heard_ = now;  // also within a long frame on a slow network
  if (!tls_) {
    reader_.feed(bytes);
    return take_frames(out);
  }
  std::string plain;
  auto decrypted = tls_->receive(bytes, plain);
  if (tls_->is_ready() && !handshake_)
    if (auto begun = begin_handshake(); !begun) return begun;
  // What came before the trouble is good.
  reader_.feed(plain);
  auto taken = handshake_ ? take_frames(out) : Status{};
  return taken ? decrypted : taken;
}

Status Connection::take_frames(std::vector<Message>& out) {
  for (;;) {
    // Frames after the handshake wait until the link was found.
    if (!established_ && handshake_->greeting()) return {};
    auto frame = reader_.next();
    if (!frame) return tl::unexpected(frame.error());
    if (!*frame) return {};
    if (!established_) {
      std::vector<std::string> replies;
      auto done = handshake_->receive(**frame, replies);
      for (const std::string& reply : replies)
        if (auto sent = send_frame(reply); !sent) return sent;
      if (!done) return done;
      continue;
    }
    if (!link_) return {};  // detached: another connection carries the link now
    if (const auto why = decode_farewell(**frame)) {
      farewell_ = true;
      return tl::unexpected(*why);
    }
    const std::size_t before = out.size();
    auto done = link_->receive(**frame, out);
    if (auto allowed = check_kinds(out, before); !allowed) {
      out.resize(before);
      return allowed;
    }
    if (!done) return done;
  }
}

Status Connection::check_kinds(const std::vector<Message>& messages, std::size_t from) const {
  if (!options_.may_send) return {};
  const Identity& peer = handshake_->greeting()->peer;
  for (std::size_t i = from; i < messages.size(); ++i)
    if (!options_.may_send(peer.role, messages[i].kind))
      return fail(ErrorCode::denied, fmt::format("{} \"{}\" may not send messages of kind {}",
                                                 name(peer.role), peer.name, messages[i].kind));
  return {};
}

const std::optional<Greeting>& Connection::greeting() const {
  static const std::optional<Greeting> none;
  return handshake_ ? handshake_->greeting() : none;
}

const std::optional<Grant>& Connection::granted() const {
  static const std::optional<Grant> none;
  return handshake_ ? handshake_->granted() : none;
}

Status Connection::attach(Link& link, Grant grant, Instant now, std::vector<Message>& out) {
  REPRISE_ASSERT(greeting() && !established_);
  std::uint64_t peer_received = 0;
  if (side_ == Side::accepting) {
    grant.received = link.received();
    if (grant.resumed) peer_received = greeting()->resume->received;
    if (auto sent = send_frame(handshake_->grant(grant)); !sent) return sent;
  } else if (grant.resumed) {
    peer_received = grant.received;
  }
  if (auto attached = link.attach(peer_received); !attached) return attached;
  link_ = &link;
  established_ = true;
  last_heard_ = now;
  reader_.set_limit(max_frame_bytes);
  return take_frames(out);
}

void Connection::refuse(const Error& why) {
  if (handshake_)
    (void)send_frame(Handshake::refusal(why));  // if it cannot be told, it sees the end
}

void Connection::say_farewell(const Error& why) {
  if (!leaving_) leaving_ = why;
}

bool Connection::has_output() const {
  return !output_.empty() || (tls_ && tls_->has_output()) || (link_ && link_->has_output()) ||
         leaving_;
}

Status Connection::produce(std::string& out, std::size_t limit, Instant now) {
  const std::size_t before = out.size();
  const auto move_output = [&] {
    out += output_;
    output_.clear();
    if (tls_) tls_->take_output(out);
  };
  move_output();
  while (link_ && out.size() < limit) {
    const auto body = link_->next_frame();
    if (!body) break;
    if (auto sent = send_frame(*body); !sent) return sent;
    move_output();
  }
  if (leaving_ && !(link_ && link_->has_output())) {
    if (established_)
      if (auto sent = send_frame(encode_farewell(*leaving_)); !sent) return sent;
    if (tls_) tls_->close();
    move_output();
    leaving_.reset();
    link_ = nullptr;
  }
  if (out.size() > before) last_said_ = now;
  return {};
}

Status Connection::check_time(Instant now, bool reading) {
  if (!established_) {
    if (now - began_ < options_.times.handshake) return {};
    return fail(ErrorCode::unavailable, fmt::format("the peer did not prove itself within {}",
                                                    describe(options_.times.handshake)));
  }
  if (!reading) last_heard_ = now;
  if (now - last_heard_ >= options_.times.silence)
    return fail(ErrorCode::unavailable,
                fmt::format("the peer said nothing for {}", describe(options_.times.silence)));
  if (link_) link_->tick();
  if (link_ && !link_->has_output() && now - last_said_ >= options_.times.keepalive)
    return send_frame(link_->keepalive());
  return {};
}

}  // namespace reprise::cluster
