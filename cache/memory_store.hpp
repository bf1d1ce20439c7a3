// A store that is gone with its process: for tests and for runs without a data directory.
#pragma once

#include <deque>
#include <map>
#include <mutex>

#include "cache/lease_table.hpp"
#include "cache/leases.hpp"
#include "cache/store.hpp"

namespace reprise::cache {

/// Safe from any thread.
class MemoryStore final : public Store, public Leases {
 public:
  [[nodiscard]] Result<std::vector<Found>> search(std::span<const Query> queries,
                                                  Time now) override;
  Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time now) override;
  [[nodiscard]] Result<std::vector<Record>> list(const Listing& listing) override;
  [[nodiscard]] Result<std::vector<Record>> versions(std::string_view key_prefix) override;
  [[nodiscard]] Result<Statistics> statistics() override;
  void count(const UseCounts& seen) override;
  Status forget_counts() override;
  [[nodiscard]] Result<std::vector<PastAnswer>> look_up_as_of(std::span<const Key> keys,
                                                              Time moment) override;
  [[nodiscard]] Result<KeyPast> past_of(const Key& key, Time moment) override;

  [[nodiscard]] Result<std::vector<LeaseAnswer>> acquire(std::span<const LeaseWish> wishes,
                                                         const LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> renew(std::span<const HeldLease> leases,
                                                const LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> release(std::span<const HeldLease> leases,
                                                  Time now) override;
  [[nodiscard]] Status release_all_of(std::string_view owner) override;

 private:
  [[nodiscard]] const Record* newest_for(const Query& query, Time now) const;
  [[nodiscard]] Miss miss_of(const Query& query, Time now) const;
  Kept commit_one(const Commit& commit, Time now);
  [[nodiscard]] std::optional<Time> expiry_at(std::size_t record, Time moment) const;

  std::mutex mutex_;
  std::deque<Record> records_;                               // in the order of commits
  std::map<Key, std::vector<std::size_t>> versions_by_key_;  // indices into records_, oldest first
  LeaseTable leases_;
  // What the expiry of a record, by its index, was until a moment.
  std::map<std::size_t, std::map<Time, std::optional<Time>>> renewals_;
  Statistics statistics_;
};

}  // namespace reprise::cache
