// How a task is to be treated: retries, time limit, cache, trigger, resources.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace reprise {

/// Up to eight texts, so that options can be constants: {"a", "b"}. They must outlive the call that
/// takes the options.
struct names {
  std::array<std::string_view, 8> text{};
  std::size_t count = 0;

  constexpr names() = default;
  template <class... Text>
  requires(sizeof...(Text) >= 1 && sizeof...(Text) <= 8) constexpr names(const Text&... all)
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
  std::optional<bool> refresh{};  // true: looks nothing up; false: does so also in a refreshing run

  constexpr bool operator==(const cached&) const = default;
};

/// Off, on, or on with details.
struct cache_option {
  bool enabled = false;
  cached policy{};

  constexpr cache_option() = default;
  constexpr cache_option(bool on) : enabled(on) {}
  constexpr cache_option(const cached& details) : enabled(true), policy(details) {}
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
  bool isolated = false;  // in a process of its own, so that it can be ended by force
  reprise::resources resources{};
  std::uint32_t max_parallel = 0;  // elements of a mapped task at once; 0 = no limit
  reprise::names names{};          // of the parameters in keys and explanations; default a0, a1 …
  // A file that keeps the result as JSON; when it is there the task does not run, and the cache is
  // not asked. A path, relative to the working directory, which may contain ${{ params.name }} and
  // ${{ a0 }}: parameters of the run and of the task. Empty = none.
  std::string_view target{};

  constexpr bool operator==(const task_options&) const = default;
};

}  // namespace reprise
