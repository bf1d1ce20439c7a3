// A case's tasks as a flow, made with the public interface alone.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "reprise/reprise.hpp"
#include "tests/conformance/case_file.hpp"
#include "tests/conformance/tally.hpp"

namespace reprise::conformance {

/// Numbers of the tasks in a tally: their places in the case.
[[nodiscard]] std::map<std::string, std::size_t> task_numbers(const Json& test_case);

/// The case's flow has a parameter of this name.
[[nodiscard]] bool has_parameter(const Json& test_case, const std::string& name);

/// @param tally  outlives the flow and its runs
/// @throws bad_case: the case makes no sense to this runner; usage_error: the interface refuses it
[[nodiscard]] flow build_flow(const Json& test_case, Tally& tally);

/// {"state": "Retrying", "start_in_s": 5, …} or "Failed".
/// @param now  what times count from
[[nodiscard]] given_state state_in(const Json& description,
                                   std::chrono::system_clock::time_point now);

}  // namespace reprise::conformance
