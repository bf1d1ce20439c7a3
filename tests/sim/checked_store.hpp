// A store and its leases, watched: what is kept is noted, and a commit under a lease that somebody
// else holds by now must not be kept.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "cache/leases.hpp"
#include "cache/store.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/planted_bug.hpp"

namespace reprise::sim {

class CheckedStore final : public cache::Store, public cache::Leases {
 public:
  CheckedStore(std::shared_ptr<cache::Store> store, std::shared_ptr<cache::Leases> leases,
               Checker& checker, Bug bug)
      : store_(std::move(store)), leases_(std::move(leases)), checker_(checker), bug_(bug) {}

  /// The server lost what it had promised: who holds what is not known any more.
  void forget() { holders_.clear(); }

  [[nodiscard]] Result<std::vector<cache::Found>> search(std::span<const cache::Query> queries,
                                                         Time now) override {
    return store_->search(queries, now);
  }
  Result<std::vector<cache::Kept>> commit(std::span<const cache::Commit> commits,
                                          Time now) override;
  [[nodiscard]] Result<std::vector<cache::Record>> list(const cache::Listing& listing) override {
    return store_->list(listing);
  }
  [[nodiscard]] Result<std::vector<cache::Record>> versions(std::string_view prefix) override {
    return store_->versions(prefix);
  }
  [[nodiscard]] Result<cache::Statistics> statistics() override { return store_->statistics(); }
  void count(const cache::UseCounts& seen) override { store_->count(seen); }
  [[nodiscard]] Result<std::vector<cache::PastAnswer>> look_up_as_of(std::span<const Key> keys,
                                                                     Time moment) override {
    return store_->look_up_as_of(keys, moment);
  }

  [[nodiscard]] Result<std::vector<cache::LeaseAnswer>> acquire(
      std::span<const cache::LeaseWish> wishes, const cache::LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> renew(std::span<const cache::HeldLease> leases,
                                                const cache::LeaseTerms& terms) override {
    return leases_->renew(leases, terms);
  }
  [[nodiscard]] Result<std::vector<bool>> release(std::span<const cache::HeldLease> leases,
                                                  Time now) override {
    return leases_->release(leases, now);
  }
  [[nodiscard]] Status release_all_of(std::string_view owner) override {
    return leases_->release_all_of(owner);
  }

  /// The last one that was granted this key, and has not given it up by a commit.
  [[nodiscard]] bool is_held_by_another(const Key& key, const cache::Lease& lease) const {
    const auto holder = holders_.find(key);
    return holder != holders_.end() && !(holder->second == lease);
  }

 private:
  std::shared_ptr<cache::Store> store_;
  std::shared_ptr<cache::Leases> leases_;
  Checker& checker_;
  Bug bug_;
  std::map<Key, cache::Lease> holders_;
};

}  // namespace reprise::sim
