// Through the channels that the functions of a Redis server speak on.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cache/redis_keys.hpp"
#include "cache/wake_ups.hpp"
#include "redis/subscriber.hpp"

namespace reprise::cache {

/// Safe from any thread.
class RedisWakeUps final : public WakeUps {
 public:
  explicit RedisWakeUps(redis::Settings settings);

  void on_news(std::function<void(const Key&)> hear) override;
  void listen_to(std::span<const Key> keys) override;
  [[nodiscard]] bool is_listening() const override;

 private:
  void heard(const std::string& channel);

  redis::Settings settings_;
  RedisKeys names_;
  std::mutex mutex_;
  std::function<void(const Key&)> hear_;
  std::map<std::string, Key> keys_;                // by channel
  std::unique_ptr<redis::Subscriber> subscriber_;  // last: its thread uses all of the above
};

}  // namespace reprise::cache
