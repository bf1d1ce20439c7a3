// Owns the journal on a thread of its own and groups what arrives: everything that queued up while
// the last transaction was being synced becomes the next one.
#pragma once

#include <memory>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include "journal/journal.hpp"

namespace reprise::actors {

/// Answers every Append with a Durable to its sender, in order. After the first failure every
/// Append is refused with the same error: a journal with a hole would be worse than a short one.
[[nodiscard]] caf::actor spawn_journal_actor(caf::actor_system& system,
                                             std::unique_ptr<journal::Journal> journal);

}  // namespace reprise::actors
