// Running one program to its end: its output captured from the first byte, and nothing of it left
// behind.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/time.hpp"
#include "worker/enforcement.hpp"

namespace reprise::worker {

/// Takes what a process writes, in the order written. Called from the thread that runs the process.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  virtual void write(std::string_view bytes) = 0;
};

struct ProcessSpec {
  std::string program;                 // path of the file to run; absolute, or relative to `folder`
  std::vector<std::string> arguments;  // argv, its own name first
  std::vector<std::string> environment;  // "NAME=value"; all there is
  std::string folder;                    // to run in; absolute
  std::string mark;  // the entry of `environment` by which its descendants are recognised
  Duration grace{std::chrono::seconds{10}};  // between SIGTERM and SIGKILL
  std::uint64_t memory_bytes = 0;            // that it and all it starts may use; 0 = no limit
  std::uint32_t cpu_milli = 1000;            // share of the processors, where they are short
  Enforcement* enforcement = nullptr;        // null: memory is limited by RLIMIT_AS
};

struct ProcessEnd {
  std::int32_t exit_code = 0;   // when signal = 0
  std::int32_t signal = 0;      // that ended it
  bool stopped = false;         // it was asked to stop before it ended
  bool out_of_memory = false;   // somebody of it was killed because it wanted more than it may use
  std::uint32_t left_over = 0;  // background processes that were still running and have been ended
};

/// Runs a program and waits for it. It starts in a process group of its own, with /dev/null as
/// input, no other open files, and every signal at its default. It leaves no core dump.
///
/// When `stop` is requested, the program and everything it started get SIGTERM and, after the grace
/// time, SIGKILL. After its end, whatever it left running is ended as well, with at most two
/// seconds of grace.
/// @error not_found, denied, io, exhausted: it could not be started; the message is the reason
/// alone Blocks. Safe from any thread.
[[nodiscard]] Result<ProcessEnd> run_process(const ProcessSpec& spec, OutputSink& out,
                                             OutputSink& err, std::stop_token stop);

}  // namespace reprise::worker
