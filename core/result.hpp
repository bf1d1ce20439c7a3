// What can go wrong and is no bug: an Error travels as a value, never as an exception.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace reprise {

/// Why something did not work, for programs; `Error::message` is for people.
enum class ErrorCode {
  invalid_argument,  // the caller's input is wrong; nothing was started or written
  not_found,         // no such run, task, entry, file or function
  conflict,          // the thing exists in a state that does not allow this
  unavailable,       // a store, process or peer did not answer; trying again may help
  corrupt,           // stored bytes do not decode or do not match their digest
  io,                // the operating system refused: message holds errno's text
  exhausted,         // a limit was reached: size, depth, count, disk space
  cancelled,         // somebody asked for the work to stop
  denied,            // not permitted
  internal,          // a bug on our side that could be contained
};

/// Lower-case name of a code, e.g. "not_found".
[[nodiscard]] std::string_view name(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  // lower case, one line, no full stop; values in double quotes

  bool operator==(const Error&) const = default;
};

template <class T>
using Result = tl::expected<T, Error>;

/// Result of an action that has nothing to give back.
using Status = Result<void>;

/// Shorthand for returning an error: `return fail(ErrorCode::io, fmt::format(…));`
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// What the number of a failed system call means for programs. @return io for all but the few that
/// people can do something about
[[nodiscard]] ErrorCode error_code_of(int errno_value);

/// Error of the failed system call `what` with the current `errno`: "open \"x\": No such file …".
[[nodiscard]] Error system_error(std::string_view what, int errno_value);

}  // namespace reprise
