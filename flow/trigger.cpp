#include "flow/trigger.hpp"

namespace reprise {
namespace {

/// A bound below 1 is a fraction of all upstreams, without rounding: half of three is 1.5.
double as_count(double bound, std::uint32_t total) {
  return bound < 1 ? bound * total : bound;
}

bool is_within(const Trigger& trigger, std::uint32_t count, std::uint32_t total) {
  bool enough = trigger.at_least < 0 || count >= as_count(trigger.at_least, total);
  bool few_enough = trigger.at_most < 0 || count <= as_count(trigger.at_most, total);
  return enough && few_enough;
}

Verdict run_if(bool passes) {
  return passes ? Verdict::run : Verdict::trigger_failed;
}

}  // namespace

Verdict judge(const Trigger& trigger, const UpstreamCounts& upstream, bool resumed) {
  using Kind = Trigger::Kind;
  // Without upstreams there is nothing to object to, whatever the bounds. Two triggers think
  // otherwise, below.
  const bool alone = upstream.total == 0;
  switch (trigger.kind) {
    case Kind::all_successful:
      return run_if(upstream.successful == upstream.total);
    case Kind::all_failed:
      return run_if(upstream.failed == upstream.total);
    case Kind::any_successful:
      return run_if(alone || upstream.successful > 0);
    case Kind::any_failed:
      return run_if(alone || upstream.failed > 0);
    case Kind::all_finished:
      return Verdict::run;  // nobody is asked before all are
    case Kind::some_failed:
      return run_if(alone || is_within(trigger, upstream.failed, upstream.total));
    case Kind::some_successful:
      return run_if(alone || is_within(trigger, upstream.successful, upstream.total));
    case Kind::not_all_skipped:
      if (upstream.skipped == upstream.total) return Verdict::skip;  // also all of none
      return run_if(upstream.successful == upstream.total);
    case Kind::manual_only:
      return resumed ? Verdict::run : Verdict::pause;
    case Kind::resource_cleanup:
      return upstream.setup_missing ? Verdict::skip : Verdict::run;
    case Kind::custom:
      return Verdict::run;
  }
  return Verdict::trigger_failed;
}

}  // namespace reprise
