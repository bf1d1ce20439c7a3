// Names of keys in Redis. docs/protocol.md, "Redis".
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/cache_key.hpp"
#include "core/text.hpp"

namespace reprise::cache {

/// The first half of a key's digest in braces, so that everything of one key lies on one node of a
/// Redis cluster; a record says its whole key.
class RedisKeys {
 public:
  explicit RedisKeys(std::string prefix) : prefix_(std::move(prefix)) {}

  [[nodiscard]] static std::string tag(const Key& key) {
    return to_hex(key.digest.raw().substr(0, 16));
  }

  [[nodiscard]] std::string entry(std::string_view tag) const { return of('e', tag); }
  [[nodiscard]] std::string history(std::string_view tag) const { return of('h', tag); }
  [[nodiscard]] std::string material(std::string_view tag) const { return of('k', tag); }
  [[nodiscard]] std::string lease(std::string_view tag) const { return of('l', tag); }
  [[nodiscard]] std::string quarantine(std::string_view tag) const { return of('q', tag); }
  [[nodiscard]] std::string channel(std::string_view tag) const { return of('w', tag); }
  [[nodiscard]] std::string value(const Digest& digest) const {
    return prefix_ + ":b:" + digest.hex();
  }
  [[nodiscard]] std::string quarantined_value(const Digest& digest) const {
    return prefix_ + ":q:" + digest.hex();
  }
  [[nodiscard]] std::string index() const { return prefix_ + ":index"; }
  [[nodiscard]] std::string invalidations() const { return prefix_ + ":iv"; }
  [[nodiscard]] std::string statistics() const { return prefix_ + ":stats"; }

 private:
  [[nodiscard]] std::string of(char kind, std::string_view tag) const {
    std::string key;
    key.reserve(prefix_.size() + tag.size() + 5);
    key.append(prefix_).append({':', kind, ':', '{'}).append(tag).push_back('}');
    return key;
  }

  std::string prefix_;
};

}  // namespace reprise::cache
