// One attempt to run a task, and how it ended: what scheduler, cache and worker tell each other
// about.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cache_key.hpp"
#include "core/id.hpp"
#include "core/payload.hpp"
#include "core/time.hpp"
#include "core/ulid.hpp"
#include "flow/cache_mode.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {

/// What all attempts of one run share.
struct RunContext {
  RunId run;
  std::shared_ptr<const FlowSpec> flow;
  Parameters parameters;
  CacheMode cache = CacheMode::normal;
  std::string folder;  // this run's own folder below the data directory, absolute; logs and
                       // attempts live there
  Time started;
};

/// A named argument, ready to use.
struct Argument {
  std::string_view name;  // points into the FlowSpec
  Payload value;
};

/// Everything one attempt needs. Cheap to copy: big things are shared.
struct Attempt {
  std::uint32_t run = 0;  // the scheduler's serial number of the run
  TaskId task;
  std::uint32_t number = 1;  // 1 … n within the run
  std::shared_ptr<const RunContext> context;
  NodeId node;
  std::int32_t map_index = -1;  // -1: not an element of a mapped task
  std::string label;            // how that element is shown; empty = its index
  std::uint32_t run_count = 1;
  std::uint32_t loop_count = 1;
  Payload loop_result;
  std::vector<Argument> arguments;  // gathered ones already joined
  std::optional<Key> key;           // where the result is kept
};

/// How an attempt ended.
struct Outcome {
  TaskState state =
      TaskState::failed;  // success, failed, timed_out, cancelled, or what a signal asked for
  Payload value;          // of a success; none otherwise
  std::string message;    // why it failed, one line; empty for a success
  FailureClass failure = FailureClass::none;
  std::optional<std::string>
      uncacheable;             // why the value must not be cached, e.g. "text is not UTF-8"
  std::int32_t exit_code = 0;  // commands
  std::int32_t signal = 0;     // that ended the command; 0 = none
  Time started;
  Duration duration{0};
  bool executed = false;           // the body really ran
  bool stored = false;             // the value is kept in the cache under the attempt's key
  std::optional<Time> start_time;  // of a retry or pause asked for by a signal
};

}  // namespace reprise
