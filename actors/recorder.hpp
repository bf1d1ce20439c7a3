// Record, tell, then act: what a scheduler's effects have to wait for until the journal has the
// changes that they rest on (scheduler/events.hpp, Effects). Pure.
//
// Changes go to the journal in groups, in order. With Durability::group what is only seen by this
// cluster does not wait for the disk, since nothing that is lost with a crash can be followed by
// something that is not; what people are told does. With Durability::sync everything waits.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "actors/engine.hpp"
#include "actors/messages.hpp"
#include "scheduler/events.hpp"

namespace reprise::actors {

class Recorder {
 public:
  /// A group of changes is written when it is this large or this old, and at once when somebody
  /// waits for it. Each one costs a sync of the disk; what a crash takes with a younger one is done
  /// again, as what was running is.
  static constexpr std::size_t group_changes = 512;
  static constexpr std::chrono::milliseconds group_age{20};

  /// @param leads  of a server: another one may take over, and workers are told what is recorded
  Recorder(Durability durability, bool has_journal, bool leads = false)
      : durability_(durability), has_journal_(has_journal), leads_(leads) {}

  /// What may happen now, to be carried out in this order.
  struct Step {
    std::vector<scheduler::Effects> act;          // their look-ups, keeps, dispatches and stops
    std::vector<scheduler::Ended> ended;          // to be told
    std::vector<Append> appends;                  // to the journal, which answers each with Durable
    std::vector<scheduler::AttemptRef> recorded;  // reports that are on disk: for the worker
    bool wants_write_out = false;                 // write_out() is to be called after `group_age`
  };
  /// How the run with this number stands, for a run that ended; with its id.
  using SummaryOf =
      std::function<std::pair<RunId, journal::Summary>(const scheduler::RunIndex& run)>;

  [[nodiscard]] Step perform(scheduler::Effects effects, const SummaryOf& summary_of);
  /// Changes that wait for company go to the journal now.
  [[nodiscard]] Step write_out();
  /// How these attempts ended was just performed: it is durable with what followed from it.
  [[nodiscard]] Step reported(std::vector<scheduler::AttemptRef> attempts);
  /// Where nothing is written for a while, an empty append asks whether this server still leads.
  [[nodiscard]] Step ask_lead();
  [[nodiscard]] Step durable(const Durable& news);

  /// Everything performed and written out so far is on disk, or never will be.
  [[nodiscard]] bool is_settled() const {
    return !has_journal_ || is_lost() || durable_ticket_ >= last_ticket_;
  }
  /// Of what was written out last; it is settled once `durable_ticket()` is as much.
  [[nodiscard]] std::uint64_t last_ticket() const { return last_ticket_; }
  [[nodiscard]] std::uint64_t durable_ticket() const { return durable_ticket_; }
  /// The journal cannot be written any more; nothing waits for it from then on.
  [[nodiscard]] bool is_lost() const { return !trouble_.has_value(); }
  /// Another server leads: nothing is done any more.
  [[nodiscard]] bool is_superseded() const {
    return leads_ && is_lost() && trouble_.error().code == ErrorCode::denied;
  }
  /// Why what is settled may be on no disk; good: it is.
  [[nodiscard]] const Status& trouble() const { return trouble_; }

 private:
  struct Waiting {
    std::uint64_t ticket = 0;
    scheduler::Effects effects;  // what may happen once the ticket is durable
  };
  void write_out(Step& step);
  void release(scheduler::Effects effects, Step& step) const;

  Durability durability_;
  bool has_journal_;
  bool leads_;
  Append group_;
  std::size_t group_size_ = 0;
  bool write_out_wanted_ = false;
  std::deque<Waiting> waiting_;
  // Reports that are durable with this ticket, at the latest.
  std::deque<std::pair<std::uint64_t, std::vector<scheduler::AttemptRef>>> unrecorded_;
  std::uint64_t last_ticket_ = 0;     // of the last Append
  std::uint64_t durable_ticket_ = 0;  // everything up to here is on disk
  Status trouble_;
};

}  // namespace reprise::actors
