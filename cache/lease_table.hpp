// Leases of one process, and what the others are measured against.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cache/leases.hpp"

namespace reprise::cache {

/// The next token of a key whose last one was `last`: the clock in microseconds, so that tokens
/// grow also when the last one was forgotten.
[[nodiscard]] std::uint64_t next_token(std::uint64_t last, Time now);

/// A decider: no clock, no threads.
class LeaseTable {
 public:
  /// How long a token is remembered after its lease ended.
  static constexpr Duration remembered = std::chrono::hours{24};

  [[nodiscard]] LeaseAnswer acquire(const Key& key, const LeaseTerms& terms);
  /// False: not held. A lease that ran out but that nobody took over is held.
  [[nodiscard]] bool renew(const HeldLease& lease, const LeaseTerms& terms);
  bool release(const HeldLease& lease);
  void release_all_of(std::string_view owner);
  /// Drops what ended before `time`.
  void forget(Time time);

  [[nodiscard]] std::size_t size() const { return rows_.size(); }

 private:
  struct Row {
    std::string owner{};  // empty = nobody
    std::uint64_t token = 0;
    Time since{}, until{};
  };
  std::map<Key, Row> rows_;
};

}  // namespace reprise::cache
