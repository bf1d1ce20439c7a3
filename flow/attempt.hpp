// One attempt to run a task, and how it ended: what scheduler, cache and worker tell each other
// about.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cache_key.hpp"
#include "core/clock.hpp"
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
  std::optional<Time> as_of;  // the cache is seen as it was then
  std::string folder;         // this run's own folder below the data directory, absolute; logs and
                              // attempts live there
  Time started;
  bool continued = false;   // a process before worked at the run
  std::uint32_t depth = 0;  // in so many other runs it is nested, each in the next
  std::map<std::string, Payload>
      context;  // the user's own keys, over the ones that are always there
  // Input files that came with the flow, by their paths as commands name them, normalised; others
  // are looked for in the flow's folder.
  std::map<std::string, FileValue> files;
  std::shared_ptr<Clock> clock;  // null: the world's

  [[nodiscard]] Time now() const { return clock ? clock->now() : reprise::now(); }
};

/// A state with all that belongs to it, as hooks see it and may give it back.
struct StateRecord {
  TaskState state = TaskState::pending;
  std::string message;
  Payload result;                  // none = no result
  std::optional<Time> start_time;  // of scheduled, retrying, paused

  bool operator==(const StateRecord&) const = default;
};

/// An earlier result that a task's own validator may find valid.
struct Candidate {
  Key key;
  Payload value;
  RunId run;  // that made it
  Time committed;
  std::optional<Time> expires;
  std::map<std::string, Digest> inputs;  // by name, as in the key
  // None: whoever kept it did not tell them.
  std::optional<std::map<std::string, Digest>> parameters;
};

/// What user code is asked besides running a body. It runs on a slot like a body, for at most
/// `question_limit`, and never on the scheduler's thread.
struct Question {
  enum class Kind : std::uint8_t {
    trigger,    // the kind's custom trigger: may the task run?
    hooks,      // the kind's hooks: shall it enter `after`?
    run_hooks,  // the flow's hooks: shall the run enter `run_after`?
    cache_key,  // the kind's key function: what is the result kept under?
    validator,  // the kind's validator: which of `candidates`, if any, is valid now?
  };
  struct Upstream {
    std::string name;  // as shown
    StateRecord state;
  };
  Kind kind = Kind::hooks;
  StateRecord before;
  StateRecord after;
  RunState run_before = RunState::queued;
  RunState run_after = RunState::running;
  std::string run_message;
  std::vector<Upstream> upstreams;    // elements of mapped ones one by one
  std::vector<Candidate> candidates;  // newest first
};
inline constexpr Duration question_limit = std::chrono::seconds{30};

/// Stands for the run itself where user code is asked about it.
inline constexpr TaskId run_task{UINT32_MAX};

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
  std::vector<Argument> arguments;      // gathered ones already joined
  std::optional<Key> key;               // where the result is kept
  std::optional<std::string> user_key;  // what the kind's key function gave
  bool resumed = false;                 // a person, or the end of a pause, let it go on
  // Of an earlier process: the attempt at the same that had begun and may still run; 0 = none. It
  // may take the place of this one (Adopted).
  std::uint32_t begun_before = 0;
  std::shared_ptr<const Question> question;  // not the body is run, but this is answered
  std::uint64_t worker = 0;         // that was chosen for it; 0 = the only one, or any. Not sent
  std::vector<std::uint32_t> gpus;  // indices that it has for itself, given where it runs. Not sent
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
  bool is_final =
      false;  // of hooks: the task enters this state and nothing follows, no retry either
  PassedStates
      passed{};  // before `state`: it failed and was to be retried, it was stored. Not sent
};

}  // namespace reprise
