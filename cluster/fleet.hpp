// The workers of a scheduler: who is there, what each has in hand, and who went silent.
//
// The scheduler is told who is there and what each has to give, and says with each attempt who is
// to run it. The fleet sends nothing to whom it has not heard of for a while (suspect): what was
// meant for one that takes nothing any more goes back to the scheduler. It gives up on whom it has
// not heard of for long (lost): the attempts such a worker had are reported as lost with it, and
// whatever it says of them later is not listened to. So of one attempt exactly one end is reported,
// by whoever holds it.
//
// Events go in, effects come out. Pure: no links, no clock, no threads. Not safe for concurrent
// use.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

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
  std::vector<WorkerId> lost;       // to be told good-bye: it must not go on
  std::vector<WorkerId> drained;    // has nothing in hand and gets nothing any more
  scheduler::Began began;           // for the scheduler
  std::vector<EndedAttempt> ended;  // without anything to keep
  scheduler::Returned returned;     // for the scheduler
  std::optional<scheduler::WorkersChanged> workers;  // for the scheduler
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
    bool is_aside = false;  // a person said so
    Duration round_trip{0};
    bool told_drained = false;
    std::map<Name, Attempt> in_hand;
    std::uint32_t load = 0;  // slots that these take
  };

  [[nodiscard]] static Name name_of(const scheduler::AttemptRef& attempt);
  [[nodiscard]] static std::uint32_t width_of(const Attempt& attempt);
  [[nodiscard]] static bool takes_work(const Worker& worker);
  [[nodiscard]] std::optional<WorkerId> choose() const;
  [[nodiscard]] std::vector<scheduler::WorkerOffer> offers() const;
  void hand_out();
  std::optional<Attempt> let_go(Worker& worker, const Name& name);
  void give_up(WorkerId id, const std::string& why, Time now);
  void offer();
  void settle(WorkerId id, Worker& worker);

  FleetOptions options_;
  std::map<WorkerId, Worker> workers_;
  std::map<Name, WorkerId> holder_;
  std::deque<Attempt> waiting_;                  // for a worker that takes work
  std::vector<scheduler::WorkerOffer> offered_;  // as the scheduler was told
  std::map<WorkerId, std::vector<Attempt>> dispatches_;
  std::map<WorkerId, std::vector<scheduler::AttemptRef>> stops_;
  std::map<WorkerId, std::vector<scheduler::AttemptRef>> retracts_;
  FleetEffects effects_;
};

}  // namespace reprise::cluster
