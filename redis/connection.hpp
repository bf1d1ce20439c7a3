// One connection to a server: many commands, one round trip, and never longer than agreed.
//
// hiredis' own sockets know a time-out per read only, so that a server which sends a byte now and
// then keeps its client for good, and writing to a connection that is gone ends the process. Hence
// the socket is ours, and hiredis reads the replies.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "redis/commands.hpp"
#include "redis/reply.hpp"
#include "redis/reply_reader.hpp"
#include "redis/settings.hpp"

namespace reprise::redis {

using Deadline = std::chrono::steady_clock::time_point;
/// Gets replies with their numbers, from 0 on.
using Take = std::function<void(std::size_t number, Reply& reply)>;

/// Waits until `descriptor` can be read, or until the deadline.
void wait_for_any(int descriptor, Deadline deadline);

/// Not safe for concurrent use.
class Connection {
 public:
  /// Connects; says nothing to the server yet.
  /// @error unavailable: nobody there, or not in time; invalid_argument: no such host. Blocks.
  [[nodiscard]] static Result<std::unique_ptr<Connection>> open(const Endpoint& endpoint,
                                                                const Limits& limits,
                                                                Deadline deadline);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Sends all commands, waits for all replies, in order. Errors that the server reports are
  /// replies. After an error the connection is of no further use, and whether commands were carried
  /// out is not known.
  /// @error unavailable: connection lost, or not in time; corrupt: no reply of the protocol, or one
  /// above the limits. Blocks.
  /// @param take  gets each reply, with its number, as soon as it is here, while the server still
  ///              works on the rest; what it moves out of a reply is gone from the result
  [[nodiscard]] Result<std::vector<Reply>> exchange(const Commands& commands, Deadline deadline,
                                                    const Take& take = {});

  // For subscribers, who are told things that are no replies.

  /// Sends all commands and waits for nothing.
  /// @error as exchange(). Blocks.
  [[nodiscard]] Status send(const Commands& commands, Deadline deadline);
  /// What the server says next, or nothing: it was quiet, or `bell` can be read.
  /// @error as exchange(). Blocks.
  [[nodiscard]] Result<std::vector<Reply>> listen(int bell, Deadline deadline);

  /// A reply was seen since open().
  [[nodiscard]] bool has_answered() const { return has_answered_; }

 private:
  Connection(int descriptor, std::string name, const Limits& limits);
  Result<std::vector<Reply>> exchange_all(const Commands& commands, Deadline deadline,
                                          const Take& take);
  Status send_some(std::string_view& unsent);
  Status receive_some(std::vector<Reply>& replies, std::size_t expected, const Take& take);
  tl::unexpected<Error> lost(std::string_view why) const;

  int descriptor_;
  std::string name_;  // of the server, for messages
  ReplyReader reader_;
  bool has_answered_ = false;
  bool is_broken_ = false;
};

}  // namespace reprise::redis
