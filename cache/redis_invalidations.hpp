// The log of invalidations in a Redis server: a stream, of which the last ten thousand are kept.
#pragma once

#include <memory>

#include "cache/invalidation_log.hpp"
#include "cache/redis_keys.hpp"
#include "redis/client.hpp"

namespace reprise::cache {

/// Safe from any thread.
class RedisInvalidations final : public InvalidationLog {
 public:
  /// @param client  with the library redis_functions()
  explicit RedisInvalidations(std::shared_ptr<redis::Client> client);

  Status invalidate(std::span<const Key> keys, Time now) override;
  [[nodiscard]] Result<News> read(const std::string& position) override;

 private:
  std::shared_ptr<redis::Client> client_;
  RedisKeys keys_;
};

}  // namespace reprise::cache
