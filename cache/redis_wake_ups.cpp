#include "cache/redis_wake_ups.hpp"

#include <optional>
#include <set>
#include <utility>

namespace reprise::cache {

RedisWakeUps::RedisWakeUps(redis::Settings settings)
    : settings_(std::move(settings)),
      names_(settings_.prefix),
      subscriber_(std::make_unique<redis::Subscriber>(
          settings_, [this](const std::string& channel) { heard(channel); })) {}

void RedisWakeUps::on_news(std::function<void(const Key&)> hear) {
  const std::lock_guard guard(mutex_);
  hear_ = std::move(hear);
}

void RedisWakeUps::listen_to(std::span<const Key> keys) {
  std::set<std::string> channels;
  {
    const std::lock_guard guard(mutex_);
    keys_.clear();
    for (const Key& key : keys) {
      const std::string channel = names_.channel(RedisKeys::tag(key));
      keys_.emplace(channel, key);
      channels.insert(channel);
    }
  }
  subscriber_->listen_to(std::move(channels));
}

bool RedisWakeUps::is_listening() const {
  return subscriber_->is_listening();
}

void RedisWakeUps::heard(const std::string& channel) {
  std::function<void(const Key&)> hear;
  std::optional<Key> key;
  {
    const std::lock_guard guard(mutex_);
    const auto known = keys_.find(channel);
    if (known == keys_.end()) return;
    key = known->second;
    hear = hear_;
  }
  if (hear) hear(*key);
}

}  // namespace reprise::cache
