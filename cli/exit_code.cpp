#include "cli/exit_code.hpp"

namespace reprise::cli {

ExitCode exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return exit_invalid;
    case ErrorCode::not_found:
      return exit_not_found;
    case ErrorCode::conflict:
      return exit_conflict;
    case ErrorCode::unavailable:
      return exit_unreachable;
    case ErrorCode::corrupt:
      return exit_failed;
    case ErrorCode::io:
      return exit_failed;
    case ErrorCode::exhausted:
      return exit_failed;
    case ErrorCode::cancelled:
      return exit_cancelled;
    case ErrorCode::denied:
      return exit_denied;
    case ErrorCode::internal:
      return exit_internal;
  }
  return exit_internal;
}

ExitCode exit_code_of(RunState state) {
  switch (state) {
    case RunState::success:
      return exit_ok;
    case RunState::failed:
      return exit_failed;
    case RunState::cancelling:
    case RunState::cancelled:
      return exit_cancelled;
    case RunState::paused:
    case RunState::interrupted:
      return exit_waiting;  // until somebody resumes it
    case RunState::queued:
    case RunState::running:
      return exit_timeout;
  }
  return exit_internal;
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return 422;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::conflict:
      return 409;
    case ErrorCode::unavailable:
      return 503;
    case ErrorCode::corrupt:
      return 500;
    case ErrorCode::io:
      return 500;
    case ErrorCode::exhausted:
      return 507;
    case ErrorCode::cancelled:
      return 409;
    case ErrorCode::denied:
      return 403;
    case ErrorCode::internal:
      return 500;
  }
  return 500;
}

}  // namespace reprise::cli
