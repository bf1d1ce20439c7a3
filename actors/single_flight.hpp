// Who computes which key, of all that missed it, and who waits for that: what the cache
// service remembers between its calls. Pure.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cache/leases.hpp"
#include "flow/attempt.hpp"

namespace reprise::actors {

class SingleFlight {
 public:
  /// An attempt whose key somebody else computes.
  struct Waiting {
    Attempt attempt;
    Key key;
    Time since;
    std::optional<RunId> told{};  // the scheduler was told that this run computes it
    bool has_waited = false;
  };

  /// A run of this process computes `key` from now on.
  void begin(const Key& key, const Attempt& by, Time now, std::optional<cache::Lease> lease) {
    computing_.insert_or_assign(key,
                                Computing{by.run, by.context->run, now, std::move(lease), false});
  }
  /// The run of this process that computes `key`, and since when.
  [[nodiscard]] std::optional<std::pair<RunId, Time>> owner_of(const Key& key) const {
    const auto found = computing_.find(key);
    if (found == computing_.end()) return std::nullopt;
    return std::pair(found->second.owner, found->second.since);
  }
  /// By another run of this process than `run`: tasks of one run never wait for each other, so that
  /// each element of a mapped task does what it would do alone.
  [[nodiscard]] bool is_computed_by_another(const Key& key, std::uint32_t run) const {
    const auto found = computing_.find(key);
    return found != computing_.end() && found->second.run != run;
  }
  [[nodiscard]] bool is_computed(const Key& key) const { return computing_.contains(key); }
  /// Its lease was lost: somebody else may compute it, too.
  void lose(const Key& key) {
    if (const auto found = computing_.find(key); found != computing_.end())
      found->second.is_lost = true;
  }
  [[nodiscard]] bool is_lost(const Key& key) const {
    const auto found = computing_.find(key);
    return found != computing_.end() && found->second.is_lost;
  }
  /// The computation is over, one way or the other. @return its lease
  std::optional<cache::Lease> end(const Key& key) {
    const auto found = computing_.find(key);
    if (found == computing_.end()) return std::nullopt;
    std::optional<cache::Lease> lease = std::move(found->second.lease);
    computing_.erase(found);
    return lease;
  }
  /// Keys that a run computes.
  [[nodiscard]] std::vector<Key> keys_of(std::uint32_t run) const {
    std::vector<Key> keys;
    for (const auto& [key, computing] : computing_)
      if (computing.run == run) keys.push_back(key);
    return keys;
  }
  /// Leases that have to be renewed.
  [[nodiscard]] std::vector<cache::HeldLease> leases() const {
    std::vector<cache::HeldLease> all;
    for (const auto& [key, computing] : computing_)
      if (computing.lease) all.push_back({key, *computing.lease});
    return all;
  }

  [[nodiscard]] bool has_leases() const {
    return std::any_of(computing_.begin(), computing_.end(),
                       [](const auto& each) { return each.second.lease.has_value(); });
  }

  void wait(Waiting waiting) {
    waiting.has_waited = true;
    waiting_.push_back(std::move(waiting));
  }
  [[nodiscard]] bool has_waiting() const { return !waiting_.empty(); }
  [[nodiscard]] std::vector<Key> waited_for() const {
    std::vector<Key> keys;
    for (const Waiting& waiting : waiting_) keys.push_back(waiting.key);
    return keys;
  }
  /// All who wait; they do not wait any more.
  [[nodiscard]] std::vector<Waiting> take_waiting() { return std::exchange(waiting_, {}); }
  /// Those who wait for one of `keys`.
  [[nodiscard]] std::vector<Waiting> take_waiting(std::span<const Key> keys) {
    std::vector<Waiting> taken;
    if (waiting_.empty()) return taken;
    const std::unordered_set<Key> wanted(keys.begin(), keys.end());
    std::erase_if(waiting_, [&](Waiting& waiting) {
      if (!wanted.contains(waiting.key)) return false;
      taken.push_back(std::move(waiting));
      return true;
    });
    return taken;
  }
  /// Drops what a run waits for.
  void forget(std::uint32_t run) {
    std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.attempt.run == run; });
  }

 private:
  struct Computing {
    std::uint32_t run = 0;
    RunId owner;
    Time since;
    std::optional<cache::Lease> lease;  // none: nobody outside of this process is kept waiting
    bool is_lost = false;
  };
  std::unordered_map<Key, Computing> computing_;
  std::vector<Waiting> waiting_;
};

}  // namespace reprise::actors
