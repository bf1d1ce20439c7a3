#include "actors/cache_service.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "actors/commit.hpp"
#include "cache/horizon.hpp"
#include "cache/reading.hpp"
#include "cache/value_files.hpp"
#include "core/text.hpp"
#include "journal/records.hpp"
#include "worker/target.hpp"

namespace reprise::actors {

namespace {

scheduler::Answer answer_to(const Attempt& attempt) {
  scheduler::Answer answer;
  answer.attempt = {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
  return answer;
}

const CachePolicy& policy_of(const Attempt& attempt) {
  return attempt.context->flow->kind_of(attempt.node).cache;
}

cache::Query query_for(const Attempt& attempt, const Key& key) {
  return cache::query_of(policy_of(attempt), key, attempt.context->run);
}

// Only results that this run would keep, and that hooks cannot refuse, are worth waiting for.
bool is_shared(const Attempt& attempt) {
  return writes(attempt.context->cache) &&
         attempt.context->flow->kind_of(attempt.node).hooks.empty();
}

// What only this moment knows of a miss: the next commit covers it.
std::string loss_text(cache::Miss miss) {
  switch (miss) {
    case cache::Miss::corrupt:
      return "corrupt: what was kept of its result is damaged";
    case cache::Miss::evicted:
      return "evicted: its result, or a file of it, is not kept any more";
    default:
      return {};
  }
}

// The name that commits give the task.
std::string task_of(const Attempt& attempt) {
  return display_name(*attempt.context, attempt.node, attempt.label, attempt.map_index);
}

}  // namespace

// Whoever computes it for another run still needs it for the commit.
void CacheService::forget_made(const Key& key) {
  if (!flights_.is_computed(key)) made_.erase(key);
}

// The body may run from here on. Of all who compute a key, the first counts: what he read may be
// older than a removal.
void CacheService::note_begin(const Attempt& attempt, const Key& key, std::uint64_t removals) {
  began_.try_emplace(attempt.run, attempt.context->run, removals);
  if (const auto made = made_.find(key); made != made_.end())
    made->second.since = std::min(made->second.since.value_or(removals), removals);
}

std::optional<std::uint64_t> CacheService::beginning_of(const RunId& run) const {
  for (const auto& [index, began] : began_)
    if (began.first == run) return began.second;
  return std::nullopt;
}

// What was true then, or that nobody knows: never something newer instead.
void CacheService::look_up_as_of(const Attempt& attempt, scheduler::Answer& answer) {
  const Time moment = *attempt.context->as_of;
  auto found = options_.store->look_up_as_of({&*answer.key, 1}, moment);
  if (!found) {
    answer.reason = "tier_down: " + found.error().message;
    counts_.add("bypass.tier_down");
    return;
  }
  cache::PastAnswer& past = found->front();
  if (past.horizon) {
    answer.refusal = cache::past_horizon(moment, *past.horizon).message;
    counts_.add("miss.history_horizon");
    return;
  }
  if (!past.record) return count_miss(attempt, *answer.key, cache::Miss::absent, moment);
  if (const auto loss = lost_file(past.record->value)) {
    answer.refusal = gone_since(moment, *loss);
    return count_miss(attempt, *answer.key, loss->miss, moment);
  }
  counts_.add("hit.pinned");
  counts_.add("saved.ns", past.record->cost.count());
  counts_.add("bytes.read", static_cast<std::int64_t>(past.record->value.size));
  answer.value = std::move(past.record->value);
  answer.origin = past.record->run;
}

// A target stands for the cache: its task has no key, and no record is looked up or kept.
void CacheService::look_at_target(const Attempt& attempt, scheduler::Answer& answer) {
  const auto path = worker::target_path(attempt);
  if (!path) {
    answer.reason = path.error().message;  // the attempt fails for the same reason
    return;
  }
  cache::BlobStore* blobs = options_.blobs.get();
  auto found = worker::read_target(attempt, *path, [&](const std::filesystem::path& file) {
    return blobs != nullptr ? blobs->put_file(file)
                            : Result<FileValue>(fail(ErrorCode::unavailable,
                                                     "there is no blob store to keep it in"));
  });
  if (found && *found && blobs != nullptr && (*found)->size > journal::inline_result_bytes)
    if (const Status kept = blobs->put_value(**found); !kept) found = tl::unexpected(kept.error());
  if (!found)
    answer.reason = found.error().message;  // as if it were not there; the body makes it anew
  else if (*found) {
    answer.value = **std::move(found);
    answer.reason =
        fmt::format("result found at target \"{}\"", escape_for_terminal(path->string()));
  }
}

// Where the task's validator compares other things than its key holds. False: the answer is the
// key's, as for everybody else.
bool CacheService::look_at_candidates(const Attempt& attempt, const Material& material,
                                      cache::CandidateSearch& search, scheduler::Answer& answer) {
  const TaskKind& kind = attempt.context->flow->kind_of(attempt.node);
  const std::string& name = worker::shared_name(kind);
  const cache::Query reader = query_for(attempt, *answer.key);
  if (kind.cache.validator == Validator::custom) {
    auto candidates = search.for_user(name, material, reader);
    if (!candidates) {
      answer.reason = "tier_down: " + candidates.error().message;
      counts_.add("bypass.tier_down");
      return true;
    }
    std::erase_if(*candidates, [&](const Candidate& each) {
      const auto loss = lost_file(each.value);
      if (loss && attempt.context->as_of)
        answer.refusal = gone_since(*attempt.context->as_of, *loss);
      return loss.has_value();
    });
    if (!answer.refusal.empty()) candidates->clear();
    if (candidates->empty()) counts_.add("miss.first_seen");
    answer.candidates = *std::move(candidates);
    return true;
  }
  auto record = search.valid(name, material, reader, kind.cache.validator);
  if (!record || !*record) return false;
  if (const auto loss = lost_file((*record)->value)) {
    if (!attempt.context->as_of) return false;
    answer.refusal = gone_since(*attempt.context->as_of, *loss);
    counts_.add("miss", loss->miss == cache::Miss::corrupt ? "corrupt" : "evicted", 1);
    return true;
  }
  counts_.add("hit.local");
  counts_.add("saved.ns", (*record)->cost.count());
  counts_.add("bytes.read", static_cast<std::int64_t>((*record)->value.size));
  forget_made(*answer.key);
  answer.key = (*record)->key;
  answer.value = std::move((*record)->value);
  answer.origin = (*record)->run;
  return true;
}

// Results of accounts that are read, too, for those whose own account has nothing under the key.
// One look at the store for all. What is not fresh there is of no use: nobody would refresh it.
void CacheService::look_at_other_accounts(std::vector<Asked>& asked,
                                          std::vector<scheduler::Answer>& known, Time now) {
  if (options_.space.also_read.empty() || asked.empty()) return;
  std::vector<cache::Query> queries;
  std::vector<std::size_t> begins;  // of the queries of each that is asked: its own key, the others
  for (const Asked& each : asked) {
    begins.push_back(queries.size());
    queries.push_back(query_for(each.attempt, each.key));
    const auto made = made_.find(each.key);
    const auto material = made == made_.end() ? fail(ErrorCode::not_found, "")
                                              : Material::decode(made->second.material);
    if (!material) continue;
    for (const Key& key : options_.space.keys_elsewhere(*material))
      queries.push_back(query_for(each.attempt, key));
  }
  begins.push_back(queries.size());
  auto found = options_.store->search(queries, now);
  if (!found) return;  // the look-up that follows finds that, too, and says so
  std::vector<Asked> rest;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    cache::FoundOrLeased hit;
    if (!(*found)[begins[i]].record)
      for (std::size_t k = begins[i] + 1; k < begins[i + 1] && !hit.record; ++k) {
        cache::Found& each = (*found)[k];
        if (!each.record || !has_its_files(each.record->value)) continue;
        if (cache::use_of(policy_of(asked[i].attempt), *each.record, now) != cache::Use::hit)
          continue;
        hit.record = std::move(each.record);
        hit.tier = each.tier;
      }
    if (!hit.record) {
      rest.push_back(std::move(asked[i]));
      continue;
    }
    scheduler::Answer answer = answer_to(asked[i].attempt);
    forget_made(asked[i].key);
    answer.key = hit.record->key;
    answer.value = hit.record->value;
    answer.origin = hit.record->run;
    count_hit(asked[i], hit, now, answer);
    known.push_back(std::move(answer));
  }
  asked = std::move(rest);
}

// The key that had a result then: the own one, or that of an account that is read, too.
Key CacheService::key_as_of(const Material& material, const Key& own, Time moment) const {
  if (options_.space.also_read.empty()) return own;
  std::vector<Key> keys{own};
  for (const Key& key : options_.space.keys_elsewhere(material)) keys.push_back(key);
  const auto past = options_.store->look_up_as_of(keys, moment);
  if (!past) return own;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if ((*past)[i].record || (*past)[i].horizon) return keys[i];
  return own;
}

scheduler::LookedUp CacheService::look_up(std::vector<Attempt> attempts) {
  std::vector<scheduler::Answer> known;
  std::vector<Asked> asked;
  const Time now = options_.clock->now();
  std::map<std::optional<Time>, cache::CandidateSearch> searches;
  for (Attempt& attempt : attempts) {
    scheduler::Answer answer = answer_to(attempt);
    if (worker::has_target(attempt)) {
      look_at_target(attempt, answer);
      known.push_back(std::move(answer));
      continue;
    }
    Made made;
    const Result<Material> material = worker::material_of(
        attempt, *options_.hasher, options_.space, worker::process_environment(), &made.read);
    if (!material) {
      answer.reason = "uncacheable: " + material.error().message;
      counts_.add("bypass.uncacheable");
      known.push_back(std::move(answer));
      continue;
    }
    made.material = material->encode();
    const Key key{digest_in("key", made.material)};
    const TaskKind& kind = attempt.context->flow->kind_of(attempt.node);
    if (writes(attempt.context->cache) || reads(attempt.context->cache)) {
      if (const auto before = made_.find(key); before != made_.end())
        made.since = before->second.since;
      made_.insert_or_assign(key, std::move(made));
    }
    answer.key = key;
    const bool asks = worker::looks_up(attempt.context->cache, kind.cache);
    if (asks && cache::has_candidates(kind.cache)) {
      const std::optional<Time> as_of = attempt.context->as_of;
      const auto search =
          searches.try_emplace(as_of, *options_.store, as_of.value_or(now), as_of.has_value());
      if (look_at_candidates(attempt, *material, search.first->second, answer)) {
        if (!answer.value) note_begin(attempt, key, options_.store->removals());
        known.push_back(std::move(answer));
        continue;
      }
    }
    if (asks && !attempt.context->as_of) {
      asked.push_back({std::move(attempt), key, now});
      continue;
    }
    if (asks) {
      answer.key = key_as_of(*material, key, *attempt.context->as_of);
      look_up_as_of(attempt, answer);
    } else {
      counts_.add("bypass.refresh");
      note_begin(attempt, key, options_.store->removals());
    }
    if (!writes(attempt.context->cache)) made_.erase(key);
    known.push_back(std::move(answer));
  }
  look_at_other_accounts(asked, known, now);
  scheduler::LookedUp answers = find_or_wait(std::move(asked));
  answers.answers.insert(answers.answers.end(), std::move_iterator(known.begin()),
                         std::move_iterator(known.end()));
  tell_counts();
  return answers;
}

bool CacheService::may_wait(const Asked& asked, Time now) const {
  return is_shared(asked.attempt) && now - asked.since < wait_most;
}

// Those who need a file fetch it by its digest. Digests are remembered, so mostly this is one look
// per file.
std::optional<CacheService::Loss> CacheService::lost_file(const Payload& value) const {
  if (!options_.blobs) return std::nullopt;
  for (const FileValue& file : cache::files_in(value)) {
    const auto there = options_.hasher->hash(options_.blobs->path_of(file.content));
    if (there && there->content == file.content) continue;
    const Status good = options_.blobs->check(file);
    if (good) continue;
    const bool is_corrupt = good.error().code == ErrorCode::corrupt;
    return Loss{is_corrupt ? cache::Miss::corrupt : cache::Miss::evicted,
                fmt::format("a file of the result, {}, is {}", file.content.text(),
                            is_corrupt ? "damaged; it was set aside" : "not kept any more")};
  }
  return std::nullopt;
}

// Something else instead would not be what was true then.
std::string CacheService::gone_since(Time moment, const Loss& loss) {
  return fmt::format(
      "there was a result at {}, and it is gone: {}; run without --as-of to make one anew",
      to_rfc3339(moment), loss.text);
}

// Of this folder it can be told whether an owner still lives; nobody waits for one who does not.
Result<std::vector<cache::FoundOrLeased>> CacheService::find_or_lease(
    const std::vector<cache::Query>& queries, const cache::LeaseTerms& terms) {
  auto found = cache::look_up_or_lease(*options_.store, *options_.leases, queries, terms);
  if (!found) return found;
  std::set<std::string> dead;
  std::vector<cache::LeaseWish> wishes;
  std::vector<std::size_t> wished;
  for (std::size_t i = 0; i < found->size(); ++i) {
    cache::FoundOrLeased& each = (*found)[i];
    if (each.record)
      if (const auto loss = lost_file(each.record->value)) {
        each.record.reset();
        each.miss = loss->miss;
      }
    if (each.record) continue;
    if (each.lease && each.lease->kind == cache::LeaseAnswer::Kind::granted) continue;
    if (each.lease) {
      const cache::Lease& held = each.lease->lease;
      const bool is_free = held.scope == cache::Lease::Scope::folder && options_.is_dead &&
                           options_.is_dead(held.owner);
      if (!is_free) continue;
      if (dead.insert(held.owner).second)
        static_cast<void>(options_.leases->release_all_of(held.owner));
    }
    wishes.push_back({queries[i].key, true});
    wished.push_back(i);
  }
  if (wishes.empty()) return found;
  auto leased = options_.leases->acquire(wishes, terms);
  if (!leased) return tl::unexpected(leased.error());
  for (std::size_t k = 0; k < wished.size(); ++k)
    (*found)[wished[k]].lease = std::move((*leased)[k]);
  return found;
}

// One answer for each that was asked, in order: a record, a lease (somebody's), or neither.
std::vector<Result<cache::FoundOrLeased>> CacheService::find_or_lease(
    const std::vector<Asked>& asked, Time now) {
  std::vector<Result<cache::FoundOrLeased>> answers(asked.size());
  // One owner per run: a process that goes on with a run of a dead one has its leases.
  std::map<RunId, std::vector<std::size_t>> by_owner;
  std::vector<std::size_t> alone;
  const auto queries_at = [&](const std::vector<std::size_t>& positions) {
    std::vector<cache::Query> queries;
    for (const std::size_t i : positions)
      queries.push_back(query_for(asked[i].attempt, asked[i].key));
    return queries;
  };
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const bool leases = options_.leases && may_wait(asked[i], now) &&
                        !flights_.is_computed_by_another(asked[i].key, asked[i].attempt.run);
    (leases ? by_owner[asked[i].attempt.context->run] : alone).push_back(i);
  }
  for (const auto& [run, positions] : by_owner) {
    auto found = find_or_lease(queries_at(positions), {run.text(), lease_term, now});
    for (std::size_t k = 0; k < positions.size(); ++k)
      if (found)
        answers[positions[k]] = std::move((*found)[k]);
      else
        alone.push_back(positions[k]);  // who cannot tell who computes what keeps nobody waiting
  }
  if (alone.empty()) return answers;
  auto found = options_.store->search(queries_at(alone), now);
  for (std::size_t k = 0; k < alone.size(); ++k) {
    if (!found) {
      answers[alone[k]] = tl::unexpected(found.error());
      continue;
    }
    cache::Found& each = (*found)[k];
    cache::FoundOrLeased& answer = *answers[alone[k]];
    answer.tier = each.tier;
    answer.miss = each.miss;
    if (!each.record) continue;
    if (const auto loss = lost_file(each.record->value))
      answer.miss = loss->miss;
    else
      answer.record = std::move(each.record);
  }
  return answers;
}

// What was found, as the attempt's policy has it. False: it is to be computed now.
bool CacheService::serve(const Asked& asked, cache::FoundOrLeased& found, Time now,
                         scheduler::Answer& answer) {
  const CachePolicy& policy = policy_of(asked.attempt);
  cache::Record& record = *found.record;
  cache::Use use = cache::use_of(policy, record, now);
  const bool is_kept = writes(asked.attempt.context->cache);
  // What hooks may refuse is not computed where they cannot see it.
  if (use == cache::Use::stale && is_kept && !is_shared(asked.attempt)) use = cache::Use::fallback;
  switch (use) {
    case cache::Use::failure: {
      auto failure = KeptFailure::decode(record.value);
      if (!failure) return false;
      answer.failure = scheduler::RememberedFailure{*std::move(failure), record.expires};
      break;
    }
    case cache::Use::fallback:
      answer.fallback = scheduler::Fallback{std::move(record.value), record.run, *record.expires,
                                            cache::fallback_until(policy, record)};
      return false;
    case cache::Use::stale: {
      // Of all who are served it, one computes it anew.
      using Kind = cache::LeaseAnswer::Kind;
      const bool is_granted = !found.lease || found.lease->kind == Kind::granted;
      answer.refresh = is_kept && is_granted && !flights_.is_computed(asked.key);
      answer.expired = record.expires;
      if (answer.refresh)
        flights_.begin(asked.key, asked.attempt, now,
                       found.lease ? std::optional(found.lease->lease) : std::nullopt);
      answer.value = std::move(record.value);
      break;
    }
    case cache::Use::hit:
      answer.value = std::move(record.value);
      break;
  }
  answer.origin = record.run;
  return true;
}

// Hits of those whose policy says so let results live longer. That this fails is no trouble.
void CacheService::prolong(const std::vector<Asked>& asked,
                           const std::vector<Result<cache::FoundOrLeased>>& found, Time now) {
  std::vector<cache::Commit> commits;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Attempt& attempt = asked[i].attempt;
    if (!policy_of(attempt).life.sliding || !writes(attempt.context->cache)) continue;
    if (!found[i] || !found[i]->record || !found[i]->record->is_fresh(now)) continue;
    if (auto commit = cache::prolonged(policy_of(attempt), *found[i]->record, now))
      commits.push_back(*std::move(commit));
  }
  if (!commits.empty()) static_cast<void>(options_.store->commit(commits, now));
}

void CacheService::count_wait(const Asked& asked, Time now) {
  if (!asked.has_waited) return;
  counts_.add("wait.count");
  counts_.add("wait.ns", (now - asked.since).count());
}

// Also said in the answer, where it is not the store of this folder.
void CacheService::count_hit(const Asked& asked, const cache::FoundOrLeased& found, Time now,
                             scheduler::Answer& answer) {
  const std::string_view tier = answer.expired                      ? "stale"
                                : asked.has_waited                  ? "waited"
                                : found.tier == cache::Tier::redis  ? "redis"
                                : found.tier == cache::Tier::memory ? "memory"
                                                                    : "local";
  if ((tier == "redis" || tier == "waited") && answer.value)
    answer.reason = fmt::format("hit: {}", tier);
  counts_.add("hit", tier, 1);
  counts_.add("saved.ns", found.record->cost.count());
  counts_.add("bytes.read", static_cast<std::int64_t>(found.record->value.size));
  count_wait(asked, now);
}

void CacheService::count_miss(const Attempt& attempt, const Key& key, cache::Miss fate, Time now) {
  const auto made = made_.find(key);
  const auto material = made == made_.end() ? fail(ErrorCode::not_found, "")
                                            : Material::decode(made->second.material);
  if (!material) return counts_.add("miss.first_seen");
  counts_.add("miss", reasons_.of(*material, key, task_of(attempt), fate, now), 1);
}

// One message to the store for all of a batch.
void CacheService::tell_counts() {
  if (counts_.is_empty()) return;
  options_.store->count(counts_);
  counts_ = {};
}

// Who computes what the attempt waits for, if that is news.
void CacheService::tell_wait(Asked& asked, const std::optional<cache::LeaseAnswer>& lease,
                             scheduler::LookedUp& answers) const {
  std::optional<std::pair<RunId, Time>> owner = flights_.owner_of(asked.key);
  if (!owner && lease)
    if (const auto run = RunId::parse(lease->lease.owner)) owner.emplace(*run, lease->since);
  if (!owner || asked.told == owner->first) return;
  asked.told = owner->first;
  answers.waits.push_back({answer_to(asked.attempt).attempt, owner->first, owner->second});
}

// Looks up keys; what misses is computed by the attempt's run, or waited for.
scheduler::LookedUp CacheService::find_or_wait(std::vector<Asked> asked) {
  scheduler::LookedUp answers;
  if (asked.empty()) return answers;
  const Time now = options_.clock->now();
  std::vector<Result<cache::FoundOrLeased>> found = find_or_lease(asked, now);
  const std::uint64_t removals = options_.store->removals();
  const std::string impairment = options_.store->impairment();
  prolong(asked, found, now);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Attempt& attempt = asked[i].attempt;
    const Key key = asked[i].key;
    scheduler::Answer answer = answer_to(attempt);
    answer.key = key;
    if (!found[i]) {
      answer.reason = "tier_down: " + found[i].error().message;
    } else if (found[i]->record && serve(asked[i], *found[i], now, answer)) {
      count_hit(asked[i], *found[i], now, answer);
      if (answer.refresh) note_begin(attempt, key, removals);
      forget_made(key);
      answers.answers.push_back(std::move(answer));
      continue;
    } else if (is_shared(attempt)) {
      using Kind = cache::LeaseAnswer::Kind;
      const auto& lease = found[i]->lease;
      const bool may_wait_on = may_wait(asked[i], now);
      if (may_wait_on && ((lease && lease->kind != Kind::granted) ||
                          flights_.is_computed_by_another(key, attempt.run))) {
        tell_wait(asked[i], lease, answers);
        flights_.wait(std::move(asked[i]));
        continue;
      }
      if (may_wait_on)
        flights_.begin(key, attempt, now, lease ? std::optional(lease->lease) : std::nullopt);
      else
        answer.reason = "wait_timeout";
    }
    note_begin(attempt, key, removals);
    if (answer.reason.empty() && !impairment.empty())
      answer.reason = (impairment.starts_with("oom: ") ? "" : "tier_down: ") + impairment;
    if (answer.reason.empty()) {
      count_miss(attempt, key, found[i]->miss, now);
      answer.loss = loss_text(found[i]->miss);
    } else
      counts_.add("bypass", answer.reason.substr(0, answer.reason.find(':')), 1);
    count_wait(asked[i], now);
    if (!writes(attempt.context->cache)) {
      if (attempt.context->cache != CacheMode::only) counts_.add("unkept.read_only");
      made_.erase(key);
    }
    answers.answers.push_back(std::move(answer));
  }
  tell_counts();
  return answers;
}

scheduler::LookedUp CacheService::look_again() {
  return find_or_wait(flights_.take_waiting());
}

scheduler::LookedUp CacheService::look_again(std::span<const Key> keys) {
  return find_or_wait(flights_.take_waiting(keys));
}

// Empty: all are what they were.
std::string CacheService::changed_input(const Made& made) {
  for (const worker::LocalInput& input : made.read)
    if (!worker::is_unchanged(input, *options_.hasher))
      return fmt::format("input_changed: \"{}\" is not what it was when the task began",
                         escape_for_terminal(input.path.string()));
  return {};
}

// Before anything is written: whether it may be.
std::string CacheService::why_not(const cache::Commit& commit, const Made& made) {
  std::uint64_t bytes = commit.value.size;
  for (const FileValue& file : cache::files_in(commit.value)) bytes += file.size;
  if (bytes > options_.max_value_bytes)
    return fmt::format("too_large: {} are more than max_value, {}", describe_bytes(bytes),
                       describe_bytes(options_.max_value_bytes));
  return changed_input(made);
}

std::vector<std::string> CacheService::commit(std::span<cache::Commit> commits) {
  std::vector<std::string> unkept(commits.size());
  std::vector<cache::Commit> going;
  std::vector<std::size_t> positions;
  std::vector<bool> lost;
  std::vector<cache::HeldLease> to_release;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    cache::Commit& commit = commits[i];
    Made made;
    if (const auto found = made_.find(commit.key); found != made_.end()) {
      made = std::move(found->second);
      made_.erase(found);
    }
    commit.since = made.since ? made.since : beginning_of(commit.run);
    const bool is_lost = flights_.is_lost(commit.key);
    commit.lease = flights_.end(commit.key);
    unkept[i] = why_not(commit, made);
    commit.material = std::move(made.material);
    if (unkept[i].empty()) {
      positions.push_back(i);
      lost.push_back(is_lost);
      going.push_back(std::move(commit));
    } else if (commit.lease) {
      to_release.push_back({commit.key, std::move(*commit.lease)});
    }
  }
  const Time now = options_.clock->now();
  if (!going.empty()) {
    const auto kept = options_.store->commit(going, now);
    for (std::size_t k = 0; k < going.size(); ++k) {
      cache::Commit& commit = going[k];
      std::string& why = unkept[positions[k]];
      if (!kept) {
        why = "refused: " + kept.error().message;
        // Somebody else may have more luck.
        if (commit.lease) to_release.push_back({commit.key, std::move(*commit.lease)});
      } else if ((*kept)[k] == cache::Kept::fenced) {
        why = lost[k] ? "lease_lost: it took longer than the lease could be renewed"
                      : "fenced: another took over, or it was removed meanwhile";
      } else if ((*kept)[k] == cache::Kept::foreign) {
        why = "refused: a newer version of reprise wrote what is kept under this key";
      } else {
        reasons_.kept(commit.task, commit.material);
        if ((*kept)[k] == cache::Kept::added)
          counts_.add("bytes.written", static_cast<std::int64_t>(commit.value.size));
      }
    }
  }
  if (!to_release.empty()) static_cast<void>(options_.leases->release(to_release, now));
  for (const std::string& why : unkept)
    if (!why.empty()) counts_.add("unkept", why.substr(0, why.find(':')), 1);
  tell_counts();
  return unkept;
}

void CacheService::give_up(std::span<const Key> keys, const cache::UseCounts& why) {
  std::vector<cache::HeldLease> leases;
  for (const Key& key : keys) {
    made_.erase(key);
    if (auto lease = flights_.end(key)) leases.push_back({key, std::move(*lease)});
  }
  // A lease that cannot be given back runs out.
  if (!leases.empty()) static_cast<void>(options_.leases->release(leases, options_.clock->now()));
  counts_ += why;
  tell_counts();
}

std::vector<Key> CacheService::end_run(scheduler::RunIndex run, std::uint64_t past_cache) {
  began_.erase(run.value);
  flights_.forget(run.value);
  std::vector<Key> keys = flights_.keys_of(run.value);
  cache::UseCounts bypassed;
  bypassed.add("bypass.off", static_cast<std::int64_t>(past_cache));
  give_up(keys, bypassed);
  return keys;
}

void CacheService::renew() {
  std::map<std::string, std::vector<cache::HeldLease>> by_owner;
  for (cache::HeldLease& lease : flights_.leases())
    by_owner[lease.lease.owner].push_back(std::move(lease));
  for (const auto& [owner, leases] : by_owner) {
    const auto held = options_.leases->renew(leases, {owner, lease_term, options_.clock->now()});
    if (!held) continue;  // the commit finds out
    for (std::size_t i = 0; i < leases.size(); ++i)
      if (!(*held)[i]) flights_.lose(leases[i].key);
  }
}

void CacheService::close() {
  const std::vector<cache::HeldLease> leases = flights_.leases();
  if (!leases.empty()) static_cast<void>(options_.leases->release(leases, options_.clock->now()));
  flights_ = {};
}

}  // namespace reprise::actors
