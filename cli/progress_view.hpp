// What a person sees of a running run, computed without a clock or a terminal: batches of changes
// in, lines out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/style.hpp"
#include "core/time.hpp"
#include "journal/records.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

/// A task finished, or an attempt failed and another follows: worth a line.
struct TaskNews {
  TaskId task;
  std::string name;  // not escaped
  TaskState state = TaskState::success;
  bool hit = false;            // served from the cache
  std::uint32_t attempt = 0;   // the one that ended; 0 = none was made
  std::uint32_t attempts = 1;  // at most
  Duration duration{0};
  std::string message;
  std::optional<RunId> origin;  // of a hit
  std::optional<Duration> retry_in;
  std::uint32_t tasks = 1;  // told by this line; more than one only of cancelled ones
  std::uint64_t done = 0;   // tasks finished so far, these included
  std::uint64_t total = 0;
};

/// How many tasks are where. An expanded task is counted by its elements.
struct TaskCounts {
  std::uint64_t total = 0;
  std::uint64_t success = 0;  // without the two that follow
  std::uint64_t cached = 0;
  std::uint64_t skipped = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t running = 0;
  std::uint64_t ready = 0;

  [[nodiscard]] std::uint64_t done() const {
    return success + cached + skipped + failed + cancelled;
  }
  [[nodiscard]] std::uint64_t waiting() const { return total - done() - running - ready; }
};

class ProgressView {
 public:
  /// @param started  when the run began or went on, for the elapsed time.
  ProgressView(std::shared_ptr<const FlowSpec> flow, Time started);

  /// Usual durations by name of node, from earlier runs; for the time left and the hints beside
  /// running tasks.
  void set_usual(std::map<std::string, Duration> usual, unsigned slots);

  /// Takes in changes; what deserves a line is appended to `news` (may be null).
  void apply(const journal::Batch& batch, std::vector<TaskNews>* news);

  [[nodiscard]] const TaskCounts& counts() const { return counts_; }
  /// All that is known about the run's tasks.
  [[nodiscard]] const journal::RunView& run() const { return run_; }

  /// The region that is redrawn in place: at most `height` lines of at most `width` columns.
  [[nodiscard]] std::vector<std::string> render(Time now, std::size_t width, std::size_t height,
                                                Style style) const;

  /// "… 2 running, 1 waiting, 02:30 elapsed".
  [[nodiscard]] std::string heartbeat(Time now) const;

 private:
  enum class Class : std::uint8_t {
    none,
    waiting,
    ready,
    running,
    success,
    cached,
    skipped,
    failed,
    cancelled
  };
  struct Running {
    Time since;
    std::string worker;
  };
  static Class classify(TaskState state, journal::CacheOutcome cache);
  static void move(TaskCounts& counts, Class from, Class to);
  void recount();
  [[nodiscard]] std::vector<std::string> group_lines(std::size_t columns, Style style) const;
  [[nodiscard]] std::string running_line(std::uint32_t task, Time now, std::size_t columns,
                                         Style style) const;
  [[nodiscard]] const Duration* usual_of(TaskId task) const;
  [[nodiscard]] std::string counts_line(Style style) const;
  [[nodiscard]] std::string bar_line(Time now, std::size_t width, Style style) const;
  [[nodiscard]] std::optional<Duration> time_left(Time now) const;

  journal::RunView run_;
  Time started_;
  TaskCounts counts_;
  std::vector<TaskCounts> groups_;  // per node
  std::vector<Class> class_;        // per task; none: its elements count instead
  std::unordered_map<std::uint32_t, Running> running_;
  std::map<std::string, Duration> usual_;
  unsigned slots_ = 1;
};

/// Tasks that were cancelled for the same reason are one piece of news, however many they are.
void join_cancelled(std::vector<TaskNews>& news);

/// "[6/8] ✗ failed     align[s3]  52.1 s  exit 2, attempt 1/3, retry in 5.0 s".
[[nodiscard]] std::string counter_line(const TaskNews& news, Style style);
/// "✓ align[s3]  1m 04s  attempt 2": for what scrolls by above the region.
[[nodiscard]] std::string finished_line(const TaskNews& news, Style style);
/// The head of a failure's block, its last log lines, and how to see the rest.
[[nodiscard]] std::vector<std::string> failure_block(const TaskNews& news,
                                                     const std::vector<std::string>& log_tail,
                                                     std::string_view run, Style style);

/// "00:41", "1:02:03": a clock that counts up.
[[nodiscard]] std::string clock_text(Duration duration);
/// `name` as a word of a shell command line.
[[nodiscard]] std::string shell_word(std::string_view name);

}  // namespace reprise::cli
