#include "tests/sim/simulation.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "cache/memory_store.hpp"
#include "cache/redis_leases.hpp"
#include "cache/redis_store.hpp"
#include "tests/sim/checked_store.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/server.hpp"
#include "tests/sim/sim_redis.hpp"
#include "tests/sim/worker.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;

namespace {

// After everything is healed, so long at the most until all runs have ended; and then so long until
// nothing happens any more.
constexpr Duration convergence = 180s;
constexpr Duration settling = 30s;

class Simulation {
 public:
  Simulation(const Config& config, bool is_verbose);
  void run();
  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] std::uint64_t executions() const { return checker_.executions(); }

 private:
  void arrange(const Fault& fault);
  void strike(const Fault& fault);
  void heal();
  void check();
  void watch_the_past();
  void advance(Time until);
  void compete();
  template <class List>
  auto& one_of(List& list, const Fault& fault) {
    return *list[fault.who % list.size()];
  }
  NetNode& any_node(const Fault& fault) {
    const std::size_t who = fault.who % (workers_.size() + clients_.size());
    if (who < workers_.size()) return *workers_[who];
    return *clients_[who - workers_.size()];
  }

  const Config& config_;
  World world_;
  Net net_;
  Checker checker_;
  std::shared_ptr<SimRedis> redis_;  // none: results are kept in the folder of the server
  std::shared_ptr<CheckedStore> store_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Client>> clients_;
  bool is_healed_ = false;

  // What the cache said of a moment in the past.
  struct PastAnswer {
    Key key;
    Time moment;
    std::optional<Digest> value;
  };
  std::vector<PastAnswer> past_;

  // Another node that shares the cache.
  std::optional<std::pair<Checker::Wanted, cache::Lease>> rival_;
};

Simulation::Simulation(const Config& config, bool is_verbose)
    : config_(config),
      world_(config.seed ^ 0x73696d),
      net_(world_, config.net),
      checker_(world_, config.workload) {
  world_.is_verbose = is_verbose;
  if (config.has_redis) {
    redis_ = std::make_shared<SimRedis>(world_);
    cache::RedisStore::Options store;
    store.client = redis_;
    cache::RedisLeases::Options leases;
    leases.client = redis_;
    store_ = std::make_shared<CheckedStore>(std::make_shared<cache::RedisStore>(std::move(store)),
                                            std::make_shared<cache::RedisLeases>(std::move(leases)),
                                            checker_, config.bug);
  } else {
    auto memory = std::make_shared<cache::MemoryStore>();
    store_ = std::make_shared<CheckedStore>(memory, memory, checker_, config.bug);
  }
  server_ = std::make_unique<Server>(world_, net_, config_, checker_, Cache{store_, store_});
  for (std::size_t i = 0; i < config.worker_slots.size(); ++i)
    workers_.push_back(
        std::make_unique<Worker>(world_, net_, config_, checker_, fmt::format("worker-{}", i), i));
  for (std::size_t i = 0; i < config.clients; ++i)
    clients_.push_back(std::make_unique<Client>(world_, net_, config_, checker_, i));
}

void Simulation::advance(Time until) {
  while (world_.step(until))
    if (world_.events() % 64 == 0) check();
}

void Simulation::run() {
  server_->start();
  for (auto& worker : workers_)
    world_.after(world_.random.between(0ms, 500ms), [&worker] { worker->start(); });
  for (auto& client : clients_)
    world_.after(world_.random.between(0ms, 500ms), [&client] { client->start(); });
  for (const Fault& fault : config_.faults) arrange(fault);
  watch_the_past();
  compete();
  advance(World::beginning() + config_.length);

  heal();
  const auto is_done = [&] {
    return std::ranges::all_of(clients_, [](const auto& client) { return client->is_done(); });
  };
  const Time limit = world_.now() + convergence;
  while (!is_done() && world_.step(limit)) {
    if (world_.events() % 64 == 0) check();
    // A person starts a server again whose journal was lost, and processes that ended.
    if (server_->is_stuck()) server_->crash();
    if (!server_->is_alive()) server_->start();
  }
  std::string pending;
  for (const auto& client : clients_) pending += client->pending();
  checker_.require(is_done(), Invariant::liveness, "not ended:" + pending);
  advance(world_.now() + settling);
  check();
  checker_.quiet(server_->disk().journal());
  server_->check_quiet();
  for (const auto& worker : workers_) worker->check_quiet();
}

void Simulation::check() {
  checker_.require(world_.waiting() < 20'000, Invariant::bounded_memory, "events wait");
  server_->check();
  checker_.check_time([&](const std::string& name) {
    return std::ranges::any_of(workers_, [&](const auto& worker) {
      return worker->name() == name && worker->is_paused();
    });
  });
}

// What was asked of a past moment has the same answer later.
void Simulation::watch_the_past() {
  world_.after(1s, [this] {
    const auto ask = [&](const Key& key, Time moment) -> std::optional<Digest> {
      const auto answers = store_->look_up_as_of({&key, 1}, moment);
      if (!answers || !answers->front().record) return std::nullopt;
      return answers->front().record->value.digest;
    };
    if (!config_.has_redis) {  // a server that loses data loses its past, too
      for (const PastAnswer& each : past_)
        checker_.require(ask(each.key, each.moment) == each.value, Invariant::no_wrong_cache,
                         "the past has changed");
      if (!checker_.wanted().empty() && past_.size() < 40) {
        const Key key = world_.random.pick(checker_.wanted()).key;
        const Time moment = world_.now() - world_.random.between(1ms, 3s);
        past_.push_back({key, moment, ask(key, moment)});
      }
    }
    if (!is_healed_) watch_the_past();
  });
}

// Another node computes the same results now and then: it takes a lease, and publishes in time or
// too late. What comes too late, and is not held any more, would be wrong.
void Simulation::compete() {
  world_.after(world_.random.between(100ms, 4s), [this] {
    if (rival_) {
      auto& [wanted, lease] = *rival_;
      cache::Commit commit;
      commit.key = wanted.key;
      commit.name = wanted.name;
      commit.value = store_->is_held_by_another(wanted.key, lease)
                         ? *Payload::of(Value{"late and wrong"})
                         : wanted.value;
      commit.task = "rival";
      commit.lease = lease;
      static_cast<void>(store_->commit({&commit, 1}, world_.now()));
      rival_.reset();
    } else if (!checker_.wanted().empty() && !is_healed_) {
      const Checker::Wanted wanted = world_.random.pick(checker_.wanted());
      const cache::LeaseWish wish{wanted.key, true};
      const auto leased = store_->acquire({&wish, 1}, {"rival", 1s, world_.now()});
      if (leased && leased->front().kind == cache::LeaseAnswer::Kind::granted)
        rival_.emplace(wanted, leased->front().lease);
    }
    if (!is_healed_ || rival_) compete();
  });
}

// ---- faults

void Simulation::arrange(const Fault& fault) {
  world_.at(World::beginning() + fault.at, [this, fault] {
    if (is_healed_) return;
    world_.trace(name(fault.kind), fault.who);
    strike(fault);
  });
}

void Simulation::strike(const Fault& fault) {
  const auto again = [&](NetNode& node) { world_.after(fault.lasts, [&node] { node.start(); }); };
  switch (fault.kind) {
    case FaultKind::worker_crash: {
      Worker& worker = one_of(workers_, fault);
      worker.crash();
      return again(worker);
    }
    case FaultKind::worker_pause: {
      Worker& worker = one_of(workers_, fault);
      worker.pause();
      return world_.after(fault.lasts, [&worker] { worker.resume(); });
    }
    case FaultKind::worker_crash_at_boundary: {
      Worker& worker = one_of(workers_, fault);
      worker.crash_soon(1 + fault.who % 11);
      return again(worker);
    }
    case FaultKind::worker_leaves: {
      Worker& worker = one_of(workers_, fault);
      return world_.after(Duration{0}, worker, [&worker] { worker.leave(); });
    }
    case FaultKind::worker_clock:
      one_of(workers_, fault).clock_offset +=
          std::chrono::seconds{static_cast<std::int64_t>(fault.who % 7200)} - 1h;
      return;
    case FaultKind::server_crash:
      server_->crash();
      return again(*server_);
    case FaultKind::server_crash_at_boundary:
      server_->crash_soon(1 + fault.who % 41);
      return again(*server_);
    case FaultKind::server_pause:
      server_->pause();
      return world_.after(fault.lasts, [this] { server_->resume(); });
    case FaultKind::client_crash: {
      Client& client = one_of(clients_, fault);
      client.crash();
      return again(client);
    }
    case FaultKind::reset:
      return net_.reset(any_node(fault), *server_);
    case FaultKind::block_to:
    case FaultKind::block_from:
    case FaultKind::block_both: {
      NetNode& node = any_node(fault);
      if (fault.kind != FaultKind::block_from) net_.block(node, *server_);
      if (fault.kind != FaultKind::block_to) net_.block(*server_, node);
      return world_.after(fault.lasts, [this, &node] {
        net_.unblock(node, *server_);
        net_.unblock(*server_, node);
      });
    }
    case FaultKind::slow_network:
      net_.options().slow_percent = 20;
      return world_.after(fault.lasts,
                          [this] { net_.options().slow_percent = config_.net.slow_percent; });
    case FaultKind::disk_full:
      server_->disk().is_full = true;
      return world_.after(fault.lasts, [this] { server_->disk().is_full = false; });
    case FaultKind::disk_error:
      server_->disk().fails_once = true;
      return;
    case FaultKind::slow_disk:
      server_->disk().is_slow = true;
      return world_.after(fault.lasts, [this] { server_->disk().is_slow = false; });
    case FaultKind::redis_down:
      redis_->is_down = true;
      return world_.after(fault.lasts, [this] { redis_->is_down = false; });
    case FaultKind::redis_loses_replies:
      redis_->loses_replies = true;
      return world_.after(fault.lasts, [this] { redis_->loses_replies = false; });
    case FaultKind::redis_read_only:
      redis_->model().is_read_only = true;
      return world_.after(fault.lasts, [this] { redis_->model().is_read_only = false; });
    case FaultKind::redis_full:
      redis_->model().is_full = true;
      return world_.after(fault.lasts, [this] { redis_->model().is_full = false; });
    case FaultKind::redis_failover:
      // The replica hears nothing from now on, and then takes over.
      redis_->replicate();
      return world_.after(fault.lasts, [this] {
        redis_->model().fail_over();
        store_->forget();
      });
    case FaultKind::redis_wiped:
      redis_->model().wipe();
      return store_->forget();
    case FaultKind::redis_clock:
      // Far back, leases would last as long as the clock was wrong: work waits ten minutes then.
      redis_->clock_offset +=
          std::chrono::seconds{static_cast<std::int64_t>(fault.who % 3600)} - 30s;
      return;
  }
}

void Simulation::heal() {
  world_.trace("healed");
  is_healed_ = true;
  net_.options().slow_percent = 0;
  net_.heal();
  server_->disk().is_full = server_->disk().fails_once = server_->disk().is_slow = false;
  if (redis_) {
    redis_->is_down = redis_->loses_replies = false;
    redis_->model().is_full = redis_->model().is_read_only = false;
  }
  server_->crash_soon(0);
  server_->start();
  server_->resume();
  if (config_.one_stays_dead) workers_.back()->crash();
  for (auto& worker : workers_) {
    if (config_.one_stays_dead && worker == workers_.back()) continue;
    worker->crash_soon(0);
    // One that leaves waits for a server to ask for what it has, and the server for somebody who
    // takes work. There is nobody else, maybe: so it is ended, and another one comes.
    if (worker->is_leaving()) worker->crash();
    worker->start();
    worker->resume();
  }
  for (auto& client : clients_) client->start();
}

}  // namespace

Verdict simulate(const Config& config, bool is_verbose) {
  Simulation simulation(config, is_verbose);
  Verdict verdict;
  try {
    simulation.run();
  } catch (const Broken& broken) {
    verdict.broken = broken.invariant;
    verdict.what = broken.what();
  }
  World& world = simulation.world();
  verdict.trace_hash = world.trace_hash();
  verdict.events = world.events();
  verdict.simulated = world.now() - World::beginning();
  verdict.executions = simulation.executions();
  verdict.sites = world.sites;
  return verdict;
}

Config shrink(Config config, const Verdict& verdict) {
  for (std::size_t i = config.faults.size(); i-- > 0;) {
    Config fewer = config;
    fewer.faults.erase(fewer.faults.begin() + static_cast<std::ptrdiff_t>(i));
    if (simulate(fewer).broken == verdict.broken) config.faults = std::move(fewer.faults);
  }
  return config;
}

std::string report(const Config& config, const Verdict& verdict) {
  const Config fewer = shrink(config, verdict);
  return fmt::format(
      "seed {} breaks {}\n{} of {} faults are enough:\n{}again: build/bin/simulate {} --trace\n",
      config.seed, verdict.what, fewer.faults.size(), config.faults.size(), fewer.describe_faults(),
      config.seed);
}

}  // namespace reprise::sim
