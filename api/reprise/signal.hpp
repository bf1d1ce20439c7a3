// What a task body may throw to end its attempt in a state of its own choosing. Any other exception
// is a failure.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "reprise/codec.hpp"

namespace reprise::signal {

/// Common part; catch this to clean up and rethrow.
class base : public std::exception {
 public:
  enum class kind : std::uint8_t {
    skip,
    fail,
    success,
    retry,
    pause,
    loop,
    trigger_fail,
    validation_fail
  };

  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
  [[nodiscard]] kind which() const noexcept { return kind_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  /// The result carried along, if there is one.
  [[nodiscard]] const std::optional<codec::encoded>& value() const noexcept { return value_; }
  /// How long to wait; none: as the task's retry policy says, or until a person says go on.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> start_in() const noexcept {
    return start_in_;
  }

 protected:
  base(kind which, std::string message, std::optional<codec::encoded> value = {},
       std::optional<std::chrono::nanoseconds> start_in = {})
      : kind_(which), message_(std::move(message)), value_(std::move(value)), start_in_(start_in) {}

 private:
  kind kind_;
  std::string message_;
  std::optional<codec::encoded> value_;
  std::optional<std::chrono::nanoseconds> start_in_;
};

/// A success without having done anything; tasks below are skipped too unless they say otherwise.
/// Those that do find this result.
class skip : public base {
 public:
  explicit skip(std::string message = {}) : base(kind::skip, std::move(message)) {}
  template <codec::carriable T>
  skip(std::string message, const T& result)
      : base(kind::skip, std::move(message), codec::encode(result)) {}
};

/// A failure, retried like any other.
class fail : public base {
 public:
  explicit fail(std::string message = {}) : base(kind::fail, std::move(message)) {}
  template <codec::carriable T>
  fail(std::string message, const T& result)
      : base(kind::fail, std::move(message), codec::encode(result)) {}
};

/// A failure whose state says that what the task was given does not allow it to run.
class trigger_fail : public base {
 public:
  explicit trigger_fail(std::string message = {}) : base(kind::trigger_fail, std::move(message)) {}
};

/// A failure whose state says that the result was refused.
class validation_fail : public base {
 public:
  explicit validation_fail(std::string message = {})
      : base(kind::validation_fail, std::move(message)) {}
};

/// A success with this result, whatever was to come in the body. The type must be the task's result
/// type.
class success : public base {
 public:
  template <codec::carriable T>
  explicit success(const T& result, std::string message = {})
      : base(kind::success, std::move(message), codec::encode(result)) {}
};

/// Another attempt after `start_in`; does not count against the task's retries and needs none.
class retry : public base {
 public:
  explicit retry(std::chrono::nanoseconds start_in = {}, std::string message = {})
      : base(kind::retry, std::move(message), {}, start_in) {}
};

/// Another attempt when a person says go on, or after `start_in` when given.
class pause : public base {
 public:
  explicit pause(std::string message = {}, std::optional<std::chrono::nanoseconds> start_in = {})
      : base(kind::pause, std::move(message), {}, start_in) {}
};

/// Runs the body again; it finds this value as context::loop_result() and loop_count() one higher.
class loop : public base {
 public:
  template <codec::carriable T>
  explicit loop(const T& result, std::string message = {})
      : base(kind::loop, std::move(message), codec::encode(result)) {}
};

}  // namespace reprise::signal
