// Bytes from a server, turned into replies by hiredis' parser, within limits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/result.hpp"
#include "redis/reply.hpp"
#include "redis/settings.hpp"

namespace reprise::redis {

/// Not safe for concurrent use. After an error it gives errors for good.
class ReplyReader {
 public:
  explicit ReplyReader(Limits limits);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  /// Limits count from here.
  void start_round();
  /// @error corrupt: more bytes than the limit since start_round()
  Status feed(std::string_view bytes);
  /// The next whole reply; nothing while more bytes are needed.
  /// @error corrupt: no reply of the protocol (RESP2), or more values than the limit
  [[nodiscard]] Result<std::optional<Reply>> next();

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace reprise::redis
