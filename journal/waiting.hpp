// Why a task of a run does not run, from what the run's changes tell.
#pragma once

#include <optional>
#include <string>

#include "core/time.hpp"
#include "flow/waiting_reason.hpp"
#include "journal/run_view.hpp"

namespace reprise::journal {

struct Waiting {
  WaitingReason reason = WaitingReason::slots;
  std::string text;
  std::optional<Time> since;
  bool operator==(const Waiting&) const = default;
};

/// none: the task runs, or ended by itself. Of a task that is ready and of which nothing was
/// recorded the reason is that of another one that needs the same, else that it waits for a slot.
/// `text` is to be escaped by whoever shows it.
[[nodiscard]] std::optional<Waiting> why_waiting(const RunView& view, TaskId task);

}  // namespace reprise::journal
