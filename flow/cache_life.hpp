// How long results are of use: what a policy says about a result's life, and failures that are
// remembered like results. Pure.
#pragma once

#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/ulid.hpp"
#include "flow/attempt.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {

/// The policy declares this failure to be one that the same inputs would give again. Exit codes
/// from 128 on, which shells give for a command that a signal ended (also for lack of memory), only
/// count when they are named.
[[nodiscard]] bool is_remembered(const CachePolicy& policy, const Outcome& outcome);

/// What is kept of a failure, in place of a value.
struct KeptFailure {
  TaskState state = TaskState::failed;
  FailureClass failure = FailureClass::task;  // or validation
  std::string message;
  std::int32_t exit_code = 0;
  Payload result;  // what the tasks below see; none = the usual record of a failure

  /// A map {"state", "failure", "message", "exit_code", "result"}.
  [[nodiscard]] Payload encode() const;
  /// @error corrupt: `payload` is no such map, or not at hand
  [[nodiscard]] static Result<KeptFailure> decode(const Payload& payload);

  bool operator==(const KeptFailure&) const = default;
};

/// How long a result with this key that is made by this run stays fresh; none = for ever. With
/// jitter, results made at the same time end at different times; the same key and run always give
/// the same.
[[nodiscard]] std::optional<Duration> lifetime(const CachePolicy& policy, const Key& key,
                                               const RunId& run);

}  // namespace reprise
