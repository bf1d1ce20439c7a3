// What a store can tell of the past when it knows no more than its versions.
#include "cache/store.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cache/horizon.hpp"
#include "cache/key_prefix.hpp"

namespace reprise::cache {

Commit copy_of(const Record& record) {
  Commit commit;
  commit.key = record.key;
  commit.name = record.name;
  commit.value = record.value;
  commit.run = record.run;
  commit.task = record.task;
  commit.cost = record.cost;
  commit.committed = record.committed;
  commit.status = record.status;
  return commit;
}
namespace {

// Enough for every store whose size lets it be asked like this.
constexpr std::uint32_t all_entries = 1'000'000;

bool was_fresh(const Record& record, Time moment) {
  return record.status == VersionStatus::ok && record.committed <= moment &&
         record.is_fresh(moment);
}

Record without_value(Record record) {
  record.value.bytes = nullptr;
  return record;
}

}  // namespace

Error past_horizon(Time asked, Time horizon) {
  return {ErrorCode::not_found,
          fmt::format("history_horizon: what was at {} is not known any more; history begins at {}",
                      to_rfc3339(asked), to_rfc3339(horizon))};
}

Miss miss_of_newest(const Query& query, const Record& newest, Time now) {
  switch (newest.status) {
    case VersionStatus::tombstone:
      return Miss::invalidated;
    case VersionStatus::damaged:
      return Miss::corrupt;
    case VersionStatus::negative:
    case VersionStatus::ok:
      break;
  }
  if (!newest.is_fresh(now)) return Miss::expired;
  if (query.max_age && now - newest.committed > *query.max_age) return Miss::max_age;
  return Miss::absent;  // a failure, and results alone are asked for; or the reader's own run's
}

Result<std::vector<std::optional<Record>>> Store::find(std::span<const Query> queries, Time now) {
  auto found = search(queries, now);
  if (!found) return tl::unexpected(found.error());
  std::vector<std::optional<Record>> records;
  records.reserve(found->size());
  for (Found& each : *found) records.push_back(std::move(each.record));
  return records;
}

Status Store::forget_counts() {
  return fail(ErrorCode::unavailable, "these statistics cannot be set to zero");
}

Result<std::vector<std::optional<Record>>> Store::look_up(std::span<const Key> keys, Time now) {
  std::vector<Query> queries;
  queries.reserve(keys.size());
  for (const Key& key : keys) queries.push_back({.key = key});
  return find(queries, now);
}

Result<std::vector<PastAnswer>> Store::look_up_as_of(std::span<const Key> keys, Time moment) {
  std::vector<PastAnswer> answers;
  for (const Key& key : keys) {
    auto all = versions(key.text());
    if (!all) return tl::unexpected(all.error());
    PastAnswer& answer = answers.emplace_back();
    const auto found =
        std::ranges::find_if(*all, [&](const Record& r) { return was_fresh(r, moment); });
    if (found == all->end() || !found->value.is_at_hand()) continue;
    answer.record = std::move(*found);
    answer.record->material.clear();
  }
  return answers;
}

Result<KeyPast> Store::past_of(const Key& key, Time moment) {
  auto all = versions(key.text());
  if (!all) return tl::unexpected(all.error());
  KeyPast past;
  for (Record& record : *all) {
    if (record.committed > moment) continue;
    record.material.clear();
    const VersionStatus status = record.status;
    past.versions.push_back({without_value(std::move(record)), status});
  }
  return past;
}

Result<std::vector<Record>> Store::recent(std::string_view name, Time moment, std::uint32_t limit) {
  Listing listing;
  listing.name_prefix = name;
  listing.as_of = moment;
  listing.limit = all_entries;
  auto heads = list(listing);
  if (!heads) return tl::unexpected(heads.error());
  std::vector<Record> found;
  for (const Record& head : *heads) {
    if (found.size() >= limit) break;
    if (head.name != name) continue;
    auto all = versions(head.key.text());
    if (!all) return tl::unexpected(all.error());
    for (Record& record : *all)
      if (record.committed <= moment) found.push_back(without_value(std::move(record)));
  }
  std::ranges::stable_sort(found, std::ranges::greater{}, &Record::committed);
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::vector<Record>> Store::versions_of_value(std::string_view digest_prefix,
                                                     std::uint32_t limit) {
  auto range = digests_with_prefix(digest_prefix);
  if (!range) return tl::unexpected(range.error());
  auto all = versions("");
  if (!all) return tl::unexpected(all.error());
  std::vector<Record> found;
  for (Record& record : *all) {
    const Digest& digest = record.value.digest;
    if (found.size() < limit && range->first.digest <= digest && digest <= range->last.digest)
      found.push_back(without_value(std::move(record)));
  }
  return found;
}

}  // namespace reprise::cache
