// Runs wherever they are: in the data directory, or with --server behind a link.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/console.hpp"
#include "journal/journal.hpp"
#include "worker/task_log.hpp"

namespace reprise::cli {

/// One log: a stream of an attempt of a task.
struct LogSource {
  TaskId task;
  std::uint32_t attempt = 1;
  worker::Stream stream = worker::Stream::out;
  auto operator<=>(const LogSource&) const = default;
};

class RunPlace {
 public:
  /// @error as open_for_reading(), or connect_client()
  [[nodiscard]] static Result<std::unique_ptr<RunPlace>> open(const GlobalOptions& options);
  virtual ~RunPlace() = default;

  [[nodiscard]] virtual journal::Journal& journal() = 0;
  /// The state of a run right now; `row` is brought up to date.
  [[nodiscard]] virtual Result<RunState> state(journal::RunRow& row) = 0;
  /// Up to `limit` bytes of a log; empty at its end, and when there is none.
  [[nodiscard]] virtual Result<std::string> read_log(const RunId& run, const LogSource& log,
                                                     std::uint64_t offset, std::size_t limit) = 0;
  /// Looking at many logs costs a question each.
  [[nodiscard]] virtual bool is_far() const = 0;
};

}  // namespace reprise::cli
