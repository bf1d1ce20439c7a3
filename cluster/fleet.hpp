// The workers of a scheduler: who is there, what each has in hand, and who went silent.
//
// The scheduler is told who is there and what each has to give, and says with each attempt who is
// to run it. The fleet sends nothing to whom it has not heard of for a while (suspect): what was
// meant for one that takes nothing any more goes back to the scheduler. It gives up on whom it has
// not heard of for long (lost): the attempts such a worker had are reported as lost with it, and
// whatever it says of them later is not listened to. So of one attempt exactly one end is reported,
// by whoever holds it.
//
// A worker may outlive its server. What it still has from a server before (inventory.hpp) waits
// here until the scheduler, which makes its attempts anew from the journal, dispatches the same:
// then what the worker has takes that one's place, and nothing is run again. For a while after the
// start, attempts of runs that go on are held back, so that workers have the time to come.
//
// Events go in, effects come out. Pure: no links, no clock, no threads. Not safe for concurrent
// use.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/inventory.hpp"
#include "core/numbers_hash.hpp"
#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "scheduler/events.hpp"

namespace reprise::cluster {

/// A worker, for as long as its process and its link live: the number of the link.
using scheduler::WorkerId;

struct FleetOptions {
  Duration ping_every{std::chrono::seconds{1}};
  Duration suspect_after{std::chrono::seconds{3}};  // silent so long: gets no new work
  Duration lost_after{std::chrono::seconds{10}};    // silent so long: is given up
  // How long attempts of runs that go on wait, after the start, for a worker that has them.
  Duration reconcile_window{std::chrono::seconds{3}};
  std::uint64_t epoch = 0;  // of the server; 0: it has none, and adopts nothing
};

/// What a worker says of itself when it comes.
struct WorkerCard {
  std::string name;         // shown to people
  std::uint32_t slots = 1;  // attempts at once; 0 takes none
  Resources capacity{0, 0, {}};
  std::map<std::string, std::string> labels{};
  std::vector<std::string> functions{};  // "name@version" that it can run
  std::string enforcement{};             // how it holds tasks to what they declared
  std::string version{};                 // of its program
};

/// A worker as people are shown it.
struct WorkerView {
  enum class Health : std::uint8_t { alive, suspect, draining };
  WorkerId id = 0;
  WorkerCard card;
  Health health = Health::alive;
  std::size_t in_hand = 0;         // attempts
  std::uint32_t cpu_milli = 0;     // that these take
  std::uint64_t memory_bytes = 0;  // that these may take
  Time joined;
  Time heard;
};

/// An attempt that ended, and how.
struct EndedAttempt {
  Attempt attempt;
  Outcome outcome;
};

/// To be carried out in this order.
struct FleetEffects {
  std::vector<std::pair<WorkerId, std::vector<Attempt>>> dispatches;
  std::vector<std::pair<WorkerId, std::vector<scheduler::AttemptRef>>> stops;
  std::vector<std::pair<WorkerId, std::vector<scheduler::AttemptRef>>> retracts;
  std::vector<WorkerId> pings;
  std::vector<WorkerId> lost;     // to be told good-bye: it must not go on
  std::vector<WorkerId> drained;  // has nothing in hand and gets nothing any more
  // Reports that are on disk, or of no interest: the worker may forget them.
  std::vector<std::pair<WorkerId, std::vector<scheduler::AttemptRef>>> acknowledged;
  std::optional<scheduler::WorkersChanged> workers;  // for the scheduler
  scheduler::Adopted adopted;                        // for the scheduler
  scheduler::Began began;                            // for the scheduler
  std::vector<EndedAttempt> ended;                   // without anything to keep
  scheduler::Returned returned;                      // for the scheduler
};

class Fleet {
 public:
  explicit Fleet(FleetOptions options = {}) : options_(options) {}

  // ---- of workers; about unknown ones nothing happens
  /// @param inventory  what it has from a server before; ends among it are reported() next
  void joined(WorkerId worker, WorkerCard card, Time now,
              std::vector<InventoryItem> inventory = {});
  /// Its link is over: what it had in hand is lost.
  void left(WorkerId worker, const std::string& why, Time now);
  /// It said something.
  void heard(WorkerId worker, Time now);
  /// Its connection broke, or is there again. What it has in hand waits; it gets nothing new.
  void connected(WorkerId worker, bool is_connected);
  /// @return what the reports that count are about, to be told after the effects so far; the others
  /// are about attempts that it does not hold
  std::vector<EndedAttempt> reported(WorkerId worker, std::vector<scheduler::Report> reports,
                                     Time now);
  void began(WorkerId worker, const scheduler::Began& began);
  /// It does not take these, or gives them back; somebody else gets them.
  /// @param reason  of a rejection; empty: it was asked for them
  void refused(WorkerId worker, const std::vector<scheduler::AttemptRef>& attempts,
               const std::string& reason = {});
  /// It finishes what it has in hand and gets nothing new; or gets work again.
  void drain(WorkerId worker, bool draining);
  /// How long it takes to it and back.
  void measured(WorkerId worker, Duration round_trip);

  // ---- of people
  /// It gets nothing new until it is told otherwise, and stays. @return the worker of that name
  std::optional<WorkerId> set_aside(std::string_view name, bool is_aside);

  // ---- of the scheduler
  void dispatch(std::vector<Attempt> attempts);
  void stop(const std::vector<scheduler::AttemptRef>& attempts, Time now);
  /// Those of them that did not begin are wanted back.
  void retract(const std::vector<scheduler::AttemptRef>& attempts);
  /// What was reported of these attempts is on disk.
  void recorded(const std::vector<scheduler::AttemptRef>& attempts);

  // ---- of the server
  /// A server before may have left attempts at workers: from here on they are expected for a while.
  /// @param from  names of its last workers: no longer than until all of them have come
  void expect_inventories(Time now, std::optional<std::set<std::string>> from = {});
  /// The runs that go on. Before this is told, no worker is asked to give up what it has.
  void runs_go_on(std::set<RunId> runs);
  void run_over(const RunId& run);

  /// Time passed; to be called every `ping_every`.
  void tick(Time now);

  [[nodiscard]] FleetEffects take_effects();
  [[nodiscard]] std::vector<WorkerView> workers() const;
  /// Names of the workers, and of those that are still expected.
  [[nodiscard]] std::set<std::string> members() const;
  [[nodiscard]] std::size_t waiting() const { return waiting_.size() + held_.size(); }
  void check_invariants() const;

 private:
  using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // run, task, number
  using Foreign =
      std::tuple<std::uint64_t, std::uint32_t, std::uint32_t, std::uint32_t>;  // epoch …
  // Something of a server before that nobody here dispatched so far.
  struct Orphan {
    InventoryItem item;
    std::optional<Time> began;
    std::optional<Outcome> outcome;
  };
  struct Worker {
    WorkerCard card;
    Time joined;
    Time heard;
    bool is_suspect = false;
    bool is_cut = false;
    bool is_draining = false;
    bool is_aside = false;  // a person said so
    Duration round_trip{0};
    bool told_drained = false;
    std::map<Name, Attempt> in_hand;
    std::uint32_t load = 0;  // slots that these take
    std::map<Foreign, Orphan> orphans;
    std::map<Foreign, Name> adopted;  // of what is in hand, or not acknowledged
  };

  [[nodiscard]] static Name name_of(const scheduler::AttemptRef& attempt);
  [[nodiscard]] static std::uint32_t width_of(const Attempt& attempt);
  [[nodiscard]] static bool takes_work(const Worker& worker);
  [[nodiscard]] static Foreign foreign(const scheduler::AttemptRef& attempt);
  [[nodiscard]] bool is_foreign(const scheduler::AttemptRef& attempt) const;
  [[nodiscard]] static std::uint32_t load_of(const Worker& worker);
  [[nodiscard]] scheduler::AttemptRef as_known_to(const Worker& worker, const Name& name) const;
  [[nodiscard]] bool others_have(const InventoryItem& item) const;
  [[nodiscard]] bool adopt(Attempt& attempt);
  void take_over(WorkerId id, Worker& worker, const Foreign& name, Attempt attempt);
  void drop_orphans(const std::function<bool(const InventoryItem&)>& is_meant);
  void dismiss(WorkerId worker, const Orphan& orphan);
  void acknowledge(WorkerId worker, const scheduler::AttemptRef& attempt);
  void release_held();
  [[nodiscard]] std::optional<WorkerId> choose() const;
  [[nodiscard]] static scheduler::WorkerOffer offer_of(WorkerId id, const Worker& worker);
  void hand_out();
  std::optional<Attempt> let_go(Worker& worker, const Name& name);
  void give_up(WorkerId id, const std::string& why, Time now);
  // Tells the scheduler what has changed of this.
  void offer(WorkerId id, const Worker& worker);
  void offer_all();
  void settle(WorkerId id, Worker& worker);

  FleetOptions options_;
  std::map<WorkerId, Worker> workers_;
  std::unordered_map<Name, WorkerId, NumbersHash> holder_;
  std::deque<Attempt> waiting_;  // for a worker that takes work
  std::deque<Attempt> held_;     // for a worker that may have them
  std::optional<Time> holds_until_;
  std::optional<std::set<std::string>> expected_;  // names of workers that have not come back
  std::optional<std::set<RunId>> going_on_;
  bool has_orphans_ = false;  // some worker may have some: no other attempt looks for one
  // Reported by this worker, not recorded yet; with an epoch.
  std::unordered_map<Name, WorkerId, NumbersHash> unrecorded_;
  std::map<WorkerId, scheduler::WorkerOffer> offered_;  // as the scheduler was told
  std::map<WorkerId, std::vector<Attempt>> dispatches_;
  std::map<WorkerId, std::vector<scheduler::AttemptRef>> stops_;
  std::map<WorkerId, std::vector<scheduler::AttemptRef>> retracts_;
  std::map<WorkerId, std::vector<scheduler::AttemptRef>> acknowledged_;
  FleetEffects effects_;
};

}  // namespace reprise::cluster
