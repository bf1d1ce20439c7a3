// Cases in processes of their own, several at a time: one that crashes or hangs fails alone.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "tests/conformance/case_runner.hpp"

namespace reprise::conformance {

/// Runs all cases. To be called while this process has one thread only: it forks.
///
/// @param run       is called in another process
/// @param deadline  of one case; one that takes longer is killed and differs
/// @param told      of the verdicts, in the order of the cases
void run_in_processes(const std::vector<Json>& cases,
                      const std::function<Verdict(const Json&)>& run, std::chrono::seconds deadline,
                      const std::function<void(const Verdict&)>& told);

/// Writes and reads all of it; false: the other side is gone.
bool write_all(int file, const std::string& bytes);
bool read_all(int file, void* bytes, std::size_t size);
/// With its length before it.
bool write_message(int file, const std::string& message);
bool read_message(int file, std::string& message);

}  // namespace reprise::conformance
