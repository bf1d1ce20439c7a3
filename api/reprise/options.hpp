// How a task is to be treated: retries, time limit, cache, trigger, resources.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace reprise {

/// Up to sixteen texts, so that options can be constants: {"a", "b"}. They must outlive the call
/// that takes the options.
struct names {
  static constexpr std::size_t most = 16;
  std::array<std::string_view, most> text{};
  std::size_t count = 0;

  constexpr names() = default;
  template <class... Text>
  requires(sizeof...(Text) >= 1 && sizeof...(Text) <= most) constexpr names(const Text&... all)
      : text{std::string_view(all)...}, count(sizeof...(Text)) {}

  [[nodiscard]] constexpr const std::string_view* begin() const { return text.data(); }
  [[nodiscard]] constexpr const std::string_view* end() const { return text.data() + count; }
  constexpr bool operator==(const names&) const = default;
};

/// Which parts of the inputs a kept result must agree on.
enum class validator : std::uint8_t {
  all_inputs,
  duration_only,
  never_use,
  all_parameters,
  partial_inputs,
  partial_parameters,
};

/// Up to sixteen exit codes, 1 to 255: {65, 66}.
struct exit_codes {
  std::array<std::uint8_t, 16> code{};
  std::size_t count = 0;

  constexpr exit_codes() = default;
  template <class... Code>
  requires(sizeof...(Code) >= 1 && sizeof...(Code) <= 16) constexpr exit_codes(Code... all)
      : code{static_cast<std::uint8_t>(all)...}, count(sizeof...(Code)) {}
  constexpr bool operator==(const exit_codes&) const = default;
};

/// Failures that are kept and served again, as failures, because the same inputs would give them
/// again: `.failures = cached_failures{.validation = true}`. Never kept are cancellations, time
/// limits, ends by a signal, and lost workers.
struct cached_failures {
  std::chrono::nanoseconds lasts{std::chrono::minutes{5}};
  bool exceptions = false;  // what a function throws; a command's exit codes 1 to 127
  bool validation = false;  // results that were refused
  exit_codes exits{};       // of commands, besides

  constexpr bool operator==(const cached_failures&) const = default;
};

/// What the key of a result is made of besides the task, put together:
///
///   .cache = policy::inputs + policy::run_id - "log"
namespace policy {

struct parts {
  bool inputs = false;  // without them, the same result serves all inputs
  bool source = false;
  bool run = false;
  bool parameters = false;
  names without{};  // inputs that are left out

  constexpr bool operator==(const parts&) const = default;
};

inline constexpr parts inputs{.inputs = true};
inline constexpr parts task_source{.source = true};     // the build of the program: cached::code
inline constexpr parts run_id{.run = true};             // a hit within one run only
inline constexpr parts parameters{.parameters = true};  // all of the run's

/// Without the input of this name; changes nothing where inputs do not count. At most sixteen.
constexpr parts operator-(const parts& from, std::string_view input) {
  if (!from.inputs) return from;
  for (std::string_view known : from.without)
    if (known == input) return from;
  if (from.without.count == from.without.text.size())
    throw std::length_error("reprise: at most sixteen inputs can be left out");
  parts made{from.inputs, from.source, from.run, from.parameters, from.without};
  made.without.text[made.without.count++] = input;
  return made;
}
/// All that either names; inputs that one of them leaves out are left out.
constexpr parts operator+(const parts& one, const parts& other) {
  parts made{.inputs = one.inputs || other.inputs,
             .source = one.source || other.source,
             .run = one.run || other.run,
             .parameters = one.parameters || other.parameters};
  for (std::string_view input : one.without) made = made - input;
  for (std::string_view input : other.without) made = made - input;
  return made;
}

}  // namespace policy

/// The task's results are kept and served again: `.cache = reprise::cached{.expires_after = 24h}`.
struct cached {
  std::chrono::nanoseconds expires_after{0};  // 0 = never
  std::string_view salt{};                    // changing it disowns everything kept so far
  reprise::names
      ignore{};  // inputs left out of the key: "a0", "a1" …, or as in task_options::names
  reprise::validator validator = reprise::validator::all_inputs;
  reprise::names validate_on{};   // for the partial validators
  reprise::names environment{};   // variables whose values enter the key
  std::string_view name{};        // in the key; empty = the task's name
  std::string_view version{};     // in the key; empty = the task's version
  std::string_view shared_key{};  // replaces name and types in the key
  bool per_run = false;           // the run's id enters the key: served within one run only
  bool per_parameters = false;    // all parameters of the run enter the key
  // Whether results of the same run are served, too. None: where `validator` compares all inputs,
  // or `by` or a key function says what the key is made of.
  std::optional<bool> same_run{};
  std::optional<bool> refresh{};  // true: looks nothing up; false: does so also in a refreshing run
  // Puts the key together in place of `validator`, `per_run`, `per_parameters` and `code`.
  std::optional<policy::parts> by{};
  bool code = false;     // the build of the program, or library, that has the body enters the key
  bool sliding = false;  // a hit lets `expires_after` count from then
  // So long after its expiry a result is served at once, and computed anew behind it; the run ends
  // when that has ended. 0 = not at all.
  std::chrono::nanoseconds stale_while_revalidate{0};
  // So long after its expiry a result stands in when computing it anew failed. 0 = not at all.
  std::chrono::nanoseconds stale_if_error{0};
  std::uint32_t jitter_percent = 0;           // of its life a result may lose, by chance; 0 to 100
  std::chrono::nanoseconds max_age{0};        // older results are no hit for this task; 0 = any age
  std::optional<cached_failures> failures{};  // none: no failure is kept

  constexpr bool operator==(const cached&) const = default;
};

/// Off, on, or on with details.
struct cache_option {
  bool enabled = false;
  cached policy{};  // hides the namespace of that name in here

  constexpr cache_option() = default;
  constexpr cache_option(bool on) : enabled(on) {}
  constexpr cache_option(const cached& details) : enabled(true), policy(details) {}
  constexpr cache_option(const reprise::policy::parts& parts)
      : enabled(true), policy{.by = parts} {}
  constexpr bool operator==(const cache_option&) const = default;
};

/// When a task may run, judged by how the tasks above it ended.
namespace trigger {

enum class kind : std::uint8_t {
  all_successful,
  all_failed,
  any_successful,
  any_failed,
  all_finished,
  some_failed,
  some_successful,
  not_all_skipped,
  manual_only,
};

struct rule {
  trigger::kind kind = trigger::kind::all_successful;
  double at_least = -1;
  double at_most = -1;
  constexpr bool operator==(const rule&) const = default;
};

inline constexpr rule all_successful{kind::all_successful};
inline constexpr rule all_failed{kind::all_failed};
inline constexpr rule any_successful{kind::any_successful};
inline constexpr rule any_failed{kind::any_failed};
inline constexpr rule all_finished{kind::all_finished};
inline constexpr rule not_all_skipped{kind::not_all_skipped};
inline constexpr rule manual_only{kind::manual_only};

/// Bounds, both inclusive: below 1 a share of the tasks above, from 1 on a number of them; negative
/// = none.
constexpr rule some_failed(double at_least, double at_most = -1) {
  return {kind::some_failed, at_least, at_most};
}
constexpr rule some_successful(double at_least, double at_most = -1) {
  return {kind::some_successful, at_least, at_most};
}

}  // namespace trigger

/// What one attempt takes of a worker.
struct resources {
  double cpus = 1;
  std::uint64_t memory_bytes = 0;  // 0 = undeclared

  constexpr bool operator==(const resources&) const = default;
};

/// Texts in it are views: literals, or texts that outlive the call that takes the options.
struct task_options {
  std::uint32_t retries = 0;  // further attempts after the first, at most 10'000
  std::chrono::nanoseconds retry_delay{0};
  bool retry_exponential = false;       // delay × 2^(attempt - 1), up to an hour, with jitter
  std::chrono::nanoseconds timeout{0};  // of one attempt; 0 = none
  cache_option cache{};
  reprise::trigger::rule trigger{};
  bool skip_on_upstream_skip = true;
  // In a process of its own, so that it can be ended by force and a crash is only its own. The
  // program must have handed the task to reprise::init (reprise/worker.hpp).
  bool isolated = false;
  reprise::resources resources{};
  std::uint32_t max_parallel = 0;  // elements of a mapped task at once; 0 = no limit
  reprise::names names{};          // of the parameters in keys and explanations; default a0, a1 …
  // A file that keeps the result as JSON; when it is there the task does not run, and the cache is
  // not asked. A path, relative to the working directory, which may contain ${{ params.name }} and
  // ${{ a0 }}: parameters of the run and of the task. Empty = none.
  std::string_view target{};

  constexpr bool operator==(const task_options&) const = default;
};

/// Cached tasks of common sizes, to be changed where they do not fit:
///
///   .with([] { auto how = cached_small; how.retries = 2; return how; }())
inline constexpr task_options cached_small{
    .cache = true, .resources = {.cpus = 1, .memory_bytes = std::uint64_t{2} << 30}};
inline constexpr task_options cached_medium{
    .cache = true, .resources = {.cpus = 4, .memory_bytes = std::uint64_t{8} << 30}};
inline constexpr task_options cached_large{
    .cache = true, .resources = {.cpus = 16, .memory_bytes = std::uint64_t{64} << 30}};

}  // namespace reprise
