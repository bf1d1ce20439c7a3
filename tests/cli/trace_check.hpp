// Whether a Chrome trace is one: what its viewers would complain about, found by a look of our own.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace reprise::cli::test {

/// Empty: slices nest on every thread, threads and processes that have slices have names, and every
/// arrow begins and ends within a slice. Else the first thing that is not so.
std::string trace_violation(const nlohmann::json& trace);

}  // namespace reprise::cli::test
