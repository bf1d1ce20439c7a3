#include "actors/cache_actor.hpp"

#include <caf/all.hpp>

#include "actors/commit.hpp"
#include "actors/messages.hpp"

namespace reprise::actors {

namespace {

// Whether somebody else's result has come is looked at this often.
constexpr std::chrono::milliseconds poll_every{50};

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
  std::optional<CacheService> service;
  caf::actor_addr scheduler;
  bool polls = false;
  bool renews = false;
};

using Self = caf::stateful_actor<CacheState>;

void arrange_ticks(Self* self) {
  CacheState& state = self->state;
  if (state.service->has_waiting() && !state.polls) {
    state.polls = true;
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), poll_every, LookAgain{});
  }
  if (!state.renews && state.service->has_leases()) {
    state.renews = true;
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), CacheService::lease_term / 3,
                           Renew{});
  }
}

void answer_scheduler(Self* self, scheduler::LookedUp answers) {
  if (!answers.answers.empty() || !answers.waits.empty())
    if (const auto to = caf::actor_cast<caf::actor>(self->state.scheduler))
      self->send(to, std::move(answers));
  arrange_ticks(self);
}

// Those who wait for one of these keys are looked after again.
void look_again(Self* self, std::span<const Key> keys) {
  CacheService& service = *self->state.service;
  if (service.has_waiting()) answer_scheduler(self, service.look_again(keys));
}

CacheService::Committed commit_all(Self* self, std::vector<cache::Commit> commits) {
  std::vector<Key> keys;
  for (const cache::Commit& commit : commits) keys.push_back(commit.key);
  CacheService::Committed answer = self->state.service->commit(std::move(commits));
  look_again(self, keys);
  return answer;
}

caf::behavior cache_behavior(Self* self, std::shared_ptr<CacheServiceOptions> options) {
  self->state.service.emplace(std::move(*options));
  self->set_exit_handler([self](const caf::exit_msg& end) {
    self->state.service->close();
    self->quit(end.reason);
  });
  return {
      [self](LookUp& request) {
        self->state.scheduler = caf::actor_cast<caf::actor_addr>(self->current_sender());
        answer_scheduler(self, self->state.service->look_up(std::move(request.attempts)));
      },
      [self](Store& request) {
        const auto worker = caf::actor_cast<caf::actor>(self->current_sender());
        CacheService::Committed answer = commit_all(self, std::move(request.commits));
        self->send(worker, Stored{request.ticket, answer.kept, std::move(answer.refused)});
      },
      [self](KeepResults& request) {
        const auto scheduler = caf::actor_cast<caf::actor>(self->current_sender());
        for (scheduler::Keep& keep : request.keeps) {
          if (keep.value.is_none()) {
            self->state.service->give_up({&keep.key, 1});
            look_again(self, {&keep.key, 1});
            continue;
          }
          CacheService::Committed answer = commit_all(self, {commit_of(keep)});
          const std::string refused = answer.refused.empty() ? "" : answer.refused.front();
          self->send(scheduler,
                     scheduler::Kept{keep.attempt, answer.kept && refused.empty(), refused});
        }
      },
      [self](const GiveUp& news) {
        self->state.service->give_up(news.keys);
        look_again(self, news.keys);
      },
      [self](const RunOver& news) { look_again(self, self->state.service->end_run(news.run)); },
      [self](const LookAgain&) {
        self->state.polls = false;
        answer_scheduler(self, self->state.service->look_again());
      },
      [self](const Renew&) {
        self->state.renews = false;
        self->state.service->renew();
        arrange_ticks(self);
      },
  };
}

}  // namespace

caf::actor spawn_cache_actor(caf::actor_system& system, CacheServiceOptions options) {
  return system.spawn<caf::detached>(cache_behavior,
                                     std::make_shared<CacheServiceOptions>(std::move(options)));
}

}  // namespace reprise::actors
