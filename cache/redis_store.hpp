// The store that nodes share: a Redis server (7.0 or newer).
//
// Records of up to 4 KiB of value hold it, larger values lie apart under their digest, those above
// 1 MiB in the blob directory of the node that made them. Looking up is plain reads, many in one
// round trip, so that it works where nothing can be written: a full server, a replica, a user who
// may only read. Commits are one function call, so that a batch is kept as a whole.
#pragma once

#include <memory>

#include "cache/blob_store.hpp"
#include "cache/mac_keys.hpp"
#include "cache/store.hpp"
#include "redis/client.hpp"

namespace reprise::cache {

/// Safe from any thread. Every call ends within its budgets (redis::Settings::budgets; look-ups
/// take up to three round trips, one for records, one for older versions, one for large values).
class RedisStore final : public Store {
 public:
  struct Options {
    std::shared_ptr<redis::Client> client = nullptr;  // with the library redis_functions()
    std::shared_ptr<BlobStore> blobs = nullptr;       // for large values; null: they are not kept
    /// After which an unused large value may go. The record stays, and is a miss until the value is
    /// made again.
    Duration value_lifetime = std::chrono::hours{24 * 30};
    std::uint32_t versions_kept = 0;  // per key; 0 = all
    /// They sign what is kept, and what they did not sign is no answer; null: neither.
    std::shared_ptr<const MacKeys> mac_keys = nullptr;
    /// Look-ups write nothing there: they are not counted, prolong nothing and set nothing aside.
    bool read_only = false;
  };
  explicit RedisStore(Options options);
  ~RedisStore() override;

  /// A record whose value is not at hand (it was evicted, or lies on another node) is passed over
  /// for an older one, and is no error; so is one that a newer program wrote.
  [[nodiscard]] Result<std::vector<Found>> search(std::span<const Query> queries,
                                                  Time now) override;
  /// Up to 512 commits are kept as a whole; larger batches in parts of that.
  Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time now) override;
  [[nodiscard]] Result<std::vector<Record>> list(const Listing& listing) override;
  [[nodiscard]] Result<std::vector<Record>> versions(std::string_view key_prefix) override;
  [[nodiscard]] Result<Statistics> statistics() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cache
