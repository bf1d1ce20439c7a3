// A worker process as its scheduler sees it: what it has in hand, what it says of that, and what it
// does when the scheduler is gone.
//
// What an attempt needs and this node lacks is pulled by digest before it starts. When the link is
// over, its scheduler has given the attempts up: they are stopped, and what they still give is
// nobody's. Only with empty hands does the node offer itself to the next one, so that the numbers
// of two schedulers never mix.
//
// Events go in, effects come out. Pure: no link, no disk, no clock, no threads. Not safe for
// concurrent use.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/digest.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "scheduler/events.hpp"

namespace reprise::cluster {

/// To be carried out in this order.
struct NodeEffects {
  bool hello = false;                          // to the scheduler: here I am
  bool draining = false;                       // to the scheduler: nothing new, I leave
  std::vector<scheduler::AttemptRef> refused;  // to the scheduler: not taken
  scheduler::Began began;                      // to the scheduler
  std::vector<scheduler::Report> reports;      // to the scheduler
  std::vector<Attempt> gathers;                // look again what is missing, then gathered()
  std::vector<Attempt> starts;                 // to the slots
  std::vector<scheduler::AttemptRef> stops;    // to the slots
  bool left = false;                           // nothing is in hand any more, after leave()
};

class Node {
 public:
  // ---- of the link
  void linked();
  /// What the scheduler does not know to have been said was not said.
  void unlinked(Time now);

  // ---- of the scheduler
  /// All attempts of this run, by the scheduler's number for it, share this.
  void run_began(std::uint32_t run, std::shared_ptr<const RunContext> context);
  void run_over(std::uint32_t run);
  /// nullptr: the scheduler did not tell of such a run.
  [[nodiscard]] std::shared_ptr<const RunContext> context_of(std::uint32_t run) const;
  /// New attempts: each is to be gathered() next, unless it is refused.
  void dispatched(std::vector<Attempt> attempts);
  void stop(const std::vector<scheduler::AttemptRef>& attempts, Time now);

  // ---- of this node
  /// @param missing  of what the attempt needs; empty: it can start
  void gathered(Attempt attempt, std::set<Digest> missing);
  /// Something that was missing came, or cannot be had.
  void arrived(const Digest& what, const Status& status, Time now);
  /// How attempts ended on the slots.
  void reported(std::vector<scheduler::Report> reports);
  void began(const scheduler::Began& news);
  /// Take nothing more, and leave once what is in hand is finished.
  void leave();

  [[nodiscard]] NodeEffects take_effects() { return std::exchange(effects_, {}); }
  [[nodiscard]] std::size_t in_hand() const { return gathering_.size() + running_.size(); }
  /// Folders of runs that somebody may still write to.
  [[nodiscard]] std::set<std::string> folders_in_use() const;
  void check_invariants() const;

 private:
  using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // run, task, number
  struct Gathering {
    Attempt attempt;
    std::set<Digest> missing;
  };

  [[nodiscard]] static Name name_of(const scheduler::AttemptRef& attempt);
  void settle();

  bool is_linked_ = false;
  bool has_joined_ = false;  // it said hello on this link
  bool is_leaving_ = false;
  bool said_draining_ = false;
  std::map<std::uint32_t, std::shared_ptr<const RunContext>> contexts_;
  std::map<Name, Gathering> gathering_;  // not on a slot yet
  std::set<Name> running_;               // given to the slots, not reported by them
  NodeEffects effects_;
};

}  // namespace reprise::cluster
