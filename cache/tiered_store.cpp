#include "cache/tiered_store.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

namespace reprise::cache {
namespace {

constexpr std::size_t copies_at_once = 256;
constexpr std::uint64_t bytes_at_once = 8 << 20;

bool needs_remote(const Commit& commit) {
  return commit.lease && commit.lease->scope == Lease::Scope::shared;
}

// Asking again later may help.
bool may_pass(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::corrupt;
}

}  // namespace

TieredStore::TieredStore(Options options)
    : options_(std::move(options)), worker_([this](const std::stop_token& stop) { work(stop); }) {}

TieredStore::~TieredStore() {
  {
    // Not for a server that does not answer: whoever ends a run would wait for nothing.
    Guard guard(mutex_);
    changed_.wait_for(guard, options_.last_wait, [&] {
      return (copies_.empty() || is_remote_down_) && promotions_.empty() && !is_busy_;
    });
  }
  worker_.request_stop();
  changed_.notify_all();
  worker_.join();
  count({});
}

// Without mutex_ held.
void TieredStore::note(const Error& error, Trouble trouble) {
  {
    const Guard guard(mutex_);
    counts_.last_error = error.message;
    if (!troubles_told_.emplace(trouble, error.code).second) return;
  }
  if (!options_.warn) return;
  options_.warn(error.message + (trouble == Trouble::asking
                                     ? "; continuing without it"
                                     : "; new results are kept by this node alone"));
}

// What is stale here may be fresh there; where it is not, what is here stands.
Result<std::vector<Found>> TieredStore::search(std::span<const Query> queries, Time now) {
  hear_news();
  auto found = options_.local->search(queries, now);
  if (!found) return found;
  auto unconfirmed = doubted(queries, *found);
  std::vector<Query> missing;
  std::vector<std::size_t> positions;
  {
    const Guard guard(mutex_);
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const Query& query = queries[i];
      const auto& here = (*found)[i].record;
      if (here && here->is_fresh(now)) continue;
      // There it is what it was before, and here is known better; but one who leaves out what its
      // own run made wants just that, unless it was removed.
      const bool wants_before = query.not_of && (*found)[i].miss != Miss::invalidated;
      if (uncopied_.contains(query.key) && !wants_before) continue;
      if (const auto taken = promotions_.find(query.key); taken != promotions_.end()) {
        const auto told = news_.until.find(query.key);
        const bool is_removed =
            told != news_.until.end() && taken->second.committed <= told->second;
        if (query.takes(taken->second, now) && !is_removed) {
          (*found)[i] = {taken->second, Tier::redis, Miss::absent};
          ++counts_.remote_hits;
          continue;
        }
      }
      missing.push_back(query);
      positions.push_back(i);
    }
  }
  if (missing.empty() || ask_remote(missing, positions, now, *found)) return found;
  // Nobody there to confirm them: then they count.
  for (std::size_t i = 0; i < unconfirmed.size(); ++i)
    if (unconfirmed[i]) (*found)[i].record = std::move(unconfirmed[i]);
  return found;
}

// What other nodes removed since; asked for before what is here is trusted, and not too often.
void TieredStore::hear_news() {
  if (!options_.invalidations) return;
  std::string position;
  {
    const Guard guard(mutex_);
    const auto at = std::chrono::steady_clock::now();
    if (at < news_due_) return;
    news_due_ = at + options_.coherence;
    position = news_.position;
  }
  auto news = options_.invalidations->read(position);
  if (!news) return note(news.error(), Trouble::asking);
  const Guard guard(mutex_);
  for (const auto& [key, until] : news->until) {
    Time& known = news_.until.try_emplace(key, until).first->second;
    known = std::max(known, until);
  }
  news_.position = std::move(news->position);
  if (!news->horizon) return;
  news_.horizon = std::max(news_.horizon.value_or(Time::min()), *news->horizon);
  // What is older has to be confirmed anyway.
  std::erase_if(news_.until, [&](const auto& told) { return told.second < *news_.horizon; });
}

// Takes away what was removed elsewhere, and what may have been.
// @return the latter, each in its place; empty: there is none
std::vector<std::optional<Record>> TieredStore::doubted(std::span<const Query> queries,
                                                        std::vector<Found>& found) {
  std::vector<std::optional<Record>> unconfirmed;
  std::map<Key, Time> removed;
  {
    const Guard guard(mutex_);
    if (news_.until.empty() && !news_.horizon) return unconfirmed;
    for (std::size_t i = 0; i < queries.size(); ++i) {
      std::optional<Record>& record = found[i].record;
      if (!record) continue;
      const auto told = news_.until.find(queries[i].key);
      if (told != news_.until.end() && record->committed <= told->second) {
        removed.insert(*told);
        found[i].miss = Miss::invalidated;
      } else if (news_.horizon && record->committed < *news_.horizon) {
        unconfirmed.resize(queries.size());
        unconfirmed[i] = std::move(record);
      } else {
        continue;
      }
      record.reset();
    }
  }
  if (!removed.empty() && options_.forget) {
    const std::lock_guard order(local_order_);
    options_.forget(removed);
  }
  return unconfirmed;
}

// False: nobody answered there.
bool TieredStore::ask_remote(std::span<const Query> missing, std::span<const std::size_t> positions,
                             Time now, std::vector<Found>& found) {
  {
    const Guard guard(mutex_);
    ++look_ups_;
  }
  auto there = options_.remote->search(missing, now);
  if (!there) note(there.error(), Trouble::asking);
  const Guard guard(mutex_);
  impairment_ = there ? std::string() : there.error().message;
  if (there) {
    for (std::size_t m = 0; m < missing.size(); ++m) {
      std::optional<Record>& record = (*there)[m].record;
      Found& answer = found[positions[m]];
      std::optional<Record>& here = answer.record;
      const bool is_hit = record && record->is_fresh(now);
      ++(is_hit ? counts_.remote_hits : counts_.remote_misses);
      if (!is_hit && answer.miss == Miss::absent) answer.miss = (*there)[m].miss;
      if (!record) continue;
      if (is_hit) queue_promotion(*record);
      if (is_hit || !here || here->committed < record->committed) {
        here = std::move(*record);
        answer.tier = (*there)[m].tier;
      }
    }
  } else {
    counts_.remote_unavailable += missing.size();
  }
  if (--look_ups_ == 0) overtaken_.clear();
  return there.has_value();
}

std::string TieredStore::impairment() const {
  const Guard guard(mutex_);
  return impairment_;
}

// With mutex_ held.
void TieredStore::queue_promotion(const Record& record) {
  if (overtaken_.contains(record.key) || promotions_.contains(record.key)) return;
  if (promotion_bytes_ + record.value.size > options_.queue_bytes) {
    ++counts_.dropped;
    return;
  }
  promotion_bytes_ += record.value.size;
  promotions_.emplace(record.key, record);
  changed_.notify_all();
}

// Commits whose leases the shared store knows: what it says counts here, too. Those that it could
// not be asked about are left to go on as if they had none.
std::vector<Kept> TieredStore::commit_leased(std::span<const Commit> commits, Time now,
                                             std::vector<bool>& is_settled) {
  std::vector<Kept> kept(commits.size(), Kept::added);
  std::vector<Commit> leased;
  std::vector<std::size_t> positions;
  // What was removed here meanwhile is not kept there either.
  const std::vector<bool> removed = options_.local->are_removed(commits);
  std::vector<HeldLease> over;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    if (!needs_remote(commits[i])) continue;
    if (removed[i]) {
      over.push_back({commits[i].key, *commits[i].lease});
      continue;
    }
    leased.push_back(commits[i]);
    positions.push_back(i);
  }
  if (!over.empty()) static_cast<void>(release(over, now));
  if (leased.empty()) return kept;
  auto answers = options_.remote->commit(leased, now);
  if (!answers) {
    note(answers.error(), Trouble::keeping);
    return kept;
  }
  const Guard guard(mutex_);
  for (std::size_t l = 0; l < leased.size(); ++l) {
    kept[positions[l]] = (*answers)[l];
    is_settled[positions[l]] = true;
    ++((*answers)[l] == Kept::fenced ? counts_.fenced : counts_.copied);
  }
  return kept;
}

Result<std::vector<Kept>> TieredStore::commit(std::span<const Commit> commits, Time now) {
  std::vector<bool> is_there(commits.size(), false);
  std::vector<Kept> kept = commit_leased(commits, now, is_there);
  std::vector<Commit> mine;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    if (is_there[i] && (kept[i] == Kept::fenced || kept[i] == Kept::duplicate)) continue;
    mine.push_back(commits[i]);
    positions.push_back(i);
  }
  if (mine.empty()) return kept;
  const std::lock_guard order(local_order_);
  auto answers = options_.local->commit(mine, now);
  if (!answers) return answers;
  const Guard guard(mutex_);
  for (std::size_t m = 0; m < mine.size(); ++m) {
    kept[positions[m]] = (*answers)[m];
    if (look_ups_ > 0) overtaken_.insert(mine[m].key);
    if (const auto older = promotions_.find(mine[m].key); older != promotions_.end()) {
      promotion_bytes_ -= older->second.value.size;
      promotions_.erase(older);
    }
    if (!is_there[positions[m]] && (*answers)[m] != Kept::fenced) queue_copy(mine[m], now);
  }
  return kept;
}

// With mutex_ held.
void TieredStore::queue_copy(const Commit& commit, Time now) {
  if (counts_.waiting_bytes + commit.value.size > options_.queue_bytes) {
    ++counts_.dropped;
    ++dropped_copies_;
    return;
  }
  copies_.push_back({commit, now});
  ++uncopied_[commit.key];
  ++counts_.waiting;
  counts_.waiting_bytes += commit.value.size;
  changed_.notify_all();
}

void TieredStore::work(const std::stop_token& stop) {
  Guard guard(mutex_);
  bool may_copy = true;
  while (!stop.stop_requested()) {
    if (!promotions_.empty()) promote(guard);
    if (!copies_.empty() && may_copy) may_copy = copy(guard);
    changed_.notify_all();  // flush() waits for this
    const auto has_work = [&] { return !promotions_.empty() || (may_copy && !copies_.empty()); };
    if (may_copy)
      changed_.wait(guard, stop, has_work);
    else if (!changed_.wait_for(guard, stop, options_.retry_pause, has_work))
      may_copy = true;
  }
  counts_.dropped += copies_.size() + promotions_.size();
  dropped_copies_ += static_cast<std::int64_t>(copies_.size());
}

// Takes over what was found there, unless something was committed here meanwhile.
void TieredStore::promote(Guard& guard) {
  is_busy_ = true;
  guard.unlock();
  {
    const std::lock_guard order(local_order_);
    guard.lock();
    std::vector<Commit> commits;
    const Time at = options_.clock();
    for (const auto& [key, record] : promotions_) {
      Commit commit = copy_of(record);
      if (record.expires) commit.expires_after = *record.expires - at;
      commits.push_back(std::move(commit));
    }
    guard.unlock();
    const auto kept = options_.local->commit(commits, at);
    guard.lock();
    (kept ? counts_.promoted : counts_.dropped) += commits.size();
    for (const Commit& commit : commits)
      if (const auto done = promotions_.find(commit.key); done != promotions_.end()) {
        promotion_bytes_ -= done->second.value.size;
        promotions_.erase(done);
      }
  }
  is_busy_ = false;
}

// Copies the first few. False: not now.
bool TieredStore::copy(Guard& guard) {
  std::vector<Commit> batch;
  std::uint64_t bytes = 0;
  const Time at = copies_.front().now;
  for (const Copy& each : copies_) {
    // One moment per batch: expiry counts from it.
    if (batch.size() == copies_at_once || bytes >= bytes_at_once || each.now != at) break;
    batch.push_back(each.commit);
    bytes += each.commit.value.size;
  }
  is_busy_ = true;
  guard.unlock();
  auto kept = options_.remote->commit(batch, at);
  if (!kept && !may_pass(kept.error()) && batch.size() > 1) {
    // One of them is in the way of the others.
    batch.resize(1);
    kept = options_.remote->commit(batch, at);
  }
  if (!kept) note(kept.error(), Trouble::keeping);
  guard.lock();
  is_busy_ = false;
  is_remote_down_ = !kept && may_pass(kept.error());
  if (is_remote_down_) return false;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!kept) {
      ++counts_.dropped;
      ++dropped_copies_;
    } else {
      ++((*kept)[i] == Kept::fenced ? counts_.fenced : counts_.copied);
    }
    const Commit& done = copies_.front().commit;
    --counts_.waiting;
    counts_.waiting_bytes -= done.value.size;
    if (const auto left = uncopied_.find(done.key); --left->second == 0) uncopied_.erase(left);
    copies_.pop_front();
  }
  return true;
}

bool TieredStore::flush(Duration timeout) {
  Guard guard(mutex_);
  return changed_.wait_for(guard, timeout,
                           [&] { return copies_.empty() && promotions_.empty() && !is_busy_; });
}

Result<std::vector<Record>> TieredStore::list(const Listing& listing) {
  auto here = options_.local->list(listing);
  if (!here) return here;
  auto there = options_.remote->list(listing);
  if (!there) {
    note(there.error(), Trouble::asking);
    return here;
  }
  std::unordered_set<Key> known;
  for (const Record& record : *here) known.insert(record.key);
  std::vector<Record> more;
  for (Record& record : *there)
    if (!known.contains(record.key)) more.push_back(std::move(record));
  // Each is in order already; of each other only the times tell.
  std::vector<Record> merged;
  std::merge(std::make_move_iterator(here->begin()), std::make_move_iterator(here->end()),
             std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()),
             std::back_inserter(merged),
             [](const Record& a, const Record& b) { return a.committed > b.committed; });
  if (merged.size() > listing.limit) merged.resize(listing.limit);
  return merged;
}

Result<std::vector<Record>> TieredStore::versions(std::string_view key_prefix) {
  auto here = options_.local->versions(key_prefix);
  if (!here) return here;
  auto there = options_.remote->versions(key_prefix);
  if (!there) {
    note(there.error(), Trouble::asking);
    return here;
  }
  std::unordered_set<Key> known;
  for (const Record& record : *here) known.insert(record.key);
  for (Record& record : *there)
    if (!known.contains(record.key)) here->push_back(std::move(record));
  return here;
}

Result<std::vector<PastAnswer>> TieredStore::look_up_as_of(std::span<const Key> keys, Time moment) {
  return options_.local->look_up_as_of(keys, moment);
}

Result<KeyPast> TieredStore::past_of(const Key& key, Time moment) {
  return options_.local->past_of(key, moment);
}

Result<std::vector<Record>> TieredStore::recent(std::string_view name, Time moment,
                                                std::uint32_t limit) {
  return options_.local->recent(name, moment, limit);
}

Result<std::vector<Record>> TieredStore::versions_of_value(std::string_view digest_prefix,
                                                           std::uint32_t limit) {
  return options_.local->versions_of_value(digest_prefix, limit);
}

std::uint64_t TieredStore::removals() {
  return options_.local->removals();
}

std::vector<bool> TieredStore::are_removed(std::span<const Commit> commits) {
  return options_.local->are_removed(commits);
}

void TieredStore::count(const UseCounts& seen) {
  UseCounts all = seen;
  {
    const Guard guard(mutex_);
    all.add("unkept.publish_dropped", std::exchange(dropped_copies_, 0));
  }
  if (!all.is_empty()) options_.local->count(all);
}

Status TieredStore::forget_counts() {
  return options_.local->forget_counts();
}

Result<Statistics> TieredStore::statistics() {
  auto statistics = options_.local->statistics();
  if (!statistics) return statistics;
  const Guard guard(mutex_);
  const std::uint64_t found = std::min(counts_.remote_hits, statistics->misses);
  statistics->hits += found;
  statistics->misses -= found;
  statistics->fenced += counts_.fenced;
  return statistics;
}

Result<std::vector<LeaseAnswer>> TieredStore::acquire(std::span<const LeaseWish> wishes,
                                                      const LeaseTerms& terms) {
  if (options_.remote_leases) {
    auto answers = options_.remote_leases->acquire(wishes, terms);
    if (!answers && answers.error().code == ErrorCode::exhausted) {
      const Guard guard(mutex_);
      impairment_ = "oom: " + answers.error().message;
    }
    if (answers || answers.error().code == ErrorCode::invalid_argument) return answers;
    note(answers.error(), Trouble::keeping);
    if (!options_.local_leases) return answers;
  }
  if (!options_.local_leases)
    return fail(ErrorCode::unavailable, "there is nobody who could grant a lease");
  auto answers = options_.local_leases->acquire(wishes, terms);
  if (answers && options_.remote_leases) {
    const Guard guard(mutex_);
    for (const LeaseAnswer& answer : *answers)
      if (answer.kind == LeaseAnswer::Kind::granted) ++counts_.local_leases;
  }
  return answers;
}

template <class Ask>
Result<std::vector<bool>> TieredStore::ask_each(std::span<const HeldLease> leases, Ask ask) {
  std::vector<bool> held(leases.size(), true);
  for (const auto scope : {Lease::Scope::folder, Lease::Scope::shared}) {
    Leases* const who =
        scope == Lease::Scope::folder ? options_.local_leases.get() : options_.remote_leases.get();
    std::vector<HeldLease> part;
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < leases.size(); ++i) {
      if (leases[i].lease.scope != scope) continue;
      part.push_back(leases[i]);
      positions.push_back(i);
    }
    if (part.empty()) continue;
    Result<std::vector<bool>> answers =
        who ? ask(*who, part) : Result<std::vector<bool>>(std::vector<bool>(part.size(), false));
    if (!answers) {
      if (scope == Lease::Scope::folder) return answers;
      note(answers.error(), Trouble::keeping);
      continue;
    }
    for (std::size_t p = 0; p < part.size(); ++p) held[positions[p]] = (*answers)[p];
  }
  return held;
}

Result<std::vector<bool>> TieredStore::renew(std::span<const HeldLease> leases,
                                             const LeaseTerms& terms) {
  return ask_each(
      leases, [&](Leases& who, std::span<const HeldLease> part) { return who.renew(part, terms); });
}

Result<std::vector<bool>> TieredStore::release(std::span<const HeldLease> leases, Time now) {
  return ask_each(
      leases, [&](Leases& who, std::span<const HeldLease> part) { return who.release(part, now); });
}

Status TieredStore::release_all_of(std::string_view owner) {
  return options_.local_leases ? options_.local_leases->release_all_of(owner) : Status{};
}

TierCounts TieredStore::tiers() const {
  const Guard guard(mutex_);
  return counts_;
}

}  // namespace reprise::cache
