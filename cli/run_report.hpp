// A run as one page for people: everything in it, nothing from elsewhere, no scripts. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/recorded_run.hpp"
#include "cli/state_columns.hpp"

namespace reprise::cli {

struct RunReport {
  const RecordedRun& run;
  Time made;  // the page

  struct Failure {
    TaskId task;
    std::vector<std::string> lines;  // the first that it printed, as they are
    bool has_more = false;
  };
  std::vector<Failure> failures{};  // the first ones
  std::uint64_t failures_left = 0;  // besides these

  // What the hits would have cost, as far as the runs that made them are still there.
  Duration saved{0};
  std::uint64_t saved_unknown = 0;  // hits of which that is not known
  std::map<std::string, Payload> outputs{};
};

[[nodiscard]] std::string report_page(const RunReport& report);

}  // namespace reprise::cli
