#include "actors/cache_actor.hpp"

#include <map>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>
#include <caf/all.hpp>

#include "actors/commit.hpp"
#include "actors/messages.hpp"
#include "actors/single_flight.hpp"
#include "cache/horizon.hpp"
#include "core/text.hpp"
#include "worker/target.hpp"

namespace reprise::actors {

namespace {

// Whether somebody else's result has come is looked at this often.
constexpr std::chrono::milliseconds poll_every{50};
// Nobody waits longer for somebody else: what he computes may be stuck.
constexpr Duration wait_most = std::chrono::minutes{10};
// A process that died holds the others up no longer than this.
constexpr Duration lease_term = std::chrono::seconds{10};

struct LookAgain {};
struct Renew {};

}  // namespace

}  // namespace reprise::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::LookAgain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Renew)

namespace reprise::actors {

namespace {

struct CacheState {
  static inline const char* name = "cache";
  CacheActorOptions options;
  // What went into the keys that missed, until their results arrive; bounded by the number of tasks
  // in flight.
  std::unordered_map<Key, std::string> materials;
  SingleFlight flights;
  caf::actor_addr scheduler;
  bool polls = false;
  bool renews = false;
};

using Self = caf::stateful_actor<CacheState>;

// What was true then, or that nobody knows: never something newer instead.
void look_up_as_of(CacheState& state, const Attempt& attempt, scheduler::Answer& answer) {
  const Time moment = *attempt.context->as_of;
  auto found = state.options.store->look_up_as_of({&*answer.key, 1}, moment);
  if (!found) {
    answer.reason = "tier_down: " + found.error().message;
    return;
  }
  cache::PastAnswer& past = found->front();
  if (past.horizon) answer.refusal = cache::past_horizon(moment, *past.horizon).message;
  if (!past.record) return;
  answer.value = std::move(past.record->value);
  answer.origin = past.record->run;
}

// A target stands for the cache: its task has no key, and no record is looked up or kept.
void look_at_target(CacheState& state, const Attempt& attempt, scheduler::Answer& answer) {
  const auto path = worker::target_path(attempt);
  if (!path) {
    answer.reason = path.error().message;  // the attempt fails for the same reason
    return;
  }
  cache::BlobStore* blobs = state.options.blobs.get();
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

// Only results that this run would keep, and that hooks cannot refuse, are worth waiting for.
bool is_shared(const Attempt& attempt) {
  return writes(attempt.context->cache) &&
         attempt.context->flow->kind_of(attempt.node).hooks.empty();
}

struct Asked {
  Attempt attempt;
  Key key;
  Time since;
};

// Looks up keys; what misses is computed by the attempt's run, or waited for. Answers what is known
// now.
void look_up_or_lease(CacheState& state, std::vector<Asked> asked, scheduler::LookedUp& answers) {
  const Time now = state.options.clock->now();
  std::vector<Key> keys;
  for (const Asked& each : asked) keys.push_back(each.key);
  auto records = state.options.store->look_up(keys, now);
  std::vector<Asked> missed;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    Attempt& attempt = asked[i].attempt;
    scheduler::Answer answer;
    answer.attempt = {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
    answer.key = keys[i];
    if (!records) {
      answer.reason = "tier_down: " + records.error().message;
    } else if (auto& record = (*records)[i]) {
      answer.value = std::move(record->value);
      answer.origin = record->run;
      if (!state.flights.is_computed_here(keys[i])) state.materials.erase(keys[i]);
    } else if (is_shared(attempt)) {
      missed.push_back(std::move(asked[i]));
      continue;
    }
    answers.answers.push_back(std::move(answer));
  }
  if (missed.empty()) return;

  // One owner per run: a process that goes on with a run of a dead one has its leases.
  std::map<RunId, std::vector<std::size_t>> by_run;
  std::vector<std::optional<cache::LeaseAnswer>> leases(missed.size());
  for (std::size_t i = 0; i < missed.size(); ++i)
    if (!state.flights.is_computed_by_another(missed[i].key, missed[i].attempt.run))
      by_run[missed[i].attempt.context->run].push_back(i);
  for (const auto& [run, positions] : by_run) {
    if (!state.options.leases) break;
    std::vector<cache::LeaseWish> wishes;
    for (const std::size_t i : positions) wishes.push_back({missed[i].key});
    // A cache that cannot tell who computes what keeps nobody waiting.
    auto granted = state.options.leases->acquire(wishes, {run.text(), lease_term, now});
    if (!granted) continue;
    for (std::size_t k = 0; k < positions.size(); ++k)
      leases[positions[k]] = std::move((*granted)[k]);
  }
  using Kind = cache::LeaseAnswer::Kind;
  for (std::size_t i = 0; i < missed.size(); ++i) {
    Asked& each = missed[i];
    const bool is_held = leases[i] && leases[i]->kind != Kind::granted;
    const bool is_late = now - each.since >= wait_most;
    const bool is_computed_here = state.flights.is_computed_by_another(each.key, each.attempt.run);
    if ((is_held || is_computed_here) && !is_late) {
      const std::string owner = is_held ? leases[i]->lease.owner : std::string("this process");
      state.flights.wait({std::move(each.attempt), each.key, each.since, owner});
      continue;
    }
    scheduler::Answer& answer = answers.answers.emplace_back();
    answer.attempt = {scheduler::RunIndex{each.attempt.run}, each.attempt.task,
                      each.attempt.number};
    answer.key = each.key;
    if (is_late) answer.reason = "wait_timeout";
    if (!is_late)
      state.flights.begin(each.key, each.attempt.run,
                          leases[i] ? std::optional(leases[i]->lease) : std::nullopt);
  }
}

scheduler::LookedUp look_up(CacheState& state, LookUp& request) {
  scheduler::LookedUp answers;
  std::vector<Asked> asked;
  const Time now = state.options.clock->now();
  for (Attempt& attempt : request.attempts) {
    scheduler::Answer answer;
    answer.attempt = {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
    if (worker::has_target(attempt)) {
      look_at_target(state, attempt, answer);
      answers.answers.push_back(std::move(answer));
      continue;
    }
    const Result<Material> material =
        worker::material_of(attempt, *state.options.hasher, state.options.account);
    if (!material) {
      answer.reason = "uncacheable: " + material.error().message;
      answers.answers.push_back(std::move(answer));
      continue;
    }
    std::string bytes = material->encode();
    const Key key{digest_in("key", bytes)};
    const TaskKind& kind = attempt.context->flow->kind_of(attempt.node);
    if (writes(attempt.context->cache)) state.materials.insert_or_assign(key, std::move(bytes));
    answer.key = key;
    const bool asks = worker::looks_up(attempt.context->cache, kind.cache);
    if (asks && !attempt.context->as_of) {
      asked.push_back({std::move(attempt), key, now});
      continue;
    }
    if (asks) look_up_as_of(state, attempt, answer);
    answers.answers.push_back(std::move(answer));
  }
  if (!asked.empty()) look_up_or_lease(state, std::move(asked), answers);
  return answers;
}

void arrange_ticks(Self* self) {
  CacheState& state = self->state;
  if (state.flights.has_waiting() && !state.polls) {
    state.polls = true;
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), poll_every, LookAgain{});
  }
  if (state.options.leases && !state.renews && !state.flights.leases().empty()) {
    state.renews = true;
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), lease_term / 3, Renew{});
  }
}

void answer_scheduler(Self* self, scheduler::LookedUp answers) {
  if (!answers.answers.empty())
    if (const auto to = caf::actor_cast<caf::actor>(self->state.scheduler))
      self->send(to, std::move(answers));
  arrange_ticks(self);
}

// Those who wait, for one key or for any, are looked after again.
void look_again(Self* self, const std::optional<Key>& key = {}) {
  CacheState& state = self->state;
  std::vector<Asked> asked;
  for (SingleFlight::Waiting& waiting : state.flights.take_waiting(key))
    asked.push_back({std::move(waiting.attempt), waiting.key, waiting.since});
  scheduler::LookedUp answers;
  if (!asked.empty()) look_up_or_lease(state, std::move(asked), answers);
  answer_scheduler(self, std::move(answers));
}

// Computations that ended without a result to keep.
void give_up(Self* self, const std::vector<Key>& keys) {
  CacheState& state = self->state;
  std::vector<cache::HeldLease> leases;
  for (const Key& key : keys) {
    state.materials.erase(key);
    if (auto lease = state.flights.end(key)) leases.push_back({key, std::move(*lease)});
  }
  if (!leases.empty() && state.options.leases)
    static_cast<void>(state.options.leases->release(leases, state.options.clock->now()));
  for (const Key& key : keys) look_again(self, key);
}

void renew(Self* self) {
  CacheState& state = self->state;
  state.renews = false;
  // Of lost ones the commit finds out.
  std::map<std::string, std::vector<cache::HeldLease>> by_owner;
  for (cache::HeldLease& lease : state.flights.leases())
    by_owner[lease.lease.owner].push_back(std::move(lease));
  for (const auto& [owner, leases] : by_owner)
    static_cast<void>(
        state.options.leases->renew(leases, {owner, lease_term, state.options.clock->now()}));
  arrange_ticks(self);
}

bool commit_all(Self* self, std::vector<cache::Commit>& commits) {
  CacheState& state = self->state;
  std::vector<Key> keys;
  for (cache::Commit& commit : commits) {
    keys.push_back(commit.key);
    if (const auto found = state.materials.find(commit.key); found != state.materials.end()) {
      commit.material = std::move(found->second);
      state.materials.erase(found);
    }
    commit.lease = state.flights.end(commit.key);
  }
  const bool kept = state.options.store->commit(commits, state.options.clock->now()).has_value();
  if (state.flights.has_waiting())
    for (const Key& key : keys) look_again(self, key);
  return kept;
}

caf::behavior cache_behavior(Self* self, std::shared_ptr<CacheActorOptions> options) {
  self->state.options = std::move(*options);
  return {
      [self](LookUp& request) {
        self->state.scheduler = caf::actor_cast<caf::actor_addr>(self->current_sender());
        answer_scheduler(self, look_up(self->state, request));
      },
      [self](Store& request) {
        const auto worker = caf::actor_cast<caf::actor>(self->current_sender());
        self->send(worker, Stored{request.ticket, commit_all(self, request.commits)});
      },
      [self](KeepResults& request) {
        const auto scheduler = caf::actor_cast<caf::actor>(self->current_sender());
        for (scheduler::Keep& keep : request.keeps) {
          std::vector<cache::Commit> commits;
          commits.push_back(commit_of(*keep.context, keep.node, keep.label, keep.map_index,
                                      keep.key, std::move(keep.value), keep.cost));
          self->send(scheduler, scheduler::Kept{keep.attempt, commit_all(self, commits)});
        }
      },
      [self](const GiveUp& news) { give_up(self, news.keys); },
      [self](const RunOver& news) {
        self->state.flights.forget(news.run.value);
        give_up(self, self->state.flights.keys_of(news.run.value));
      },
      [self](const LookAgain&) {
        self->state.polls = false;
        look_again(self);
      },
      [self](const Renew&) { renew(self); },
  };
}

}  // namespace

caf::actor spawn_cache_actor(caf::actor_system& system, CacheActorOptions options) {
  return system.spawn<caf::detached>(cache_behavior,
                                     std::make_shared<CacheActorOptions>(std::move(options)));
}

}  // namespace reprise::actors
