// Cases about cache policies: a list of calls, made one after the other in the flow runs that they
// name.
#pragma once

#include <filesystem>
#include <vector>

#include "tests/conformance/case_engine.hpp"
#include "tests/conformance/observation.hpp"
#include "tests/conformance/tally.hpp"

namespace reprise::conformance {

[[nodiscard]] bool is_policy_case(const Json& test_case);

/// Makes the calls and compares what they gave.
///
/// @param is_continued  another process began with it
/// @throws bad_case
[[nodiscard]] std::vector<Difference> run_policy_case(const Json& test_case, Tally& tally,
                                                      const Place& place, Deadline deadline,
                                                      bool is_continued = false);

}  // namespace reprise::conformance
