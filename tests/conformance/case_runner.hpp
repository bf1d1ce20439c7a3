// A whole case in this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/conformance/observation.hpp"

namespace reprise::conformance {

struct Verdict {
  std::string id;
  std::vector<Difference> differences;  // none: it came out as expected
  std::string decision;                 // why it may differ; empty: it may not
  std::uint32_t kills = 0;              // processes that were killed on the way
};

/// Runs the case on an engine of its own, in memory, for at most ten seconds.
/// @param redis  address of a server, with a prefix that nobody else uses; every run then has an
/// engine of its own, so that what it finds in the cache came from there. Empty: none
[[nodiscard]] Verdict run_case(const Json& test_case, const std::string& redis = {});

/// What a case that this runner cannot make sense of has wrong.
[[nodiscard]] Difference misunderstanding(const std::string& why);

/// `verdict` with the reason that allows it to differ, where there is one.
[[nodiscard]] Verdict judged(const Json& test_case, std::vector<Difference> differences);

}  // namespace reprise::conformance
