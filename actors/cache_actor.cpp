#include "actors/cache_actor.hpp"

#include <map>
#include <unordered_map>

#include <fmt/format.h>
#include <caf/all.hpp>

#include "actors/commit.hpp"
#include "actors/messages.hpp"
#include "cache/horizon.hpp"

namespace reprise::actors {

namespace {

struct CacheState {
  static inline const char* name = "cache";
  CacheActorOptions options;
  // What went into the keys that missed, until their results arrive; bounded by the number of tasks
  // in flight.
  std::unordered_map<Key, std::string> materials;
};

struct Asked {
  std::vector<Key> keys;
  std::vector<std::size_t> positions;  // of keys[i] among the answers
};

// What was true then, or that nobody knows: never something newer instead.
void look_up_as_of(CacheState& state, Time moment, const Asked& asked,
                   scheduler::LookedUp& answers) {
  auto found = state.options.store->look_up_as_of(asked.keys, moment);
  for (std::size_t k = 0; k < asked.keys.size(); ++k) {
    scheduler::Answer& answer = answers.answers[asked.positions[k]];
    if (!found) {
      answer.reason = "tier_down: " + found.error().message;
      continue;
    }
    cache::PastAnswer& past = (*found)[k];
    if (past.horizon) answer.refusal = cache::past_horizon(moment, *past.horizon).message;
    if (!past.record) continue;
    answer.value = std::move(past.record->value);
    answer.origin = past.record->run;
  }
}

scheduler::LookedUp look_up(CacheState& state, const LookUp& request) {
  scheduler::LookedUp answers;
  answers.answers.resize(request.attempts.size());
  std::vector<Key> keys;
  std::vector<std::size_t> positions;  // of keys[i] in answers
  std::map<Time, Asked> frozen;        // of runs that see the cache as it was
  for (std::size_t i = 0; i < request.attempts.size(); ++i) {
    const Attempt& attempt = request.attempts[i];
    scheduler::Answer& answer = answers.answers[i];
    answer.attempt = {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
    const Result<Material> material =
        worker::material_of(attempt, *state.options.hasher, state.options.account);
    if (!material) {
      answer.reason = "uncacheable: " + material.error().message;
      continue;
    }
    std::string bytes = material->encode();
    answer.key = Key{digest_in("key", bytes)};
    const TaskKind& kind = attempt.context->flow->kind_of(attempt.node);
    if (writes(attempt.context->cache))
      state.materials.insert_or_assign(*answer.key, std::move(bytes));
    if (!worker::looks_up(attempt.context->cache, kind.cache)) continue;
    if (attempt.context->as_of) {
      Asked& asked = frozen[*attempt.context->as_of];
      asked.keys.push_back(*answer.key);
      asked.positions.push_back(i);
      continue;
    }
    keys.push_back(*answer.key);
    positions.push_back(i);
  }
  for (const auto& [moment, asked] : frozen) look_up_as_of(state, moment, asked, answers);
  if (keys.empty()) return answers;
  auto records = state.options.store->look_up(keys, state.options.clock->now());
  for (std::size_t k = 0; k < keys.size(); ++k) {
    scheduler::Answer& answer = answers.answers[positions[k]];
    if (!records) {
      answer.reason = "tier_down: " + records.error().message;
      continue;
    }
    if (auto& record = (*records)[k]) {
      answer.value = std::move(record->value);
      answer.origin = record->run;
      state.materials.erase(keys[k]);
    }
  }
  return answers;
}

bool commit_all(CacheState& state, std::vector<cache::Commit>& commits) {
  for (cache::Commit& commit : commits) {
    if (const auto found = state.materials.find(commit.key); found != state.materials.end()) {
      commit.material = std::move(found->second);
      state.materials.erase(found);
    }
  }
  return state.options.store->commit(commits, state.options.clock->now()).has_value();
}

caf::behavior cache_behavior(caf::stateful_actor<CacheState>* self,
                             std::shared_ptr<CacheActorOptions> options) {
  self->state.options = std::move(*options);
  return {
      [self](const LookUp& request) {
        self->send(caf::actor_cast<caf::actor>(self->current_sender()),
                   look_up(self->state, request));
      },
      [self](Store& request) {
        self->send(caf::actor_cast<caf::actor>(self->current_sender()),
                   Stored{request.ticket, commit_all(self->state, request.commits)});
      },
      [self](KeepResults& request) {
        const auto scheduler = caf::actor_cast<caf::actor>(self->current_sender());
        for (scheduler::Keep& keep : request.keeps) {
          std::vector<cache::Commit> commits;
          commits.push_back(commit_of(*keep.context, keep.node, keep.label, keep.map_index,
                                      keep.key, std::move(keep.value), keep.cost));
          self->send(scheduler, scheduler::Kept{keep.attempt, commit_all(self->state, commits)});
        }
      },
  };
}

}  // namespace

caf::actor spawn_cache_actor(caf::actor_system& system, CacheActorOptions options) {
  return system.spawn<caf::detached>(cache_behavior,
                                     std::make_shared<CacheActorOptions>(std::move(options)));
}

}  // namespace reprise::actors
