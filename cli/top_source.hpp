// What `reprise top` shows, kept up to date: runs, the tasks of those that are under way or opened,
// one log, and the workers of a server.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/run_place.hpp"
#include "cli/top_view.hpp"

namespace reprise::cli {

class TopSource {
 public:
  explicit TopSource(const GlobalOptions& options);

  /// Looks for news: of the runs, and of what is on that page.
  void update(TopView::Page page, const std::optional<RunId>& run,
              const std::optional<TaskId>& task);
  [[nodiscard]] const TopData& data() const { return data_; }

 private:
  struct Known {
    journal::RunView view;
    journal::Offset after = 0;
  };
  struct Log {
    LogSource source;
    RunId run;
    std::uint64_t offset = 0;
    std::string rest;  // of an unfinished line
  };
  Status update_runs();
  Result<const Known*> follow(const journal::RunRow& row);
  /// What is shown is a copy: it is read while this one goes on.
  void show(const RunId& run, const Known& known);
  Status update_log(const RunId& run, TaskId task);
  void update_workers();

  const GlobalOptions& options_;
  std::unique_ptr<RunPlace> place_;
  std::map<RunId, Known> known_;
  std::optional<Log> log_;
  journal::Offset shown_after_ = 0;  // up to where data_.view is
  TopData data_;
};

}  // namespace reprise::cli
