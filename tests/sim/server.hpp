// A server: the deciders of one process, with what lies between them in the program (actors,
// mailboxes, a disk) played by the simulation. Each shell here does what its actor does, and where
// a mistake is planted, what it must not do.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/cache_service.hpp"
#include "actors/recorder.hpp"
#include "actors/result_keeper.hpp"
#include "cluster/fleet.hpp"
#include "cluster/wire.hpp"
#include "journal/memory_journal.hpp"
#include "scheduler/scheduler.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/config.hpp"
#include "tests/sim/disk.hpp"
#include "tests/sim/net.hpp"

namespace reprise::sim {

/// What a server keeps results in; stays when it dies.
struct Cache {
  std::shared_ptr<cache::Store> store;
  std::shared_ptr<cache::Leases> leases;
};

class Server final : public NetNode {
 public:
  Server(World& world, Net& net, const Config& config, Checker& checker, Cache cache);
  ~Server() override;

  void on_link(cluster::LinkEvent& event) override;
  [[nodiscard]] Disk& disk() { return disk_; }
  /// Its journal cannot be written: a person would start it again.
  [[nodiscard]] bool is_stuck() const;
  /// Nothing is under way.
  void check_quiet() const;
  void check() const;

 private:
  struct Life;
  struct WorkerLink {
    std::string name;
    bool joined = false;
    std::set<std::uint32_t> contexts;
    Time heard{};
    std::pair<std::uint64_t, Time> pinged;  // last number, and when
  };
  // What the scheduler gave away at a worker.
  struct Taken {
    scheduler::WorkerId worker = 0;
    Resources resources;
    bool is_adopted = false;
    bool is_kept = false;  // sent to one that takes no new work, and may have it
  };

  void on_start() override;
  void on_crash() override;
  [[nodiscard]] bool has(Bug bug) const { return config_.bug == bug; }

  // ---- engine and desk
  void resume_runs();
  void begin(const RunId& run, const Job& job, std::vector<journal::Batch> past);
  void desk(std::function<void()> work);
  void next_at_desk();
  void desk_link(cluster::LinkEvent& event);
  void desk_message(cluster::LinkNumber link, const cluster::Message& message);
  void submit(cluster::LinkNumber link, const cluster::wire::Submit& request);
  void steer(cluster::LinkNumber link, const cluster::wire::Steer& request);
  void watch(cluster::LinkNumber link, const cluster::wire::Watch& request);
  void tell_end(cluster::LinkNumber link, std::uint64_t request, const RunId& run);
  void answer(cluster::LinkNumber link, std::uint64_t request, Status status);
  void run_ended(const RunId& run);

  // ---- scheduler
  void handle(scheduler::Event event);
  void note(scheduler::Event& event);
  void rename(const scheduler::AttemptRef& from, std::uint32_t number);
  void forget(const scheduler::AttemptRef& attempt);
  [[nodiscard]] std::uint32_t queued_most(const scheduler::WorkerOffer& offer) const;
  void check_placement(const std::set<scheduler::WorkerId>& given) const;
  void perform(scheduler::Effects effects);
  void carry_out(actors::Recorder::Step step);
  void act(scheduler::Effects& effects);
  void wake_at(Time at);
  void durable(const actors::Durable& news);

  // ---- journal
  void append(actors::Append append);

  // ---- cache
  void look_up(std::vector<Attempt> attempts);
  void answer_scheduler(scheduler::LookedUp answers);
  std::vector<std::string> commit_all(std::vector<cache::Commit>& commits);
  void look_again(std::span<const Key> keys);
  void arrange_ticks();

  // ---- fleet
  void fleet_link(cluster::LinkEvent& event);
  void fleet_message(cluster::LinkNumber link, const cluster::Message& message);
  void fleet_perform();
  void dispatch_to(cluster::LinkNumber link, std::vector<Attempt> attempts);
  void conclude(std::vector<cluster::EndedAttempt> ended);
  void tell_scheduler(std::vector<scheduler::Report> reports);

  void check_stored(const journal::TaskChange& change) const;

  const Config& config_;
  Checker& checker_;
  Cache cache_;
  Disk disk_;
  ProcessClock clock_;
  std::unique_ptr<Life> life_;
};

}  // namespace reprise::sim
