// A whole case whose runs are killed on the way and continued by other processes.
#pragma once

#include <cstdint>

#include "tests/conformance/case_runner.hpp"

namespace reprise::conformance {

/// Runs each run of the case in a process that kills itself at an event drawn from `seed`, the case
/// and the run, and has another one continue it. States and results must be as expected, and no
/// finished attempt may count twice; handlers may have been asked more often. A run that ends
/// before its event comes is not killed. To be called while this process has one thread only: it
/// forks.
/// @param redis  as for run_case
[[nodiscard]] Verdict run_case_with_crashes(const Json& test_case, std::uint64_t seed,
                                            const std::string& redis = {});

}  // namespace reprise::conformance
