#include "tests/sim/planted_bug.hpp"

namespace reprise::sim {

#define REPRISE_BUG(bug) \
  BugName {              \
    Bug::bug, #bug       \
  }

const std::array<BugName, 39>& planted_bugs() {
  static constexpr std::array<BugName, 39> all{REPRISE_BUG(ack_submit_before_append),
                                               REPRISE_BUG(ack_cancel_before_append),
                                               REPRISE_BUG(tell_end_before_append),
                                               REPRISE_BUG(swallow_append_error),
                                               REPRISE_BUG(append_out_of_order),
                                               REPRISE_BUG(skip_record_on_recovery),
                                               REPRISE_BUG(forget_barrier),
                                               REPRISE_BUG(forget_resume),
                                               REPRISE_BUG(ignore_idempotency_key),
                                               REPRISE_BUG(forget_keys_on_restart),
                                               REPRISE_BUG(ignore_cancel),
                                               REPRISE_BUG(accept_late_report),
                                               REPRISE_BUG(accept_report_twice),
                                               REPRISE_BUG(lose_report),
                                               REPRISE_BUG(reuse_attempt_number),
                                               REPRISE_BUG(skip_worker_lost),
                                               REPRISE_BUG(declare_healthy_lost),
                                               REPRISE_BUG(count_lost_as_try),
                                               REPRISE_BUG(retry_for_ever),
                                               REPRISE_BUG(mix_up_results),
                                               REPRISE_BUG(start_before_inputs),
                                               REPRISE_BUG(ignore_stop),
                                               REPRISE_BUG(keep_running_unlinked),
                                               REPRISE_BUG(over_dispatch),
                                               REPRISE_BUG(ignore_max_parallel),
                                               REPRISE_BUG(mix_up_workers),
                                               REPRISE_BUG(forget_new_workers),
                                               REPRISE_BUG(forget_returned),
                                               REPRISE_BUG(run_what_was_given_back),
                                               REPRISE_BUG(key_without_arguments),
                                               REPRISE_BUG(cache_failure),
                                               REPRISE_BUG(report_before_store),
                                               REPRISE_BUG(skip_lease_fence),
                                               REPRISE_BUG(backdate_commit),
                                               REPRISE_BUG(never_look_again),
                                               REPRISE_BUG(miscount_executed),
                                               REPRISE_BUG(forget_run_over),
                                               REPRISE_BUG(use_real_randomness),
                                               REPRISE_BUG(forget_acknowledgement)};
  return all;
}

#undef REPRISE_BUG

}  // namespace reprise::sim
