// What a server has in memory: gone when its process is.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tests/sim/server.hpp"

namespace reprise::sim {

using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // run, task, number

inline Name name_of(const scheduler::AttemptRef& attempt) {
  return {attempt.run.value, attempt.task.value, attempt.number};
}

struct Server::Life {
  explicit Life(Server& server);

  // scheduler
  scheduler::Scheduler core{{}, {}};
  actors::Recorder recorder;
  struct Question {
    std::uint64_t ticket = 0;
    std::function<void(const Status&)> answer;
  };
  std::deque<Question> questions;
  std::optional<Time> wake;
  std::uint64_t wake_generation = 0;
  std::map<scheduler::WorkerId, scheduler::WorkerOffer> offers;  // as it was told
  std::map<Name, Taken> taken;  // by what is dispatched, and neither reported nor returned
  std::map<Name, std::uint32_t> real_number;  // planted: of attempts whose number was changed
  Payload other_value;                        // planted: of the report before
  std::map<RunId, RunState> ended_as;         // planted: told before it is on disk
  std::map<Name, Attempt> sent;               // planted: late reports need what they are about
  // journal
  bool journal_failed = false;
  Time journal_free{};
  // cache
  actors::CacheService service;
  std::map<Name, Attempt> asked;  // about, and not answered
  bool polls = false, renews = false;
  // fleet
  journal::Epoch epoch;
  cluster::Fleet fleet;
  std::map<cluster::LinkNumber, WorkerLink> links;
  actors::ResultKeeper keeper;
  std::uint64_t pings = 0;
  std::set<cluster::LinkNumber> worker_links;  // of the hub
  // engine
  std::uint32_t next_index = 0;
  std::map<RunId, scheduler::RunIndex> index_of;
  std::map<scheduler::RunIndex, RunId> run_of;
  // desk
  std::deque<std::function<void()>> desk_work;
  bool desk_is_busy = false;
  std::map<std::string, RunId> by_key;
  std::set<RunId> alive;
  std::set<cluster::LinkNumber> clients;
  struct Watcher {
    cluster::LinkNumber link = 0;
    std::uint64_t request = 0;
  };
  std::map<RunId, std::vector<Watcher>> watchers;

  Channel scheduler_to_cache, scheduler_to_fleet, scheduler_to_journal, cache_to_scheduler,
      cache_to_fleet, fleet_to_scheduler, fleet_to_cache, journal_to_scheduler, desk_to_scheduler,
      desk_to_fleet, engine_to_desk, hub_to_desk, hub_to_fleet;
};

}  // namespace reprise::sim
