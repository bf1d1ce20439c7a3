// What `reprise top` shows and how it takes keys, without a terminal, a clock or a journal: data
// in, lines out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/state_columns.hpp"
#include "cli/style.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

/// A key as it was pressed.
struct KeyPress {
  enum class Kind : std::uint8_t {
    text,  // one character
    enter,
    escape,
    backspace,
    up,
    down,
    page_up,
    page_down,
    home,
    end,
    other
  };
  Kind kind = Kind::other;
  std::string text{};
  bool operator==(const KeyPress&) const = default;
};

/// Takes whole keys from the front of what a terminal sent. What may be the beginning of one stays,
/// unless nothing more follows (`is_all`): then a lone ESC is the key Escape.
[[nodiscard]] std::vector<KeyPress> take_keys(std::string& bytes, bool is_all);

/// Somebody runs it.
[[nodiscard]] bool is_under_way(RunState state);

/// What there is to show.
struct TopData {
  struct Run {
    journal::RunRow row;
    RunState state = RunState::queued;
    std::optional<StateColumns> tasks;  // none = not known
  };
  std::string place;                             // data directory, or server
  std::vector<Run> runs;                         // newest first
  std::shared_ptr<const journal::RunView> view;  // of `view_run`; null: not known
  std::optional<RunId> view_run;
  std::vector<std::string> workers;  // lines: a head, then one for each
  std::optional<TaskId> log_task;    // of that run: whose log this is
  std::vector<std::string> log;      // last lines of the opened task, as they were printed
  std::string trouble;               // why this may be old; empty = it is not
  std::optional<Time> as_of;         // when it was so; none = never looked yet
};

class TopView {
 public:
  enum class Page : std::uint8_t { runs, tasks, workers, logs };

  /// What a key asks for that is not the view's to do.
  struct Wish {
    enum class Kind : std::uint8_t { none, quit, cancel };
    Kind kind = Kind::none;
    std::string run{};   // of cancel
    std::string task{};  // empty = the whole run
    bool operator==(const Wish&) const = default;
  };
  Wish press(const KeyPress& key, const TopData& data);

  /// A line at the bottom, until the next key: what became of a wish.
  void say(std::string text) { said_ = std::move(text); }

  /// At most `rows` lines of at most `columns` columns.
  [[nodiscard]] std::vector<std::string> render(const TopData& data, Time now, std::size_t columns,
                                                std::size_t rows, Style style);

  [[nodiscard]] Page page() const { return page_; }
  /// The run that was opened, and its task.
  [[nodiscard]] const std::optional<RunId>& run() const { return run_; }
  [[nodiscard]] const std::optional<TaskId>& task() const { return task_; }

 private:
  /// The tasks of the chosen run; null: they were not read yet.
  [[nodiscard]] const journal::RunView* view_of(const TopData& data) const;
  [[nodiscard]] std::vector<std::size_t> shown_runs(const TopData& data) const;
  [[nodiscard]] std::vector<TaskId> shown_tasks(const TopData& data) const;
  [[nodiscard]] std::size_t count(const TopData& data) const;
  void move(std::int64_t by, std::size_t count);
  void go(Page page, const TopData& data);
  void open(const TopData& data);
  void ask_cancel(const TopData& data);
  [[nodiscard]] std::size_t place_of_chosen(const TopData& data) const;
  void choose(std::size_t place, const TopData& data);
  [[nodiscard]] std::vector<std::string> body(const TopData& data, Time now, std::size_t columns,
                                              std::size_t rows, Style style);
  [[nodiscard]] std::string bottom(Style style) const;

  Page page_ = Page::runs;
  std::optional<RunId> run_;    // chosen among the runs, which is the one that is open
  std::optional<TaskId> task_;  // chosen among the tasks
  std::map<Page, std::string> filter_;
  std::map<Page, std::size_t> top_;  // first row that is shown
  std::size_t scroll_ = 0;           // lines from the end: workers, logs
  std::size_t height_ = 10;          // rows of the list when it was last drawn
  bool is_typing_ = false;           // the filter
  std::optional<Wish> asking_;
  std::string said_;
};

/// "01JD4Q7ZK8  align  ▶ running  ✓ 3  ▶ 1": a run where there is no screen.
[[nodiscard]] std::string top_line(const TopData::Run& run, Style style);

/// The bytes that turn what is on the screen into `now`: only lines that differ are written.
[[nodiscard]] std::string screen_changes(const std::vector<std::string>& before,
                                         const std::vector<std::string>& now);

}  // namespace reprise::cli
