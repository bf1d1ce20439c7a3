// The workers of a scheduler: who is there, what each has in hand, and who went silent.
//
// To the scheduler a fleet is one worker with the slots of all: it is sent attempts and reports how
// they ended. The fleet chooses who runs what, sends nothing to whom it has not heard of for a
// while (suspect), and gives up on whom it has not heard of for long (lost): the attempts such a
// worker had are reported as lost with it, and whatever it says of them later is not listened to.
// So of one attempt exactly one end is reported, by whoever holds it.
//
// Events go in, effects come out. Pure: no links, no clock, no threads. Not safe for concurrent
// use.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "scheduler/events.hpp"

namespace reprise::cluster {

/// A worker, for as long as its process and its link live: the number of the link.
using WorkerId = std::uint64_t;

struct FleetOptions {
  Duration ping_every{std::chrono::seconds{1}};
  Duration suspect_after{std::chrono::seconds{3}};  // silent so long: gets no new work
  Duration lost_after{std::chrono::seconds{10}};    // silent so long: is given up
};

/// What a worker says of itself when it comes.
struct WorkerCard {
  std::string name;           // shown to people
  std::uint32_t slots = 1;    // attempts at once; 0 takes none
  std::string enforcement{};  // how it holds tasks to what they declare; empty: not known
  // "name@version" of those that it can run; null: any.
  std::shared_ptr<const std::set<std::string, std::less<>>> functions{};
};

/// A worker as people are shown it.
struct WorkerView {
  enum class Health : std::uint8_t { alive, suspect, draining };
  WorkerId id = 0;
  WorkerCard card;
  Health health = Health::alive;
  std::size_t in_hand = 0;  // attempts
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
  std::vector<WorkerId> pings;
  std::vector<WorkerId> lost;          // to be told good-bye: it must not go on
  std::vector<WorkerId> drained;       // has nothing in hand and gets nothing any more
  scheduler::Began began;              // for the scheduler
  std::vector<EndedAttempt> ended;     // without anything to keep
  std::optional<std::uint32_t> slots;  // changed: of all together, for the scheduler
};

class Fleet {
 public:
  explicit Fleet(FleetOptions options = {}) : options_(options) {}

  // ---- of workers; about unknown ones nothing happens
  void joined(WorkerId worker, WorkerCard card, Time now);
  /// Its link is over: what it had in hand is lost.
  void left(WorkerId worker, const std::string& why, Time now);
  /// It said something.
  void heard(WorkerId worker, Time now);
  /// Its connection broke, or is there again. What it has in hand waits; it gets nothing new.
  void connected(WorkerId worker, bool is_connected);
  /// @return what the reports that count are about; the others are about attempts that it does not
  /// hold
  std::vector<EndedAttempt> reported(WorkerId worker, std::vector<scheduler::Report> reports,
                                     Time now);
  void began(WorkerId worker, const scheduler::Began& began);
  /// It does not take these; somebody else gets them.
  void refused(WorkerId worker, const std::vector<scheduler::AttemptRef>& attempts);
  /// It finishes what it has in hand and gets nothing new; or gets work again.
  void drain(WorkerId worker, bool draining);

  // ---- of the scheduler
  void dispatch(std::vector<Attempt> attempts);
  void stop(const std::vector<scheduler::AttemptRef>& attempts, Time now);

  /// Time passed; to be called every `ping_every`.
  void tick(Time now);

  [[nodiscard]] FleetEffects take_effects();
  [[nodiscard]] std::vector<WorkerView> workers() const;
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  void check_invariants() const;

 private:
  using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // run, task, number
  struct Worker {
    WorkerCard card;
    Time joined;
    Time heard;
    bool is_suspect = false;
    bool is_cut = false;
    bool is_draining = false;
    bool told_drained = false;
    std::map<Name, Attempt> in_hand;
    std::uint32_t load = 0;  // slots that these take
  };

  [[nodiscard]] static Name name_of(const scheduler::AttemptRef& attempt);
  [[nodiscard]] static std::uint32_t width_of(const Attempt& attempt);
  [[nodiscard]] static bool takes_work(const Worker& worker);
  [[nodiscard]] static bool can_run(const Worker& worker, const Attempt& attempt);
  [[nodiscard]] std::optional<WorkerId> choose(const Attempt& attempt) const;
  void hand_out();
  std::optional<Attempt> let_go(Worker& worker, const Name& name);
  void give_up(WorkerId id, const std::string& why, Time now);
  void count_slots();
  void settle(WorkerId id, Worker& worker);

  FleetOptions options_;
  std::map<WorkerId, Worker> workers_;
  std::map<Name, WorkerId> holder_;
  std::deque<Attempt> waiting_;  // for a worker that takes work
  std::uint32_t slots_ = 0;      // as the scheduler was told
  std::map<WorkerId, std::vector<Attempt>> dispatches_;
  std::map<WorkerId, std::vector<scheduler::AttemptRef>> stops_;
  FleetEffects effects_;
};

}  // namespace reprise::cluster
