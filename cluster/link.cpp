#include "cluster/link.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/pack.hpp"

namespace reprise::cluster {
namespace {

// Frames of a link: [1, number of the first part, acknowledged, kind, more, bytes, kind, more, …]
// and [2, acknowledged].
constexpr std::uint64_t data_frame = 1;
constexpr std::uint64_t ack_frame = 2;
constexpr std::uint32_t header_values = 3;
constexpr std::uint32_t values_per_part = 3;

// What keeping a part costs beyond its bytes, so that a flood of empty messages is bounded, too.
constexpr std::size_t part_overhead = 64;

// More than this is acknowledged at once.
constexpr std::size_t owed_parts_max = 64;
constexpr std::size_t owed_bytes_max = 256u << 10;

}  // namespace

std::size_t Link::cost_of(const Part& part) {
  return part.bytes.size() + part_overhead;
}

std::size_t Link::cost(std::size_t message_bytes, const LinkLimits& limits) {
  const std::size_t parts = (message_bytes + limits.part_bytes - 1) / limits.part_bytes;
  return message_bytes + std::max<std::size_t>(parts, 1) * part_overhead;
}

Status Link::send(std::uint16_t kind, std::string bytes) {
  if (bytes.size() > limits_.max_message_bytes)
    return fail(ErrorCode::invalid_argument,
                fmt::format("a message of {} bytes is above the limit of {} bytes", bytes.size(),
                            limits_.max_message_bytes));
  // An empty queue takes every message, whatever the limits.
  if (!outgoing_.empty() &&
      unacked_bytes_ + cost(bytes.size(), limits_) > limits_.max_unacked_bytes)
    return fail(ErrorCode::exhausted,
                fmt::format("the peer has not taken {} bytes yet; the limit is {} bytes",
                            unacked_bytes_, limits_.max_unacked_bytes));
  if (bytes.size() <= limits_.part_bytes) {
    outgoing_.push_back({kind, false, std::move(bytes)});
    unacked_bytes_ += cost_of(outgoing_.back());
    return {};
  }
  for (std::size_t at = 0; at < bytes.size(); at += limits_.part_bytes) {
    const bool more = bytes.size() - at > limits_.part_bytes;
    outgoing_.push_back({kind, more, bytes.substr(at, limits_.part_bytes)});
    unacked_bytes_ += cost_of(outgoing_.back());
  }
  return {};
}

Status Link::attach(std::uint64_t peer_received) {
  // What was sent on an earlier connection may have arrived without its acknowledgement.
  if (peer_received < acked_ || peer_received - acked_ > outgoing_.size())
    return fail(ErrorCode::corrupt,
                fmt::format("the peer claims to have {} parts of {}, {} of them acknowledged",
                            peer_received, acked_ + outgoing_.size(), acked_));
  next_ = outgoing_.size();
  auto done = acknowledged(peer_received);
  next_ = 0;
  owes_nothing();  // the handshake told
  return done;
}

void Link::owes(std::size_t bytes) {
  owed_bytes_ += bytes;
  ack_due_ |= ++owed_parts_ >= owed_parts_max || owed_bytes_ >= owed_bytes_max;
}

void Link::owes_nothing() {
  owed_parts_ = owed_bytes_ = 0;
  ack_due_ = false;
}

Status Link::acknowledged(std::uint64_t count) {
  if (count < acked_ || count - acked_ > next_)
    return fail(ErrorCode::corrupt,
                fmt::format("the peer acknowledged part {}; {} were sent", count, acked_ + next_));
  for (; acked_ < count; ++acked_, --next_) {
    unacked_bytes_ -= cost_of(outgoing_.front());
    outgoing_.pop_front();
  }
  return {};
}

Status Link::take(std::uint16_t kind, bool more, std::string_view bytes,
                  std::vector<Message>& out) {
  if (collecting_kind_ && *collecting_kind_ != kind)
    return fail(ErrorCode::corrupt, "the peer began a message before the last one ended");
  if (collecting_.size() + bytes.size() > limits_.max_message_bytes)
    return fail(ErrorCode::corrupt,
                fmt::format("the peer sent a message above the limit of {} bytes",
                            limits_.max_message_bytes));
  if (more && bytes.empty()) return fail(ErrorCode::corrupt, "the peer sent an empty part");
  if (more) {
    collecting_kind_ = kind;
    collecting_ += bytes;
    return {};
  }
  Message message{kind, std::string(bytes)};
  if (collecting_kind_) {
    collecting_ += bytes;
    message.bytes = std::move(collecting_);
    collecting_ = {};
    collecting_kind_.reset();
  }
  out.push_back(std::move(message));
  return {};
}

Status Link::receive(std::string_view body, std::vector<Message>& out) {
  const auto broken = [] {
    return fail(ErrorCode::corrupt, "the peer sent a frame that does not decode");
  };
  Unpacker in(body);
  const std::uint32_t count = in.array();
  const std::uint64_t type = in.unsigned_integer();
  if (in.failed()) return broken();
  if (type == ack_frame) {
    const std::uint64_t acknowledged_to = in.unsigned_integer();
    // Later versions may append.
    for (std::uint32_t i = 2; i < count; ++i) (void)in.skip();
    if (count < 2 || !in.at_end()) return broken();
    return acknowledged(acknowledged_to);
  }
  if (type != data_frame || count < header_values + values_per_part ||
      (count - header_values) % values_per_part != 0)
    return broken();
  std::uint64_t number = in.unsigned_integer();
  const std::uint64_t acknowledged_to = in.unsigned_integer();
  if (in.failed() || number == 0 || number > received_ + 1)
    return fail(ErrorCode::corrupt,
                fmt::format("the peer sent part {} after part {}", number, received_));
  if (auto done = acknowledged(acknowledged_to); !done) return done;
  for (std::uint32_t i = header_values; i < count; i += values_per_part, ++number) {
    const auto kind = static_cast<std::uint16_t>(in.unsigned_integer(UINT16_MAX));
    const bool more = in.boolean();
    const std::string_view bytes = in.bytes();
    if (in.failed()) return broken();
    if (number <= received_) continue;  // it is here already
    if (auto done = take(kind, more, bytes, out); !done) return done;
    received_ = number;
    owes(bytes.size());
  }
  if (!in.at_end()) return broken();
  return {};
}

std::optional<std::string> Link::next_frame() {
  if (next_ >= outgoing_.size()) return ack_due_ ? std::optional(keepalive()) : std::nullopt;
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (std::size_t i = next_; i < outgoing_.size(); ++i, ++count) {
    if (count > 0 && bytes + outgoing_[i].bytes.size() > limits_.frame_bytes) break;
    bytes += outgoing_[i].bytes.size() + 9;  // kind, more, and the longest header of the bytes
  }
  std::string body;
  body.reserve(bytes + 32);
  Packer pack(body);
  pack.array(header_values + values_per_part * count);
  pack.unsigned_integer(data_frame);
  pack.unsigned_integer(acked_ + next_ + 1);
  pack.unsigned_integer(received_);
  for (; count > 0; --count, ++next_) {
    const Part& part = outgoing_[next_];
    pack.unsigned_integer(part.kind);
    pack.boolean(part.more);
    pack.bytes(part.bytes);
  }
  owes_nothing();
  return body;
}

std::string Link::keepalive() {
  std::string body;
  Packer pack(body);
  pack.array(2);
  pack.unsigned_integer(ack_frame);
  pack.unsigned_integer(received_);
  owes_nothing();
  return body;
}

}  // namespace reprise::cluster
