// What commands print: two files per attempt below the run's folder, logs/<task>.<attempt>.out and
// .err.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/id.hpp"
#include "core/result.hpp"
#include "worker/file_descriptor.hpp"
#include "worker/process.hpp"

namespace reprise::worker {

enum class Stream : std::uint8_t { out, err };

/// "…/logs/17.1.out". The task's name is no part of it: names are data.
[[nodiscard]] std::filesystem::path log_path(const std::filesystem::path& run_folder, TaskId task,
                                             std::uint32_t attempt, Stream stream);

struct LogLimits {
  std::uint64_t stream_bytes = 64ull << 20;  // of one stream of one attempt
  std::uint64_t run_bytes = 4ull << 30;      // of all logs of a run
};

/// How much a run's logs may still grow. Shared by the attempts of a run, safe from any thread.
class LogBudget {
 public:
  explicit LogBudget(LogLimits limits, std::uint64_t used = 0) : limits_(limits), used_(used) {}

  [[nodiscard]] const LogLimits& limits() const { return limits_; }
  /// How many of `bytes` still fit; they count as used.
  [[nodiscard]] std::uint64_t take(std::uint64_t bytes);

 private:
  const LogLimits limits_;
  std::atomic<std::uint64_t> used_;
};

/// Bytes in the logs of a run, for the budget of a run that goes on.
[[nodiscard]] std::uint64_t logged_bytes(const std::filesystem::path& run_folder);

/// Writes one log. The file is made at the first byte. What goes beyond a limit is dropped after a
/// line that says so. Not safe for concurrent use.
class LogWriter final : public OutputSink {
 public:
  /// Of one stream of one attempt. `run_folder` and `budget` must outlive it. `appends`: what is in
  /// the file already stays.
  LogWriter(std::string_view run_folder, TaskId task, std::uint32_t attempt, Stream stream,
            LogBudget& budget, bool appends = false)
      : run_folder_(run_folder),
        task_(task),
        attempt_(attempt),
        stream_(stream),
        budget_(budget),
        appends_(appends) {}

  void write(std::string_view bytes) override;
  [[nodiscard]] bool is_truncated() const { return is_truncated_; }
  /// What went wrong; the command went on all the same.
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  [[nodiscard]] std::filesystem::path path() const {
    return log_path(run_folder_, task_, attempt_, stream_);
  }
  bool open();
  void append(std::string_view bytes);
  void truncate_here();

  // Its path, which most never need, for most commands print nothing.
  std::string_view run_folder_;
  TaskId task_;
  std::uint32_t attempt_;
  Stream stream_;
  LogBudget& budget_;
  bool appends_;
  FileDescriptor file_;
  std::uint64_t written_ = 0;
  char last_ = '\n';
  bool is_truncated_ = false;
  Status status_;
};

/// Reads a log, also while it is being written.
class LogReader {
 public:
  [[nodiscard]] std::uint64_t size() const;
  /// Up to `limit` bytes from `offset`; empty at the end.
  [[nodiscard]] Result<std::string> read(std::uint64_t offset, std::size_t limit) const;
  /// The last `lines` lines, at most the last `limit` bytes; a last line without line end counts.
  [[nodiscard]] Result<std::string> tail(std::size_t lines, std::size_t limit = 1 << 20) const;

 private:
  friend Result<LogReader> open_log(const std::filesystem::path&, TaskId, std::uint32_t, Stream);
  explicit LogReader(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

/// @error not_found: nothing was printed, or there was no such attempt; io
[[nodiscard]] Result<LogReader> open_log(const std::filesystem::path& run_folder, TaskId task,
                                         std::uint32_t attempt, Stream stream);

}  // namespace reprise::worker
