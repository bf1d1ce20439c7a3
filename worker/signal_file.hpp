// How a command ends its attempt in a state of its choice: it leaves a small file, whose path it
// finds as REPRISE_SIGNAL_FILE, and `reprise signal` writes it. The worker reads it after the
// command has ended.
//
//   {"signal": "retry", "message": "the licence server is busy", "in": "30s"}
//
// "value" goes with skip, fail, success and loop; "in" with retry and pause. Only "signal" has to
// be there (docs/semantics.md, "Signals").
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/time.hpp"
#include "core/value.hpp"
#include "flow/state.hpp"

namespace reprise::worker {

inline constexpr std::size_t signal_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t signal_message_bytes_max = 4096;

struct SignalRequest {
  std::string name;            // one of signal_names()
  std::string message;         // UTF-8, at most signal_message_bytes_max
  std::optional<Duration> in;  // at least 0
  std::optional<Value> value;
};

/// The state to end in. @error invalid_argument: no such signal, or a part that does not go with it
[[nodiscard]] Result<TaskState> check(const SignalRequest& request);

/// The file's content.
[[nodiscard]] std::string to_text(const SignalRequest& request);
/// @error invalid_argument: not of this form, with the reason
[[nodiscard]] Result<SignalRequest> parse_signal(std::string_view text);

/// Writes the file aside and renames it: a later signal of the same attempt replaces it.
/// @error invalid_argument: as check(), or larger than signal_bytes_max; io, exhausted, denied
[[nodiscard]] Status leave_signal(const std::filesystem::path& path, const SignalRequest& request);

/// What a command left; nullopt: nothing. Follows no link and reads no more than the limit.
/// @error invalid_argument: what is there is no signal; io
[[nodiscard]] Result<std::optional<SignalRequest>> read_signal(const std::filesystem::path& path);

}  // namespace reprise::worker
