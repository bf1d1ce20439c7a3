// One case on one engine: its runs one after the other, sharing cache, clock and counts.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "reprise/reprise.hpp"
#include "tests/conformance/case_file.hpp"
#include "tests/conformance/observation.hpp"
#include "tests/conformance/tally.hpp"

namespace reprise::conformance {

using Deadline = std::chrono::steady_clock::time_point;

/// Where an engine keeps things.
struct Place {
  std::filesystem::path data{};  // empty: in memory
  std::string redis{};           // address of a server that keeps results, too; empty: none
};

class CaseEngine {
 public:
  /// @param tally  outlives the bench
  /// @throws usage_error: the engine cannot start
  CaseEngine(const Json& test_case, Tally& tally, const Place& place, Deadline deadline);

  /// Executes run `number`, from 0, of runs_of(). The run before has been executed, or its states
  /// and the clock's time were given.
  /// @param begun  another process began with this run then, and was killed; none: nobody did
  /// @throws bad_case
  Observation execute(std::size_t number,
                      std::optional<std::chrono::system_clock::time_point> begun = {});

  [[nodiscard]] const std::map<std::string, given_state>& states() const { return states_; }
  void set_states(std::map<std::string, given_state> states) { states_ = std::move(states); }
  [[nodiscard]] std::chrono::system_clock::time_point now() const { return clock_.now(); }
  /// Time does not go back: a time that has passed changes nothing.
  void set_time(std::chrono::system_clock::time_point now);

 private:
  submit_options options_of(const Json& members);
  void set_parameters(submit_options& made, const Json& options) const;
  std::map<std::string, given_state> initial_states(const Json& options);
  void set_start(submit_options& options, const Json& state) const;
  void observe(const run& started, const submit_options& submitted, Observation& observed) const;

  const Json& case_;
  Tally& tally_;
  skipping_clock clock_;
  engine engine_;
  Deadline deadline_;
  std::optional<flow> flow_;
  std::map<std::string, given_state> states_;  // of the run before
};

/// Options of the engines of this program.
[[nodiscard]] engine_options engine_for_cases(const Place& place, unsigned slots,
                                              const skipping_clock& clock);

}  // namespace reprise::conformance
