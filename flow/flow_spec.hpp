// A flow as data: what its author asked for, whichever way it was written down (C++, flow file,
// recorded trace).
//
// Large flows are mostly repetition, so what many tasks share (body, policies) is a TaskKind,
// written once, and inputs lie in one flat array. A FlowSpec never changes after it was built and
// is shared by everybody who runs it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/cache_key.hpp"
#include "core/id.hpp"
#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "flow/state.hpp"
#include "flow/trigger.hpp"

namespace reprise {

/// Where something stands in a flow file; line 0 = not from a file.
struct SourceSpan {
  std::uint32_t line = 0;        // from 1
  std::uint32_t column = 0;      // from 1, in characters
  std::uint32_t end_column = 0;  // one past the last character on the line
  bool operator==(const SourceSpan&) const = default;
};

/// Text with `${{ expression }}` parts, evaluated when the task is about to run
/// (flow/template.hpp).
struct Template {
  std::string text;
  SourceSpan span;
  bool operator==(const Template&) const = default;
};

/// Calls a registered function with the inputs that the kind's signature names, in its order. A
/// node from a flow file may have further inputs, which only its expressions read.
struct FunctionBody {
  std::string function;  // "name@version", see worker/functions.hpp
  bool operator==(const FunctionBody&) const = default;
};

/// Runs a program in a fresh directory. Result: map {"exit": 0, "outputs": {path: file…}, "stdout":
/// text up to 64 KiB}, and "value" when it signalled a success with one.
struct CommandBody {
  std::vector<Template> argv;  // never through a shell; empty when `script` is set
  Template script;             // for /bin/sh -eu
  std::vector<Template>
      input_files;  // linked in read-only under their own names; relative to the flow file's folder
  std::vector<std::string>
      outputs;  // relative paths, collected afterwards; a missing one fails the task
  // Added to the allow-list PATH HOME LANG TZ REPRISE_*. A text `secret://NAME` is looked up where
  // the command runs.
  std::map<std::string, Template> environment;
  bool in_flow_folder = false;  // `cwd: flow`: runs in the flow file's folder instead
  // Exit codes, 1 to 255, that stand for a signal: the state in which the attempt then ends.
  std::map<std::uint32_t, TaskState> exits;
  bool operator==(const CommandBody&) const = default;
};

/// Does nothing; its result is its only input, a map of its inputs, or nil. For collecting and
/// branching.
struct PassBody {
  bool operator==(const PassBody&) const = default;
};

/// Runs another flow as a run of its own, nested in this one (docs/semantics.md, "Nested flows").
/// The kind's signature names the inputs that become that run's parameters. Result: a map of its
/// outputs by name, or the one that is asked for.
struct NestedBody {
  std::optional<std::uint32_t> flow;  // index into FlowSpec::nested; none: `source` gives it
  // Name of the input that gives a flow which is known at run time only: a file or a text in the
  // format of flow files, or bytes as FlowSpec::encode() makes them. Empty with `flow`.
  std::string source;
  std::string output;  // the result is this output's value; empty = all of them
  bool operator==(const NestedBody&) const = default;
};

/// So many runs may be nested in each other, beside the outermost one.
inline constexpr std::uint32_t nesting_limit = 16;

using Body = std::variant<PassBody, FunctionBody, CommandBody, NestedBody>;

/// Kinds of trouble a retry may be asked for.
enum class FailureClass : std::uint8_t {
  none,
  task,    // the body threw or exited non-zero
  signal,  // the process was ended by a signal
  timeout,
  worker_lost,
  cannot_start,  // no such program or function, no directory
  validation,
  cancelled,
  memory,  // it wanted more than its task may use
};
inline constexpr FailureClass last_failure_class = FailureClass::memory;

struct RetryPolicy {
  std::uint32_t max = 0;  // further attempts after the first, at most 10'000
  Duration delay{0};
  bool exponential = false;  // delay × 2^(attempt-1), with full jitter
  Duration max_delay{std::chrono::hours{1}};
  // Which failures count; default: what the body itself did.
  std::vector<FailureClass> on{FailureClass::task, FailureClass::signal, FailureClass::timeout,
                               FailureClass::validation, FailureClass::memory};
  bool operator==(const RetryPolicy&) const = default;
};

/// Which parts of the inputs a cached result must agree on.
enum class Validator : std::uint8_t {
  all_inputs,
  duration_only,
  never_use,
  all_parameters,
  partial_inputs,
  partial_parameters,
  custom,
};

/// Failures that are kept, and served again as failures, because the same inputs would give them
/// again. Others (a signal, a time limit, a lost worker, a cancellation) never are.
struct FailureCaching {
  Duration lasts{std::chrono::minutes{5}};
  std::vector<FailureClass> kinds;   // of `task` and `validation`
  std::vector<std::uint32_t> exits;  // exit codes, 1 to 255, besides those of `kinds`
  bool operator==(const FailureCaching&) const = default;
};

/// How long results are of use, beyond a plain expiry (flow/cache_life.hpp).
struct CacheLife {
  bool sliding = false;  // a hit lets the expiry count from now
  // So long after its expiry a result is served at once, and computed anew behind it.
  Duration stale_while_revalidate{0};
  // So long after its expiry a result stands in when computing it anew failed.
  Duration stale_if_error{0};
  std::uint32_t jitter_percent =
      0;  // at most so much of its life a result loses, by chance; 0 … 100
  std::optional<Duration> max_age;  // older results are no hit for this task; none = any age
  std::optional<FailureCaching> failures;
  bool operator==(const CacheLife&) const = default;
};

/// What the user says stands for a value in the key, in place of its content.
struct UserHash {
  std::string method;  // what made the hash, e.g. "etag"; another method is another key
  Template hash;       // not empty
  bool operator==(const UserHash&) const = default;
};

struct CachePolicy {
  bool enabled = false;
  std::optional<Duration> expires_after;  // none = never
  CacheLife life;
  Validator validator = Validator::all_inputs;
  std::optional<std::vector<std::string>> validate_on;  // for the partial validators
  std::optional<std::string> shared_key;                // replaces name and signature in the key
  std::vector<std::string> ignored;                     // inputs left out of the key
  std::string salt;
  std::vector<std::string> environment;  // variables whose values enter the key
  std::map<std::string, Digest> dependencies;
  std::optional<bool> refresh;  // true: looks nothing up; false: does so also in a refreshing run
  bool per_run = false;         // the run's id enters the key: a hit only within one run
  bool per_parameters = false;  // all of the run's parameters enter the key
  // Whether results of the same run are taken, too; none: where the key holds all inputs. Elements
  // of a mapped task whose inputs are not compared are not to get each other's results.
  std::optional<bool> same_run;
  // Id of a function that makes the key of an attempt's result (a text) out of its arguments; it
  // stands for name, types and arguments. nil = this one is not cached. Empty = no function.
  std::string key_function;
  std::optional<Digest> code;  // what stands for the body's code in the key; none = nothing does
  // The code is found out when the key is made (`code: auto`): of a command its text and its
  // program, of a function the build of this program.
  bool code_auto = false;
  // Id of a function that decides whether an earlier result is valid; of `custom` only.
  std::string validator_function;
  // By name of an input, or path of an input file: its content is neither read nor compared.
  std::map<std::string, UserHash> hashes;
  bool operator==(const CachePolicy&) const = default;

  [[nodiscard]] bool takes_same_run() const {
    return same_run.value_or(validator == Validator::all_inputs || !key_function.empty() ||
                             per_run);
  }
};

/// User code that is told of a state before it is entered, and may replace it.
struct Hook {
  // Names of the states it is told of, with all that are kinds of them: "failed" also means
  // trigger_failed, timed_out, validation_failed. Empty = all.
  std::vector<std::string> on;
  // A function (before, after) → nil or another state; or a command, which can only take note.
  Body body;
  bool operator==(const Hook&) const = default;
};

struct Resources {
  std::uint32_t cpu_milli = 1000;
  std::uint64_t memory_bytes = 0;               // 0 = undeclared
  std::map<std::string, std::uint64_t> custom;  // countable things by name; "gpus" have indices
  bool operator==(const Resources&) const = default;
};

/// The countable thing whose pieces are told apart: an attempt is told which ones it has.
inline constexpr std::string_view gpus_name = "gpus";

inline constexpr std::int32_t priority_least = -1000, priority_most = 1000;

/// What tasks of one sort have in common.
struct TaskKind {
  std::string cache_name;  // name in the cache key; the task's or function's own name
  std::string version = "1";
  Body body;
  Signature signature;  // parameter names in call order with their types; outputs
  Trigger trigger;
  bool skip_on_upstream_skip = true;
  RetryPolicy retry;
  Duration timeout{0};  // 0 = none
  CachePolicy cache;
  Resources resources;
  bool isolated = false;  // run a function in a process of its own
  std::string when;       // expression; false → Skipped. Empty = always
  SourceSpan when_span;
  std::uint32_t max_parallel = 0;  // elements of a mapped task at once; 0 = unlimited
  // 0 = no reduction; else the body is called with lists of at most this many values (at least 2)
  // of its first input, level by level, until one value is left.
  std::uint32_t reduce_fanin = 0;
  std::vector<Hook> hooks;  // told in this order; each gets what the one before made of the state
  // Where the result is kept besides, as a file; when it is there already, the body does not run.
  // A path, relative to the flow's folder; empty = nowhere.
  Template target;
  std::map<std::string, std::string> require;  // labels that its worker has, by name
  std::vector<std::string> limits;  // concurrency limits that it counts against; sorted, distinct
  std::int32_t priority = 0;        // priority_least … priority_most; higher ones go first

  bool operator==(const TaskKind&) const = default;
};

/// One edge or argument of a node. Inputs with the same name and `gathered` form one list argument,
/// in order.
struct Input {
  enum class Source : std::uint8_t {
    constant,    // FlowSpec::constants[index]
    upstream,    // the result of node `index`
    parameter,   // FlowSpec::parameters[index]
    expression,  // FlowSpec::expressions[index], evaluated once everything it names is there
    state_only,  // waits for node `index`, takes no value; has no name
  };
  std::uint32_t name = 0;  // index into FlowSpec::names
  std::uint32_t index = 0;
  Source source = Source::constant;
  bool mapped = false;     // one task per element of this value
  bool flattened = false;  // … after concatenating one level of nesting
  bool gathered = false;

  bool operator==(const Input&) const = default;
};

/// `${{ … }}` or `map.over` as an input, with the nodes it reads; these are inputs of the same
/// node, too.
struct Expression {
  std::string text;  // the bare expression, without `${{`
  SourceSpan span;
  std::vector<NodeId> reads;
  bool operator==(const Expression&) const = default;
};

struct Node {
  std::string name;        // unique in the flow; any bytes: data, never a path or a format
  std::uint32_t kind = 0;  // index into FlowSpec::kinds
  std::uint32_t first_input =
      0;  // its inputs are FlowSpec::inputs[first_input … first_input + input_count)
  std::uint32_t input_count = 0;
  float expected_seconds = 0;  // how long it usually takes; 0 = unknown. For order only
  SourceSpan span;

  bool operator==(const Node&) const = default;
};

struct Parameter {
  std::string name;
  std::string type;                      // string int float bool file list any
  std::optional<Payload> default_value;  // none = required
  std::string description;
  std::vector<Payload> choices;  // empty = any
  SourceSpan span;
  bool operator==(const Parameter&) const = default;
};

/// What a run gives back under a name.
struct Output {
  enum class Kind : std::uint8_t {
    expression,    // `text` is a template
    node,          // the result of `node`
    chain_digest,  // SHA-256 over all nodes by ascending name bytes of: name SP result LF
  };
  std::string name;
  Kind kind = Kind::expression;
  Template text;
  NodeId node;
  bool operator==(const Output&) const = default;
};

struct FlowSpec {
  std::string name;
  std::string folder;  // absolute folder of the flow file; empty = none. Not part of the digest
  std::string source_file;  // as the user typed it; for messages only. Not part of the digest
  std::vector<TaskKind> kinds;
  std::vector<Node> nodes;
  std::vector<Input> inputs;
  std::vector<std::string> names;
  std::vector<Payload> constants;
  std::vector<Expression> expressions;
  std::vector<Parameter> parameters;
  std::vector<Output> outputs;
  std::vector<NodeId> reference_nodes;  // decide the run's final state; empty = the terminal nodes
  std::vector<Hook> run_hooks;          // told of the run's states "running" and its last one
  std::vector<std::shared_ptr<const FlowSpec>> nested;  // never null; what NestedBody::flow is of

  [[nodiscard]] const TaskKind& kind_of(NodeId id) const { return kinds[nodes[id.value].kind]; }
  [[nodiscard]] std::span<const Input> inputs_of(NodeId id) const {
    const Node& node = nodes[id.value];
    return {inputs.data() + node.first_input, node.input_count};
  }
  [[nodiscard]] bool is_mapped(NodeId id) const;

  /// Everything but `folder` and `source_file`, as bytes (docs/protocol.md, "Flow record").
  [[nodiscard]] std::string encode() const;
  /// @error corrupt: does not decode, an index is out of range, flows are nested more than
  /// nesting_limit deep, or the graph has a cycle
  [[nodiscard]] static Result<FlowSpec> decode(std::string_view bytes);
};

/// Every index in range, names unique, parameters unique, the nodes' inputs lie one after the other
/// without gaps, no node has two inputs of one name unless they are gathered, no cycle; a cycle's
/// message prints its path "a → b → a" in the order in which the tasks would have to run. Takes
/// time in proportion to the flow. The flows nested in it are checked, too, as deep as
/// nesting_limit allows.
/// @error invalid_argument
[[nodiscard]] Status check(const FlowSpec& flow);

/// Bindings of a flow's parameters: given values over defaults.
using Parameters = std::map<std::string, Payload>;

/// Fills in defaults. @error invalid_argument: unknown (with a suggestion), missing, wrong type, or
/// not among the choices.
/// @param allow_missing  leaves required ones out that are not given: tasks that read them fail
[[nodiscard]] Result<Parameters> bind_parameters(const FlowSpec& flow, const Parameters& given,
                                                 bool allow_missing = false);

/// A parameter's value from command-line text, by its declared type: int "3", list "a,b" or JSON
/// "[…]", bool "true".
/// @error invalid_argument
[[nodiscard]] Result<Payload> parse_parameter(const Parameter& parameter, std::string_view text);

}  // namespace reprise
