// Leases between all nodes that share a Redis server, by that server's clock.
#pragma once

#include <memory>

#include "cache/leases.hpp"
#include "cache/redis_keys.hpp"
#include "redis/client.hpp"

namespace reprise::cache {

/// Safe from any thread. Commits that present a lease are checked by RedisStore, on the server, in
/// the step that keeps them. A server that lost everything grants anew, with greater tokens.
class RedisLeases final : public Leases {
 public:
  struct Options {
    std::shared_ptr<redis::Client> client = nullptr;  // with the library redis_functions()
    /// Go by LeaseTerms::now instead of the server's clock: for one process alone, and for tests.
    bool by_callers_clock = false;
  };
  explicit RedisLeases(Options options);

  /// `since` and `until` are told by the caller's clock, from how long ago and how long still.
  [[nodiscard]] Result<std::vector<LeaseAnswer>> acquire(std::span<const LeaseWish> wishes,
                                                         const LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> renew(std::span<const HeldLease> leases,
                                                const LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> release(std::span<const HeldLease> leases,
                                                  Time now) override;

 private:
  Result<std::vector<redis::Reply>> call(const redis::Commands& commands, std::size_t leases,
                                         std::size_t answers) const;
  [[nodiscard]] std::string clock(Time now) const;

  Options options_;
  RedisKeys keys_;
};

}  // namespace reprise::cache
