// Values of cases: JSON in the file, reprise::value in a flow.
#pragma once

#include <optional>
#include <string>

#include "reprise/value.hpp"
#include "tests/conformance/case_file.hpp"

namespace reprise::conformance {

[[nodiscard]] value to_value(const Json& json);
[[nodiscard]] Json to_json(const value& any);

/// `got` is what a case expects: equal, numbers by what they are worth; {"exception": "Boom"} is a
/// failure of that type, whatever its namespace, also inside of lists and maps; no result is null.
[[nodiscard]] bool is_expected(const Json& wanted, const std::optional<value>& got);

/// As the bodies of cases compare: true is 1, too.
[[nodiscard]] bool equal_in_bodies(const value& any, const Json& other);

/// a + b of numbers, texts or lists. @throws std::runtime_error: of anything else
[[nodiscard]] value plus(const value& a, const value& b);

}  // namespace reprise::conformance
