// Why a task that is not finished does not run. A closed set: users' programs know it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reprise {

enum class WaitingReason : std::uint8_t {
  upstream,            // what it needs is not finished
  slots,               // all slots, or processors, are taken
  resources,           // some other resource is taken, or nowhere
  no_worker_for_task,  // no worker that is there has its function, or its labels
  retry_backoff,       // it failed, and is tried again later
  paused,              // a person, or a time, lets it go on
  concurrency_limit,   // as many as its limit allows are under way
  when_false,          // it is skipped
  cache,               // another run computes the same
};

[[nodiscard]] std::string_view name(WaitingReason reason);

/// The message of a change that tells of one: "resources: it needs gpus: 2 …".
[[nodiscard]] std::string waiting_message(WaitingReason reason, std::string_view text);
/// What such a message tells; none: it is another message. `text` becomes what follows.
[[nodiscard]] std::optional<WaitingReason> waiting_reason_in(std::string_view message,
                                                             std::string_view& text);

}  // namespace reprise
