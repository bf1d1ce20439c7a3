#include "tests/sim/checked_store.hpp"

namespace reprise::sim {

Result<std::vector<cache::Kept>> CheckedStore::commit(std::span<const cache::Commit> commits,
                                                      Time now) {
  std::vector<cache::Commit> passed(commits.begin(), commits.end());
  if (bug_ == Bug::skip_lease_fence)
    for (cache::Commit& each : passed) each.lease.reset();
  for (const cache::Commit& each : commits)
    // Where the outcome is not known, it may be kept.
    if (!each.lease || !is_held_by_another(each.key, *each.lease)) checker_.may_be_kept(each);
  auto kept = store_->commit(passed, now);
  if (!kept) return kept;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    const cache::Commit& each = commits[i];
    if (!each.lease) continue;
    const cache::Kept how = (*kept)[i];
    if (is_held_by_another(each.key, *each.lease))
      checker_.require(how != cache::Kept::added && how != cache::Kept::same, Invariant::fencing,
                       "a result was kept under a lease that " + holders_.at(each.key).owner +
                           " holds, and not " + each.lease->owner);
    else
      holders_.erase(each.key);
  }
  return kept;
}

Result<std::vector<cache::LeaseAnswer>> CheckedStore::acquire(
    std::span<const cache::LeaseWish> wishes, const cache::LeaseTerms& terms) {
  auto answers = leases_->acquire(wishes, terms);
  if (!answers) return answers;
  for (std::size_t i = 0; i < wishes.size(); ++i)
    if ((*answers)[i].kind == cache::LeaseAnswer::Kind::granted)
      holders_.insert_or_assign(wishes[i].key, (*answers)[i].lease);
  return answers;
}

}  // namespace reprise::sim
