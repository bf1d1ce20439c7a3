// A worker process as its scheduler sees it: what it has in hand, what it says of that, and what it
// does when the scheduler is gone.
//
// What an attempt needs and this node lacks is pulled by digest before it starts. An attempt that
// runs outlives its server: while there is no link it goes on, and to the next server the node
// presents what it runs, with what ended and was not acknowledged (inventory.hpp). That server
// takes it over, or stops it. A node that hears nothing for long starts nothing new, because its
// server may have given it up, and after `orphan_after` ends everything by itself, so that nothing
// runs for ever for nobody.
//
// Servers are told apart by their epochs (journal/journal.hpp): one with a lower epoch than was
// served before is a leader that was superseded and does not know it; it is refused. A server that
// speaks an older version has no epochs: then what runs is stopped when its link is over, and only
// empty hands are offered to the next.
//
// On its slots an attempt has a number of its run that is this node's own, as the numbers of two
// servers may be the same.
//
// Events go in, effects come out. Pure: no link, no disk, no clock, no threads. Not safe for
// concurrent use.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/inventory.hpp"
#include "core/digest.hpp"
#include "core/numbers_hash.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "journal/journal.hpp"
#include "scheduler/events.hpp"

namespace reprise::cluster {

struct NodeOptions {
  // Without a word of the scheduler for so long, everything is ended.
  Duration orphan_after{std::chrono::seconds{60}};
  // Until a server says when it gives a worker up: silent so long, nothing new is started.
  Duration lost_after{std::chrono::seconds{10}};
  // Ends that are kept until they are acknowledged. More: the oldest are forgotten, and what they
  // are about is run again if their server is lost, too.
  std::size_t ends_kept = 4096;
  // Of memory and countable things no more than this is taken at once, whatever the scheduler
  // thinks; none: the scheduler knows.
  std::optional<Resources> capacity{};
};

/// The first thing to say on a link.
struct NodeHello {
  std::uint64_t epoch = 0;  // the highest that was served
  std::vector<InventoryItem> inventory;
};

/// To be carried out in this order.
struct NodeEffects {
  std::optional<NodeHello> hello;              // to the scheduler: here I am
  bool draining = false;                       // to the scheduler: nothing new, I leave
  std::vector<scheduler::AttemptRef> refused;  // to the scheduler: not taken
  std::vector<std::pair<scheduler::AttemptRef, std::string>> rejected;  // the same, and why
  std::vector<scheduler::AttemptRef> retracted;  // to the scheduler: given back, it had asked
  scheduler::Began began;                        // to the scheduler
  std::vector<scheduler::Report> reports;        // to the scheduler
  std::vector<Attempt> gathers;                  // look again what is missing, then gathered()
  std::vector<Attempt> starts;                   // to the slots
  std::vector<scheduler::AttemptRef> stops;      // to the slots
  std::vector<scheduler::AttemptRef> retracts;   // to the slots: wanted back, then retracted()
  bool withdraw = false;                         // to the slots: give back what has not started
  std::size_t abandoned = 0;                     // of the stops: so many for want of a scheduler
  bool left = false;                             // nothing is in hand any more, after leave()
};

class Node {
 public:
  explicit Node(NodeOptions options = {}) : options_(std::move(options)) {}

  // ---- of the link
  /// @param has_epochs  the scheduler will say welcome; otherwise it speaks an older version
  void linked(bool has_epochs, Time now);
  /// @error denied: this server was superseded, or there are two in one epoch; the link has to end
  [[nodiscard]] Status welcomed(const journal::Epoch& epoch, Duration lost_after, Time now);
  /// What the scheduler does not know to have been said was not said.
  void unlinked(Time now);
  /// The scheduler said something.
  void heard(Time now);

  // ---- of the scheduler
  /// All attempts of this run, by the scheduler's number for it, share this.
  void run_began(std::uint32_t run, std::shared_ptr<const RunContext> context);
  void run_over(std::uint32_t run);
  /// nullptr: the scheduler did not tell of such a run.
  [[nodiscard]] std::shared_ptr<const RunContext> context_of(std::uint32_t run) const;
  /// New attempts: each is to be gathered() next, unless it is refused.
  /// @error denied: of another epoch than the link is
  [[nodiscard]] Status dispatched(std::uint64_t epoch, std::vector<Attempt> attempts);
  /// @error denied: as above
  [[nodiscard]] Status stop(std::uint64_t epoch, const std::vector<scheduler::AttemptRef>& attempts,
                            Time now);
  /// Those of them that did not begin are wanted back. @error denied: as above
  [[nodiscard]] Status retract(std::uint64_t epoch,
                               const std::vector<scheduler::AttemptRef>& attempts);
  /// The reports of these are on disk, or of no interest.
  void acknowledged(const std::vector<scheduler::AttemptRef>& attempts);

  // ---- of this node
  /// @param missing  of what the attempt needs; empty: it can start
  void gathered(Attempt attempt, std::set<Digest> missing);
  /// Something that was missing came, or cannot be had.
  void arrived(const Digest& what, const Status& status, Time now);
  /// How attempts ended on the slots.
  void reported(std::vector<scheduler::Report> reports);
  void began(const scheduler::Began& news);
  /// These did not begin, and will not.
  void retracted(const std::vector<scheduler::AttemptRef>& attempts);
  /// Take nothing more, and leave once what is in hand is finished.
  void leave();

  /// Time passed; to be called several times within each of the times in the options.
  void tick(Time now);

  [[nodiscard]] NodeEffects take_effects() { return std::exchange(effects_, {}); }
  [[nodiscard]] std::size_t in_hand() const { return gathering_.size() + running_.size(); }
  /// Ends that are kept until they are acknowledged.
  [[nodiscard]] std::size_t unacknowledged() const { return ends_.size(); }
  /// Folders of runs that somebody may still write to.
  [[nodiscard]] std::set<std::string> folders_in_use() const;
  void check_invariants() const;

 private:
  // On the slots: this node's number of the run, task, number.
  using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;
  struct RunHere {
    std::uint64_t epoch = 0;   // of the server that told of it
    std::uint32_t number = 0;  // its number there
    std::shared_ptr<const RunContext> context;
    bool is_over = false;  // goes once nothing of it is in hand
  };
  struct Gathering {
    Attempt attempt;
    std::set<Digest> missing;
    Resources own;  // that it takes besides slots and processors
  };
  struct Running {
    InventoryItem item;
    Resources own;
    std::optional<Time> began;
    bool outlives = false;    // its server
    bool is_nobodys = false;  // its scheduler is another one now: its end is no news
    bool is_orphan = false;   // was ended for want of a scheduler, which may not be gone after all
    bool is_stopping = false;
  };
  // As servers name it: epoch, run, task, number.
  using Foreign = std::tuple<std::uint64_t, std::uint32_t, std::uint32_t, std::uint32_t>;
  struct End {
    InventoryItem item;
    Outcome outcome;
    std::uint64_t order = 0;
  };

  [[nodiscard]] std::optional<Name> name_of(const scheduler::AttemptRef& attempt) const;
  [[nodiscard]] Foreign foreign(const scheduler::AttemptRef& attempt) const;
  [[nodiscard]] static Name name_on_slots(const scheduler::AttemptRef& attempt);
  [[nodiscard]] static scheduler::AttemptRef ref_on_slots(const Name& name);
  [[nodiscard]] scheduler::AttemptRef with_epoch(const Name& name) const;
  [[nodiscard]] scheduler::AttemptRef to_scheduler(scheduler::AttemptRef attempt) const;
  [[nodiscard]] Status check_epoch(std::uint64_t epoch) const;
  void say_hello();
  void abandon(const Name& name, Running& running);
  void abandon_all();
  void give_back(const Name& name);
  void ended(const Running& running, Outcome outcome);
  void forget_scheduler();
  void forget_end(const Foreign& name);
  void forget_runs();
  void settle();
  [[nodiscard]] std::optional<std::string> lacks_room_for(const Resources& own) const;

  NodeOptions options_;
  bool is_linked_ = false;
  bool has_epochs_ = false;  // this scheduler
  bool has_joined_ = false;  // it said hello on this link
  bool is_leaving_ = false;
  bool said_draining_ = false;
  bool is_cut_off_ = false;   // not heard for so long that nothing new is started
  bool is_orphaned_ = false;  // … that everything was ended
  journal::Epoch epoch_;      // of the server that is served, or was last
  std::optional<Time> heard_;
  std::uint32_t last_run_ = 0;
  std::map<std::uint32_t, RunHere> runs_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint32_t> run_numbers_;  // to those here
  std::map<Name, Gathering> gathering_;  // not on a slot yet
  std::map<Name, Running> running_;      // given to the slots, not reported by them
  std::unordered_map<Foreign, End, NumbersHash> ends_;
  std::map<std::uint64_t, Foreign> end_order_;  // as they ended
  std::uint64_t last_end_ = 0;
  NodeEffects effects_;
};

}  // namespace reprise::cluster
