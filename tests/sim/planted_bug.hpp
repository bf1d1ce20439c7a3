// Mistakes that somebody might make in the shells around the deciders, or in what they rest on; the
// simulator is to find each of them. They measure the tester: what it cannot find, it does not
// check. They live here and cost the programs nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace reprise::sim {

enum class Bug : std::uint8_t {
  none,
  // ---- durability
  ack_submit_before_append,  // a client is told of its run before that is on disk
  ack_cancel_before_append,  // … that it is cancelled
  tell_end_before_append,    // … that it ended
  swallow_append_error,      // the journal is full, and everything goes on
  append_out_of_order,       // batches of a group reach the journal the wrong way round
  skip_record_on_recovery,   // the last batch is not read back
  forget_barrier,            // what the process before wrote late comes behind what was read
  forget_resume,             // runs of the server before do not go on
  // ---- clients
  ignore_idempotency_key,  // a submit that is sent again is another run
  forget_keys_on_restart,  // … after the server was started again
  ignore_cancel,           // a cancellation is answered, and that is all
  // ---- attempts
  accept_late_report,     // of a worker that was given up
  accept_report_twice,    // it reaches the scheduler a second time
  lose_report,            // now and then one does not reach it
  reuse_attempt_number,   // a retry has the number of the attempt before
  skip_worker_lost,       // what a lost worker had in hand is forgotten
  declare_healthy_lost,   // what a worker says does not count as a sign of life
  count_lost_as_try,      // an attempt lost with its worker uses up a retry
  retry_for_ever,         // a failure uses up none
  mix_up_results,         // two reports of one message change values
  start_before_inputs,    // recovery takes an unfinished task for finished
  ignore_stop,            // a worker runs on
  keep_running_unlinked,  // a worker goes on with the attempts of a scheduler that is gone
  over_dispatch,          // slots are counted that are not there
  ignore_max_parallel,
  mix_up_workers,      // an attempt goes to another worker than was chosen
  forget_new_workers,  // the scheduler is not always told who is there
  forget_returned,     // what a worker does not take, or gives back, is nobody's
  run_what_was_given_back,
  // ---- cache
  key_without_arguments,  // the key does not depend on what the task takes
  cache_failure,          // a failure is kept as a result
  report_before_store,    // a result is told before it is kept
  skip_lease_fence,       // a commit does not present its lease
  backdate_commit,        // a result is kept as if it had been there before
  never_look_again,       // who waits for somebody else's result waits for ever
  // ---- the rest
  miscount_executed,  // the summary of a run is wrong
  forget_acknowledgement,
  forget_run_over,      // workers are not told that a run is over
  use_real_randomness,  // something happens that does not follow from the seed
};

struct BugName {
  Bug bug;
  std::string_view name;
};
[[nodiscard]] const std::array<BugName, 39>& planted_bugs();

}  // namespace reprise::sim
