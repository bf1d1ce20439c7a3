#include "actors/journal_actor.hpp"

#include <caf/all.hpp>

#include "actors/messages.hpp"

namespace reprise::actors {

namespace {

struct Flush {};  // to itself: write what has queued up

struct JournalState {
  static inline const char* name = "journal";
  std::unique_ptr<journal::Journal> journal;
  struct Pending {
    std::uint64_t ticket;
    caf::actor_addr from;
  };
  std::vector<Pending> pending;
  std::vector<journal::Batch> batches;
  std::vector<std::pair<RunId, journal::Summary>> summaries;
  bool flush_sent = false;
  std::optional<Error> failed;
};

}  // namespace

}  // namespace reprise::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::actors::Flush)

namespace reprise::actors {

namespace {

void flush(caf::stateful_actor<JournalState>* self) {
  JournalState& state = self->state;
  state.flush_sent = false;
  for (const auto& [run, summary] : state.summaries)
    if (const Status set = state.journal->set_summary(run, summary); !set && !state.failed)
      state.failed = set.error();
  // Without batches it is only asked whether this process still leads.
  if (!state.failed && !state.pending.empty())
    if (const auto written = state.journal->append(state.batches); !written)
      state.failed = written.error();
  state.summaries.clear();
  state.batches.clear();
  for (const JournalState::Pending& pending : state.pending) {
    if (const auto to = caf::actor_cast<caf::actor>(pending.from)) {
      Durable durable{pending.ticket, {}};
      if (state.failed) durable.status = tl::unexpected(*state.failed);
      self->send(to, std::move(durable));
    }
  }
  state.pending.clear();
}

caf::behavior journal_behavior(caf::stateful_actor<JournalState>* self,
                               std::shared_ptr<std::unique_ptr<journal::Journal>> journal) {
  self->state.journal = std::move(*journal);
  return {
      [self](Append& append) {
        JournalState& state = self->state;
        state.pending.push_back(
            {append.ticket, caf::actor_cast<caf::actor_addr>(self->current_sender())});
        std::move(append.summaries.begin(), append.summaries.end(),
                  std::back_inserter(state.summaries));
        std::move(append.batches.begin(), append.batches.end(), std::back_inserter(state.batches));
        // The flush waits behind all Appends that are already in the mailbox: that is the group.
        if (!state.flush_sent) {
          state.flush_sent = true;
          self->send(self, Flush{});
        }
      },
      [self](const Flush&) { flush(self); },
      [self](const WithJournal& task) {
        flush(self);  // what was appended before is seen by the task
        task.action(*self->state.journal);
      },
  };
}

}  // namespace

caf::actor spawn_journal_actor(caf::actor_system& system,
                               std::unique_ptr<journal::Journal> journal) {
  return system.spawn<caf::detached>(
      journal_behavior, std::make_shared<std::unique_ptr<journal::Journal>>(std::move(journal)));
}

}  // namespace reprise::actors
