#include "cache/memory_store.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cache/key_prefix.hpp"

namespace reprise::cache {
const Record* MemoryStore::newest_for(const Query& query, Time now) const {
  const auto versions = versions_by_key_.find(query.key);
  if (versions == versions_by_key_.end()) return nullptr;
  const Record* stale = nullptr;
  for (auto at = versions->second.rbegin(); at != versions->second.rend(); ++at) {
    const Record& record = records_[*at];
    if (query.takes(record, now)) return &record;
    if (stale == nullptr && query.takes_stale(record, now)) stale = &record;
  }
  return stale;
}

// Of what newest_for() does not take.
Miss MemoryStore::miss_of(const Query& query, Time now) const {
  const auto versions = versions_by_key_.find(query.key);
  if (versions == versions_by_key_.end()) return Miss::absent;
  return miss_of_newest(query, records_[versions->second.back()], now);
}

Result<std::vector<Found>> MemoryStore::search(std::span<const Query> queries, Time now) {
  const std::lock_guard guard(mutex_);
  std::vector<Found> found(queries.size());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    ++statistics_.look_ups;
    const Record* record = newest_for(queries[i], now);
    found[i].tier = Tier::memory;
    if (record != nullptr) {
      found[i].record = *record;
      found[i].record->material.clear();
    }
    const bool is_hit = record != nullptr && record->is_fresh(now);
    if (!is_hit) found[i].miss = miss_of(queries[i], now);
    ++(is_hit ? statistics_.hits : statistics_.misses);
  }
  return found;
}

void MemoryStore::count(const UseCounts& seen) {
  const std::lock_guard guard(mutex_);
  statistics_.use += seen;
}

Status MemoryStore::forget_counts() {
  const std::lock_guard guard(mutex_);
  statistics_.look_ups = statistics_.hits = statistics_.misses = 0;
  statistics_.corrupt = statistics_.fenced = 0;
  statistics_.use = {};
  return {};
}

Result<std::vector<Kept>> MemoryStore::commit(std::span<const Commit> commits, Time now) {
  for (const Commit& each : commits)
    if (each.value.is_none() || !each.value.is_at_hand())
      return fail(ErrorCode::invalid_argument,
                  fmt::format("the value for key \"{}\" is not at hand", each.key.text()));
  const std::lock_guard guard(mutex_);
  std::vector<Kept> kept;
  for (const Commit& each : commits) kept.push_back(commit_one(each, now));
  return kept;
}

Kept MemoryStore::commit_one(const Commit& commit, Time now) {
  const auto known = versions_by_key_.find(commit.key);
  Record* head = known == versions_by_key_.end() ? nullptr : &records_[known->second.back()];
  const bool is_same = head && head->status == commit.status && head->value == commit.value;
  if (commit.lease && commit.lease->scope == Lease::Scope::folder &&
      !leases_.release({commit.key, *commit.lease})) {
    if (is_same) return Kept::duplicate;
    ++statistics_.fenced;
    return Kept::fenced;
  }
  std::optional<Time> expires;
  if (commit.expires_after) expires = now + *commit.expires_after;
  if (is_same && !commit.anew) {
    if (head->expires != expires) renewals_[known->second.back()].emplace(now, head->expires);
    head->expires = expires;
    return Kept::same;
  }
  if (commit.committed && head && *commit.committed <= head->committed) return Kept::older;
  Record record{commit.key,   1,          commit.name, commit.value, commit.committed.value_or(now),
                expires,      commit.run, commit.task, commit.cost,  commit.material,
                commit.status};
  if (head) {
    record.version = head->version + 1;
    record.committed = std::max(record.committed, head->committed + Duration{1});
    if (!head->material.empty()) record.material = head->material;
  } else {
    ++statistics_.entries;
  }
  ++statistics_.versions;
  statistics_.value_bytes += commit.value.size;
  versions_by_key_[commit.key].push_back(records_.size());
  records_.push_back(std::move(record));
  return Kept::added;
}

Result<std::vector<LeaseAnswer>> MemoryStore::acquire(std::span<const LeaseWish> wishes,
                                                      const LeaseTerms& terms) {
  if (auto good = terms.check(); !good) return tl::unexpected(good.error());
  const std::lock_guard guard(mutex_);
  std::vector<LeaseAnswer> answers;
  for (const LeaseWish& wish : wishes) {
    if (!wish.even_if_published && newest_for({.key = wish.key}, terms.now))
      answers.push_back({.kind = LeaseAnswer::Kind::published});
    else
      answers.push_back(leases_.acquire(wish.key, terms));
  }
  return answers;
}

Result<std::vector<bool>> MemoryStore::renew(std::span<const HeldLease> leases,
                                             const LeaseTerms& terms) {
  const std::lock_guard guard(mutex_);
  std::vector<bool> held;
  for (const HeldLease& lease : leases) held.push_back(leases_.renew(lease, terms));
  return held;
}

Result<std::vector<bool>> MemoryStore::release(std::span<const HeldLease> leases, Time now) {
  const std::lock_guard guard(mutex_);
  std::vector<bool> held;
  for (const HeldLease& lease : leases) held.push_back(leases_.release(lease));
  leases_.forget(now - LeaseTable::remembered);
  return held;
}

Status MemoryStore::release_all_of(std::string_view owner) {
  const std::lock_guard guard(mutex_);
  leases_.release_all_of(owner);
  return {};
}

Result<std::vector<Record>> MemoryStore::list(const Listing& listing) {
  const std::lock_guard guard(mutex_);
  const auto counts = [&](const Record& record) {
    return !listing.as_of || record.committed <= *listing.as_of;
  };
  std::vector<Record> heads;
  for (std::size_t at = records_.size(); at-- > 0 && heads.size() < listing.limit;) {
    const Record& record = records_[at];
    if (!record.name.starts_with(listing.name_prefix) || !counts(record)) continue;
    const std::vector<std::size_t>& versions = versions_by_key_.at(record.key);
    const auto newest = std::find_if(versions.rbegin(), versions.rend(),
                                     [&](std::size_t v) { return counts(records_[v]); });
    if (*newest != at) continue;
    heads.push_back(record);
    heads.back().value.bytes = nullptr;
    heads.back().material.clear();
  }
  return heads;
}

Result<std::vector<Record>> MemoryStore::versions(std::string_view key_prefix) {
  auto range = keys_with_prefix(key_prefix);
  if (!range) return tl::unexpected(range.error());
  const std::lock_guard guard(mutex_);
  std::vector<std::size_t> positions;
  for (auto it = versions_by_key_.lower_bound(range->first);
       it != versions_by_key_.end() && it->first <= range->last; ++it)
    positions.insert(positions.end(), it->second.begin(), it->second.end());
  std::sort(positions.rbegin(), positions.rend());
  std::vector<Record> records;
  for (std::size_t at : positions) records.push_back(records_[at]);
  return records;
}

std::optional<Time> MemoryStore::expiry_at(std::size_t record, Time moment) const {
  const auto renewed = renewals_.find(record);
  if (renewed == renewals_.end()) return records_[record].expires;
  const auto next = renewed->second.upper_bound(moment);
  return next == renewed->second.end() ? records_[record].expires : next->second;
}

Result<std::vector<PastAnswer>> MemoryStore::look_up_as_of(std::span<const Key> keys, Time moment) {
  const std::lock_guard guard(mutex_);
  std::vector<PastAnswer> answers(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto versions = versions_by_key_.find(keys[i]);
    if (versions == versions_by_key_.end()) continue;
    for (auto at = versions->second.rbegin(); at != versions->second.rend(); ++at) {
      if (records_[*at].committed > moment) continue;
      Record record = records_[*at];
      record.expires = expiry_at(*at, moment);
      if (record.status != VersionStatus::ok || !record.is_fresh(moment)) continue;
      record.material.clear();
      answers[i].record = std::move(record);
      break;
    }
  }
  return answers;
}

Result<KeyPast> MemoryStore::past_of(const Key& key, Time moment) {
  const std::lock_guard guard(mutex_);
  KeyPast past;
  const auto versions = versions_by_key_.find(key);
  if (versions == versions_by_key_.end()) return past;
  for (auto at = versions->second.rbegin(); at != versions->second.rend(); ++at) {
    if (records_[*at].committed > moment) continue;
    KeyPast::Version version{records_[*at], records_[*at].status};
    version.record.expires = expiry_at(*at, moment);
    version.record.value.bytes = nullptr;
    version.record.material.clear();
    past.versions.push_back(std::move(version));
  }
  return past;
}

Result<Statistics> MemoryStore::statistics() {
  const std::lock_guard guard(mutex_);
  return statistics_;
}

}  // namespace reprise::cache
