#include "cache/reading.hpp"

#include <algorithm>

namespace reprise::cache {

Query query_of(const CachePolicy& policy, const Key& key, const RunId& reader) {
  const CacheLife& life = policy.life;
  return {.key = key,
          .max_age = life.max_age,
          .stale = std::max(life.stale_while_revalidate, life.stale_if_error),
          .failures = life.failures.has_value(),
          .not_of = policy.takes_same_run() ? std::nullopt : std::optional(reader)};
}

Use use_of(const CachePolicy& policy, const Record& record, Time now) {
  if (record.status == VersionStatus::negative) return Use::failure;
  if (record.is_fresh(now)) return Use::hit;
  return now - *record.expires < policy.life.stale_while_revalidate ? Use::stale : Use::fallback;
}

Time fallback_until(const CachePolicy& policy, const Record& record) {
  return record.expires.value_or(record.committed) +
         std::max(policy.life.stale_while_revalidate, policy.life.stale_if_error);
}

std::optional<Commit> prolonged(const CachePolicy& policy, const Record& record, Time now) {
  if (!policy.life.sliding || !policy.expires_after || !record.expires ||
      record.status != VersionStatus::ok)
    return std::nullopt;
  const Time until = now + *policy.expires_after;
  if (until - *record.expires < *policy.expires_after / 64) return std::nullopt;
  // The value that is there already, as a copy of itself: nothing where something newer has come
  // meanwhile, else another expiry.
  Commit commit = copy_of(record);
  commit.expires_after = policy.expires_after;
  return commit;
}

}  // namespace reprise::cache
