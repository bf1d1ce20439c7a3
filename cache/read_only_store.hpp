// A store that is only looked at: what its readers would change stays as it is.
#pragma once

#include <memory>
#include <utility>

#include "cache/store.hpp"

namespace reprise::cache {

/// Commits are answered as if everything were there already, and nothing is counted. For a
/// TieredStore that finds what a run would find and takes nothing over.
class ReadOnlyStore final : public Store {
 public:
  explicit ReadOnlyStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  [[nodiscard]] Result<std::vector<Found>> search(std::span<const Query> queries,
                                                  Time now) override {
    return store_->search(queries, now);
  }
  Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time) override {
    return std::vector<Kept>(commits.size(), Kept::same);
  }
  [[nodiscard]] Result<std::vector<Record>> list(const Listing& listing) override {
    return store_->list(listing);
  }
  [[nodiscard]] Result<std::vector<Record>> versions(std::string_view key_prefix) override {
    return store_->versions(key_prefix);
  }
  [[nodiscard]] Result<Statistics> statistics() override { return store_->statistics(); }
  [[nodiscard]] Result<std::vector<PastAnswer>> look_up_as_of(std::span<const Key> keys,
                                                              Time moment) override {
    return store_->look_up_as_of(keys, moment);
  }
  [[nodiscard]] Result<KeyPast> past_of(const Key& key, Time moment) override {
    return store_->past_of(key, moment);
  }
  [[nodiscard]] Result<std::vector<Record>> recent(std::string_view name, Time moment,
                                                   std::uint32_t limit) override {
    return store_->recent(name, moment, limit);
  }
  [[nodiscard]] Result<std::vector<Record>> versions_of_value(std::string_view digest_prefix,
                                                              std::uint32_t limit) override {
    return store_->versions_of_value(digest_prefix, limit);
  }

 private:
  std::unique_ptr<Store> store_;
};

}  // namespace reprise::cache
