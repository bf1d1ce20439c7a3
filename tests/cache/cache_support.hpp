// Commits and keys as the tests of stores need them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

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

/// Bytes that do not get smaller.
inline std::string noise(std::size_t size, std::uint64_t state = 17) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}
inline Payload noisy(std::size_t size) {
  return *Payload::of(Value(Bytes{noise(size)}));
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

inline std::optional<Record> find(Store& store, std::string_view name, Time now = at(0)) {
  const Key wanted = key(name);
  auto found = store.look_up({&wanted, 1}, now);
  if (!found) BOOST_FAIL(found.error().message);
  return (*found)[0];
}

inline void keep(Store& store, const Commit& commit, Time now = at(0)) {
  auto done = store.commit({&commit, 1}, now);
  if (!done) BOOST_FAIL(done.error().message);
}

inline std::vector<std::string> values_of(const Result<std::vector<Record>>& records) {
  BOOST_REQUIRE(records);
  std::vector<std::string> texts;
  for (const Record& record : *records)
    texts.push_back(record.value.bytes ? *record.value.value()->get_if<std::string>()
                                       : "(" + std::to_string(record.value.size) + ")");
  return texts;
}

}  // namespace reprise::cache::testing
