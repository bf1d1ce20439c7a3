// Triggers: whether the upstreams' outcome lets a task run.
#pragma once

#include <cstdint>
#include <string>

namespace reprise {

/// `some_failed` and `some_successful` count with bounds; a bound below 1 is a fraction of all
/// upstreams, from 1 on it is a number; both inclusive; negative = not given.
struct Trigger {
  enum class Kind : std::uint8_t {
    all_successful,
    all_failed,
    any_successful,
    any_failed,
    all_finished,
    some_failed,
    some_successful,
    not_all_skipped,
    manual_only,
    resource_cleanup,
    custom,  // the user's predicate, registered under `function`
  };
  Kind kind = Kind::all_successful;
  double at_least = -1;
  double at_most = -1;
  std::string function;

  bool operator==(const Trigger&) const = default;
};

/// What a trigger decided.
enum class Verdict : std::uint8_t { run, trigger_failed, skip, pause };

/// Upstream outcomes as counted by the scheduler, mapped upstreams replaced by their elements.
struct UpstreamCounts {
  std::uint32_t total = 0;
  std::uint32_t successful = 0;  // skipped ones included
  std::uint32_t failed = 0;
  std::uint32_t skipped = 0;
  bool setup_missing = false;  // resource_cleanup only: init or setup failed or was skipped
};

/// The verdict of a stock trigger. `custom` is asked elsewhere. `resumed`: a person said go on.
[[nodiscard]] Verdict judge(const Trigger& trigger, const UpstreamCounts& upstream, bool resumed);

}  // namespace reprise
