#include "cache/lease_table.hpp"

#include <algorithm>

namespace reprise::cache {

std::uint64_t next_token(std::uint64_t last, Time now) {
  const auto clock =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  return std::max(last + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(clock, 0)));
}

LeaseAnswer LeaseTable::acquire(const Key& key, const LeaseTerms& terms) {
  Row& row = rows_[key];
  const bool is_held = !row.owner.empty() && terms.now < row.until;
  if (is_held && row.owner != terms.owner)
    return {.kind = LeaseAnswer::Kind::held,
            .lease = {.scope = Lease::Scope::folder, .owner = row.owner, .token = 0},
            .since = row.since,
            .until = row.until};
  if (!is_held) {
    row.token = next_token(row.token, terms.now);
    row.owner = terms.owner;
    row.since = terms.now;
  }
  row.until = terms.now + terms.term;
  return {.kind = LeaseAnswer::Kind::granted,
          .lease = {.scope = Lease::Scope::folder, .owner = row.owner, .token = row.token},
          .since = row.since,
          .until = row.until};
}

bool LeaseTable::renew(const HeldLease& lease, const LeaseTerms& terms) {
  const auto row = rows_.find(lease.key);
  if (row == rows_.end() || row->second.token != lease.lease.token ||
      row->second.owner != lease.lease.owner)
    return false;
  row->second.until = terms.now + terms.term;
  return true;
}

bool LeaseTable::release(const HeldLease& lease) {
  const auto row = rows_.find(lease.key);
  if (row == rows_.end() || row->second.token != lease.lease.token ||
      row->second.owner != lease.lease.owner)
    return false;
  row->second.owner.clear();
  return true;
}

void LeaseTable::release_all_of(std::string_view owner) {
  for (auto& [key, row] : rows_)
    if (row.owner == owner) row.owner.clear();
}

void LeaseTable::forget(Time time) {
  std::erase_if(rows_, [&](const auto& row) { return row.second.until < time; });
}

}  // namespace reprise::cache
