// One direction-pair of numbered messages between two processes, across any number of connections.
//
// Problem: connections break, and after a break nobody knows what had arrived. Approach: each side
// numbers what it sends, keeps it until the peer has acknowledged it, and on a new connection tells
// how much it has received; the other side goes on from there. So every message that was accepted
// by send() arrives exactly once and in order, as long as both processes live and find each other
// again in time. When that fails the link is over, and both owners are told.
//
// Pure: no sockets, no clock, no threads. connection.hpp carries a link; hub.hpp joins connections
// to sockets. The bytes are in docs/protocol.md, "Link".
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reprise::cluster {

struct LinkLimits {
  // The longest message, in both directions. It also bounds what one peer can make us collect.
  std::size_t max_message_bytes = 64u << 20;
  // What may wait for the peer's acknowledgement; send() refuses beyond it.
  std::size_t max_unacked_bytes = 128u << 20;
  // Longer messages travel in parts of this size; with its header a part must fit into a frame.
  std::size_t part_bytes = 512u << 10;
  // Short messages share a frame up to about this size.
  std::size_t frame_bytes = 64u << 10;
};

struct Message {
  std::uint16_t kind = 0;  // wire.hpp, "Kind"
  std::string bytes;
  bool operator==(const Message&) const = default;
};

class Link {
 public:
  explicit Link(LinkLimits limits = {}) : limits_(limits) {}

  /// Queues a message; it is kept until the peer has it.
  /// @error invalid_argument: longer than max_message_bytes; exhausted: too much waits already,
  /// try again once the peer has taken some. Nothing was queued then.
  [[nodiscard]] Status send(std::uint16_t kind, std::string bytes);

  /// A new connection carries the link: what the peer has not received is sent again.
  /// @param peer_received  how many of our parts the peer has, as it said
  /// @error corrupt: it never was sent that many, or said more before; the link is then over
  [[nodiscard]] Status attach(std::uint64_t peer_received);

  /// Takes the body of one frame; appends whole messages to `out`.
  /// @error corrupt: not a frame of a link, a gap, a message above the limit. Whatever was
  /// appended before is good; the connection must be closed.
  [[nodiscard]] Status receive(std::string_view body, std::vector<Message>& out);

  /// The next frame's body; nullopt: everything was sent once on this connection, and there is no
  /// acknowledgement to give.
  [[nodiscard]] std::optional<std::string> next_frame();
  /// A frame that only acknowledges, to show that this side is alive.
  [[nodiscard]] std::string keepalive();
  /// To be called a few times a second. Acknowledging alone wakes the peer for nothing, so it waits
  /// for company: for a frame that goes there anyway, for more to acknowledge, or until now.
  void tick() { ack_due_ |= owed_parts_ > 0; }

  /// Parts received, for the peer to go on from.
  [[nodiscard]] std::uint64_t received() const { return received_; }
  /// What keeping a message of this length counts for until the peer has it.
  [[nodiscard]] static std::size_t cost(std::size_t message_bytes, const LinkLimits& limits);
  /// Bytes that wait to be sent or acknowledged, with what keeping them costs.
  [[nodiscard]] std::size_t unacked_bytes() const { return unacked_bytes_; }
  [[nodiscard]] bool has_output() const { return next_ < outgoing_.size() || ack_due_; }
  /// Bytes of an unfinished message of the peer.
  [[nodiscard]] std::size_t collecting_bytes() const { return collecting_.size(); }

 private:
  struct Part {
    std::uint16_t kind = 0;
    bool more = false;  // the message goes on in the next part
    std::string bytes;
  };
  [[nodiscard]] static std::size_t cost_of(const Part& part);
  [[nodiscard]] Status acknowledged(std::uint64_t count);
  void owes(std::size_t bytes);
  void owes_nothing();
  [[nodiscard]] Status take(std::uint16_t kind, bool more, std::string_view bytes,
                            std::vector<Message>& out);

  LinkLimits limits_;
  // Outgoing parts acked_ + 1, acked_ + 2 …; those from next_ on are not sent on this connection.
  std::deque<Part> outgoing_;
  std::size_t next_ = 0;
  std::uint64_t acked_ = 0;
  std::size_t unacked_bytes_ = 0;

  std::uint64_t received_ = 0;
  std::size_t owed_parts_ = 0;  // received and not acknowledged; with their bytes
  std::size_t owed_bytes_ = 0;
  bool ack_due_ = false;    // … for too long, or too many
  std::string collecting_;  // parts of an unfinished message
  std::optional<std::uint16_t> collecting_kind_;
};

}  // namespace reprise::cluster
