// What came out of a run, and how it differs from what was expected.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reprise/state.hpp"
#include "tests/conformance/case_file.hpp"

namespace reprise::conformance {

struct Observation {
  std::optional<std::string> refusal;  // why the run was not accepted; all else is empty then
  bool is_over = true;                 // false: the deadline passed
  std::string flow;                    // class name of the run's state
  std::map<std::string, given_state> states;
  std::map<std::string, std::vector<std::string>> history;  // class names
  std::map<std::string, std::uint64_t> executions, handler_calls, failure_calls;
  double seconds = 0;  // by the engine's clock
};

struct Difference {
  std::string member;  // "expect.a"
  std::string wanted;
  std::string got;
};

/// How exactly a run must be as expected.
enum class Precision {
  exact,
  // A process was killed and another went on: handlers may have been asked twice, and what the
  // first told nobody heard.
  continued,
};

/// @param expectations  the members of a case, or of one of its runs before
/// @param where         put before the names of members
[[nodiscard]] std::vector<Difference> differences(const Json& expectations,
                                                  const std::string& where,
                                                  const Observation& observed,
                                                  Precision precision = Precision::exact);

}  // namespace reprise::conformance
