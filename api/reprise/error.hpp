// How this library says that something did not work: `error` as a value, or one of two exceptions.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace reprise {

/// Why something did not work, for programs; the message is for people.
enum class error_code : std::uint8_t {
  invalid_argument,  // the caller's input is wrong; nothing was started or written
  not_found,         // no such run, task or result
  conflict,          // the thing exists in a state that does not allow this
  unavailable,       // not yet there, or somebody did not answer; trying again may help
  corrupt,           // bytes do not decode or do not match their digest
  io,                // the operating system refused
  exhausted,         // a limit was reached: size, depth, count, disk space
  cancelled,         // somebody asked for the work to stop
  denied,            // not permitted
  internal,          // a bug on our side that could be contained
  task_failed,       // the task ended without a result
};

/// Lower-case name of a code, e.g. "not_found".
[[nodiscard]] std::string_view name(error_code code);

struct error {
  error_code code = error_code::internal;
  std::string message;  // lower case, one line

  bool operator==(const error&) const = default;
};

/// A `T`, or why there is none.
template <class T>
using expected = tl::expected<T, error>;

/// Thrown when the library is used wrongly or cannot start: `code()` tells which.
class usage_error : public std::runtime_error {
 public:
  explicit usage_error(error what) : std::runtime_error(what.message), code_(what.code) {}
  usage_error(error_code code, const std::string& message)
      : std::runtime_error(message), code_(code) {}

  [[nodiscard]] error_code code() const noexcept { return code_; }

 private:
  error_code code_;
};

/// Thrown by `result<T>::get()` when the task ended without a result.
class task_error : public std::runtime_error {
 public:
  struct details {
    std::string task;           // "count", or "count[3]" for an element of a mapped task
    std::uint32_t attempt = 0;  // 1 … n; 0 = it never ran
    std::string state;          // "failed", "timed_out", "skipped", "cancelled" …
    int exit = 0;               // exit code of a command
    std::string message;        // why, one line
    std::string log_tail;       // the last lines the task wrote; empty = none kept
  };

  explicit task_error(details what)
      : std::runtime_error("task \"" + what.task + "\" is " + what.state +
                           (what.message.empty() ? "" : ": " + what.message)),
        details_(std::move(what)) {}

  [[nodiscard]] const std::string& task() const noexcept { return details_.task; }
  [[nodiscard]] std::uint32_t attempt() const noexcept { return details_.attempt; }
  [[nodiscard]] const std::string& state() const noexcept { return details_.state; }
  [[nodiscard]] int exit() const noexcept { return details_.exit; }
  [[nodiscard]] const std::string& message() const noexcept { return details_.message; }
  [[nodiscard]] const std::string& log_tail() const noexcept { return details_.log_tail; }

 private:
  details details_;
};

}  // namespace reprise
