// Commits and keys as the tests of stores need them.
#pragma once

#include <string>

#include "cache/store.hpp"

namespace reprise::cache::testing {

inline Time at(std::int64_t seconds) {
  return Time(std::chrono::seconds{1'790'000'000 + seconds});
}
inline Key key(std::string_view name) {
  return Key{sha256(name)};
}
/// The encoded text `text`.
inline Payload value(std::string text) {
  return *Payload::of(Value(std::move(text)));
}

inline Commit commit(std::string_view key_name, Payload payload,
                     std::optional<Duration> expires_after = {}) {
  Commit result;
  result.key = key(key_name);
  result.name = "align";
  result.value = std::move(payload);
  result.expires_after = expires_after;
  result.run.bytes[0] = 7;
  result.task = "align[s1]";
  result.cost = std::chrono::milliseconds{250};
  result.material = "material of " + std::string(key_name);
  return result;
}

}  // namespace reprise::cache::testing
