// A plan in one line.
#pragma once

#include <optional>
#include <string>

#include "actors/plan.hpp"
#include "cli/options.hpp"

namespace reprise::cli {

/// "plan: 8 tasks · 5 cached (saves ~6m 10s) · 3 to run".
[[nodiscard]] std::string plan_line(const Plan& plan);

/// The line for the head of a run, if it can be told at once: nothing for large flows and for
/// those with large input files, which would be read twice.
[[nodiscard]] std::optional<std::string> quick_plan_line(
    const std::shared_ptr<const FlowSpec>& flow, const Parameters& parameters,
    const GlobalOptions& options);

}  // namespace reprise::cli
