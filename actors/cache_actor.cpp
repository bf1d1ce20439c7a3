#include "actors/cache_actor.hpp"

#include <algorithm>
#include <cstdint>
#include <random>

#include <caf/all.hpp>

#include "actors/commit.hpp"
#include "actors/messages.hpp"

namespace reprise::actors {

namespace {

// Whether somebody else's result has come is looked at this often: soon at first, then ever less.
// Short waits are the most common ones, and long ones need not be exact.
constexpr std::chrono::milliseconds first_poll{5};
constexpr std::chrono::milliseconds last_poll{50};
// … and where news come by themselves.
constexpr std::chrono::milliseconds last_poll_with_news{1000};

struct LookAgain {};
struct News {
  Key key;
};
struct Renew {};

}  // namespace

}  // namespace reprise::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::LookAgain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::News)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Renew)

namespace reprise::actors {

namespace {

struct CacheState {
  static inline const char* name = "cache";
  std::optional<CacheService> service;
  caf::actor_addr scheduler;
  std::shared_ptr<cache::WakeUps> wake_ups;  // null: there are none
  std::chrono::microseconds poll_after = first_poll;
  std::minstd_rand chance{std::random_device{}()};
  std::size_t waiting = 0;
  bool polls = false;
  bool renews = false;
};

using Self = caf::stateful_actor<CacheState>;

void arrange_ticks(Self* self) {
  CacheState& state = self->state;
  const std::vector<Key> waited_for = state.service->waited_for();
  if (waited_for.size() > state.waiting) state.poll_after = first_poll;
  if (state.wake_ups && waited_for.size() + state.waiting > 0)
    state.wake_ups->listen_to(waited_for);
  state.waiting = waited_for.size();
  if (!waited_for.empty() && !state.polls) {
    state.polls = true;
    // Not all processes at the same moment.
    const std::chrono::microseconds pause{std::uniform_int_distribution<std::int64_t>(
        state.poll_after.count() * 3 / 4, state.poll_after.count() * 5 / 4)(state.chance)};
    caf::delayed_anon_send(caf::actor_cast<caf::actor>(self), pause, LookAgain{});
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

std::vector<std::string> commit_all(Self* self, std::vector<cache::Commit>& commits) {
  std::vector<Key> keys;
  for (const cache::Commit& commit : commits) keys.push_back(commit.key);
  std::vector<std::string> unkept = self->state.service->commit(commits);
  look_again(self, keys);
  return unkept;
}

caf::behavior cache_behavior(Self* self, std::shared_ptr<CacheServiceOptions> options,
                             std::shared_ptr<cache::WakeUps> wake_ups) {
  self->state.service.emplace(std::move(*options));
  self->state.wake_ups = std::move(wake_ups);
  if (self->state.wake_ups)
    self->state.wake_ups->on_news([me = caf::actor_cast<caf::actor_addr>(self)](const Key& key) {
      if (const auto actor = caf::actor_cast<caf::actor>(me)) caf::anon_send(actor, News{key});
    });
  self->set_exit_handler([self](const caf::exit_msg& end) {
    if (self->state.wake_ups) self->state.wake_ups->on_news({});
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
        self->send(worker, Stored{request.ticket, commit_all(self, request.commits)});
      },
      [self](KeepResults& request) {
        const auto scheduler = caf::actor_cast<caf::actor>(self->current_sender());
        for (scheduler::Keep& keep : request.keeps) {
          if (keep.value.is_none()) {
            self->state.service->give_up({&keep.key, 1}, {});
            look_again(self, {&keep.key, 1});
            continue;
          }
          std::vector<cache::Commit> commits{commit_of(keep)};
          std::string why = std::move(commit_all(self, commits).front());
          self->send(scheduler, scheduler::Kept{keep.attempt, why.empty(), std::move(why)});
        }
      },
      [self](const GiveUp& news) {
        self->state.service->give_up(news.keys, news.why);
        look_again(self, news.keys);
      },
      [self](const RunOver& news) {
        look_again(self, self->state.service->end_run(news.run, news.past_cache));
      },
      [self](const LookAgain&) {
        CacheState& state = self->state;
        state.polls = false;
        const bool hears = state.wake_ups && state.wake_ups->is_listening();
        state.poll_after = std::min<std::chrono::microseconds>(
            state.poll_after * 3 / 2, hears ? last_poll_with_news : last_poll);
        answer_scheduler(self, self->state.service->look_again());
      },
      [self](const News& news) {
        look_again(self, {&news.key, 1});
      },
      [self](const Renew&) {
        self->state.renews = false;
        self->state.service->renew();
        arrange_ticks(self);
      },
  };
}

}  // namespace

caf::actor spawn_cache_actor(caf::actor_system& system, CacheServiceOptions options,
                             std::shared_ptr<cache::WakeUps> wake_ups) {
  return system.spawn<caf::detached>(cache_behavior,
                                     std::make_shared<CacheServiceOptions>(std::move(options)),
                                     std::move(wake_ups));
}

}  // namespace reprise::actors
