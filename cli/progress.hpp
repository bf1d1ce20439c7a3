// Shows a run while it runs: takes changes from the engine without holding it up, and draws from a
// thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cli/console.hpp"
#include "cli/progress_view.hpp"
#include "cli/terminal.hpp"

namespace reprise::cli {

/// What `auto` means here: a bar on a terminal that can move its cursor, lines else.
[[nodiscard]] ProgressChoice resolve(ProgressChoice choice, bool stderr_is_terminal,
                                     const char* term);

class Progress {
 public:
  struct Options {
    ProgressChoice choice = ProgressChoice::counter;  // resolved
    bool github = false;    // GITHUB_ACTIONS=true: ::group:: and ::error:: lines
    std::string flow_file;  // for those lines
  };
  Progress(std::shared_ptr<const FlowSpec> flow, Time started, Console& console, Options options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// For Engine::listen: queues, nothing else.
  void take(const journal::Batch& batch);
  /// The run is known; what it went through before is counted, not told. Drawing begins.
  void start(const RunId& run, std::filesystem::path run_folder,
             const std::vector<journal::Batch>& past);
  void set_usual(std::map<std::string, Duration> usual, unsigned slots);

  /// A line for people, above the region.
  void say(std::string line);
  /// Takes the region away and shows the cursor, until resume(): before the process stops.
  void suspend();
  void resume();
  /// Tells what is left to tell and takes the region away. Called once; the destructor does it
  /// otherwise.
  void finish();

  /// After finish(): the first failures, and the task that took longest.
  [[nodiscard]] const std::vector<TaskNews>& failures() const { return failures_; }
  [[nodiscard]] const std::optional<TaskNews>& slowest() const { return slowest_; }
  [[nodiscard]] std::uint64_t retried() const { return retried_; }
  /// What is known of the run's tasks.
  [[nodiscard]] const journal::RunView& run() const { return view_.run(); }
  [[nodiscard]] std::uint64_t failure_count() const { return failure_count_; }

 private:
  void loop();
  void step(bool is_last);
  void tell(const TaskNews& news, std::vector<std::string>& lines);
  void add_events(const journal::Batch& batch, std::string& text) const;
  void repaint(std::vector<std::string> above, bool with_region);
  /// Lines go into foldable groups of a GitHub log.
  [[nodiscard]] bool has_groups() const;
  void set_group(bool open, std::vector<std::string>& lines);
  [[nodiscard]] std::string annotation(const TaskNews& news) const;
  [[nodiscard]] std::vector<std::string> log_tail(const TaskNews& news) const;

  Console& console_;
  const Options options_;
  const int fd_ = 2;

  std::mutex mutex_;  // guards the next four
  std::condition_variable changed_;
  std::vector<journal::Batch> queue_;
  std::vector<std::string> said_;
  bool ending_ = false;

  std::mutex drawing_;  // held while drawing; guards the rest
  ProgressView view_;
  RegionPainter painter_;
  std::optional<CursorInsurance> insurance_;
  bool suspended_ = false;
  RunId run_;
  std::filesystem::path run_folder_;
  std::vector<TaskNews> failures_;
  std::optional<TaskNews> slowest_;
  std::uint64_t retried_ = 0;
  std::uint64_t failure_count_ = 0;
  Time last_line_;
  Time last_paint_;
  bool finished_ = false;
  bool group_is_open_ = false;
  std::thread thread_;
};

}  // namespace reprise::cli
