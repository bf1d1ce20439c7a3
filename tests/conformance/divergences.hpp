// Where this product answers differently from the systems that the cases were taken from, on
// purpose.
#pragma once

#include <string>

#include "tests/conformance/case_file.hpp"

namespace reprise::conformance {

/// The page of docs/decisions that says why this case, which is marked `divergence_ok`, may come
/// out differently; empty: none does. A case is known by what it is about, not by its id.
[[nodiscard]] std::string decision_about(const Json& test_case);

}  // namespace reprise::conformance
