// What a task that runs a flow runs, and what comes of it. No actors here: the nest actor calls.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/result.hpp"
#include "flow/attempt.hpp"
#include "flow/flow_file.hpp"
#include "scheduler/events.hpp"

namespace reprise::cache {
class BlobStore;
}

namespace reprise::actors {

/// Functions by "name@version"; none: they are not known here, and calls are not checked.
using KnownSignatures = std::optional<std::map<std::string, Signature, std::less<>>>;

/// The flow that the attempt's task runs: one that is part of its own flow, or what the input gives
/// that its body names, at most 8 MiB of text or 64 MiB of FlowSpec::encode().
/// @error invalid_argument: it is no flow; the message has the first mistakes with their places;
/// not_found, corrupt, exhausted: as the blob store says of the file
/// Blocks for the blob store.
[[nodiscard]] Result<std::shared_ptr<const FlowSpec>> nested_flow(
    const Attempt& attempt, cache::BlobStore& blobs, const KnownSignatures& functions,
    FlowFileOptions::Missing missing = FlowFileOptions::Missing::mistake);

/// The parameters that the task gives the run.
[[nodiscard]] Parameters nested_parameters(const Attempt& attempt);

/// How a nested run came to rest.
struct NestedEnd {
  scheduler::AttemptRef attempt;  // that it was begun for
  RunId run;
  std::string flow;    // its name
  std::string output;  // as in NestedBody
  RunState state = RunState::success;
  std::string message;        // why it did not succeed
  std::string first_failure;  // the task that failed first and why; empty: none did
  std::map<std::string, Payload> outputs;
  Time started;
  Duration duration{0};  // of this process's part
};

/// What that means for the attempt: its outputs, as one value that is kept when it is large; a
/// failure that names the run; cancelled; or paused until a person says go on. Blocks for the blob
/// store.
[[nodiscard]] Outcome nested_outcome(const NestedEnd& end, cache::BlobStore& blobs);

}  // namespace reprise::actors
