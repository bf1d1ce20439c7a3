// What a process and those that run its functions tell each other, as bytes.
//
// Frames on a socket: four bytes of length, least significant first, then a msgpack array. First
// the process that runs functions says which it knows; then each call is followed by its answer.
// Both ends are the same program, so the format has no version. What comes back from a process in
// which user code ran is read with care all the same.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.hpp"
#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "worker/functions.hpp"
#include "worker/thrown.hpp"

namespace reprise::worker {

/// The argument that makes a program run functions for the process that started it.
inline constexpr std::string_view functions_argument = "__functions";
/// The numbers under which it finds its ends: of the socket for calls and answers, and of a pipe
/// that names calls to be stopped and whose end is the end of the process.
inline constexpr int calls_descriptor = 3;
inline constexpr int stops_descriptor = 4;

/// A function without its body.
struct KnownFunction {
  std::string name;
  std::string version;
  Signature signature;

  [[nodiscard]] std::string id() const { return name + "@" + version; }
};

/// Those of a table.
[[nodiscard]] std::vector<KnownFunction> known_functions(const FunctionTable& table);
[[nodiscard]] std::string encode_known(const std::vector<KnownFunction>& functions);
/// @error corrupt
[[nodiscard]] Result<std::vector<KnownFunction>> decode_known(std::string_view bytes);

/// @param number        of this call; stops name it
/// @param memory_bytes  that the body may use beyond what the process has; 0 = no limit
/// @param with_run      false: the run is the one of the call before
[[nodiscard]] std::string encode_call(std::uint64_t number, std::string_view function,
                                      const Call& call, std::uint64_t memory_bytes, bool with_run);

/// A call as the other process sees it: an attempt of a flow that has this one task.
struct ReceivedCall {
  std::uint64_t number = 0;
  std::string function;
  std::uint64_t memory_bytes = 0;
  std::vector<std::string> names;  // of the arguments in `attempt`
  Attempt attempt;
};
/// @param run  of the call before; replaced when the call brings one
/// @error corrupt
[[nodiscard]] Status decode_call(std::string_view bytes, std::shared_ptr<const RunContext>& run,
                                 ReceivedCall& call);

/// How a body ended.
using FunctionAnswer = std::variant<Returned, Ending, Thrown>;
/// Times to come travel as times from now: the clocks of two processes may differ.
[[nodiscard]] std::string encode_answer(const FunctionAnswer& answer, Time now);
/// @error corrupt
[[nodiscard]] Result<FunctionAnswer> decode_answer(std::string_view bytes, Time now);

/// A message with its length before it.
/// @error exhausted: 4 GiB or more
[[nodiscard]] Result<std::string> as_frame(std::string message);
inline constexpr std::size_t frame_head_bytes = 4;
/// Length of the message behind these first bytes of a frame.
[[nodiscard]] std::size_t length_of_frame(std::string_view head);

}  // namespace reprise::worker
