// `reprise wait`, `reprise cancel` and `reprise pause`: dealing with runs of other processes.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "actors/idle_runs.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/poll_pause.hpp"
#include "cli/run_selector.hpp"
#include "cli/steering.hpp"
#include "cli/text.hpp"
#include "cluster/control_socket.hpp"

namespace reprise::cli {
namespace {

struct Waited {
  journal::RunRow row;
  RunState state = RunState::queued;
  /// Nothing more happens to it by itself.
  [[nodiscard]] bool is_over() const {
    return is_finished(state) || state == RunState::interrupted || state == RunState::paused;
  }
};

int finish_waiting(const std::vector<Waited>& runs, int code, Console& console) {
  if (console.is_json()) {
    Json list = Json::array();
    for (const Waited& run : runs) list.push_back(row_json(run.row, run.state));
    return console.document({{"schema", "reprise.wait/1"},
                             {"timed_out", code == exit_timeout},
                             {"runs", std::move(list)}},
                            code, "runs");
  }
  const Style style = console.err_style();
  for (const Waited& run : runs) {
    std::string line = fmt::format(
        "run {}  {}  {}", run.row.id.short_text(), escape_for_terminal(run.row.flow_name),
        style(ink(run.state), fmt::format("{} {}", glyph(run.state), name(run.state))));
    if (run.row.finished) line += " in " + describe(*run.row.finished - run.row.submitted);
    if (run.state == RunState::interrupted)
      line += fmt::format("; continue: reprise resume {}", run.row.id.short_text());
    console.say(line);
  }
  return code;
}

/// A run that nobody runs is cancelled in its journal.
Status cancel_in_journal(const GlobalOptions& globals, const journal::RunRow& row,
                         const std::string& reason) {
  auto writing = open_for_writing(globals);
  if (!writing) return tl::unexpected(writing.error());
  const auto all = cancel_idle(*writing->journal, writing->folder, row, reason, now());
  if (!all) return tl::unexpected(all.error());
  for (const Cancellation& each : *all) {
    if (const auto offset = writing->journal->append({&each.batch, 1}); !offset)
      return tl::unexpected(offset.error());
    if (Status set = writing->journal->set_summary(each.batch.run, each.summary); !set) return set;
  }
  return {};
}

}  // namespace

int wait_command(const WaitOptions& options, Console& console) {
  if (!console.options().server.empty()) return wait_for_remote(options, console);
  auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  const auto rows = find_runs(options.runs, *reading->journal);
  if (!rows) return console.fail(rows.error());
  std::vector<Waited> runs;
  for (const journal::RunRow& row : *rows) runs.push_back({row});

  const auto begin = std::chrono::steady_clock::now();
  PollPause pause;
  for (;;) {
    bool all_over = true;
    for (Waited& run : runs) {
      if (run.is_over()) continue;
      const auto state = current_state(*reading, run.row);
      if (!state) return console.fail(state.error());
      run.state = *state;
      all_over = all_over && run.is_over();
      if (options.until == "succeeded" && run.is_over() && run.state != RunState::success)
        return finish_waiting(runs, exit_code_of(run.state), console);
    }
    if (all_over) break;
    auto rest = std::chrono::steady_clock::duration(pause.next());
    if (options.timeout) {
      const auto left = begin + *options.timeout - std::chrono::steady_clock::now();
      if (left <= std::chrono::steady_clock::duration{0})
        return finish_waiting(runs, exit_timeout, console);
      rest = std::min<std::chrono::steady_clock::duration>(rest, left);
    }
    std::this_thread::sleep_for(rest);
  }
  int code = exit_ok;
  for (const Waited& run : runs)
    if (code == exit_ok) code = exit_code_of(run.state);
  return finish_waiting(runs, code, console);
}

int cancel_command(const CancelOptions& options, Console& console) {
  if (!console.options().server.empty()) return steer_remote(Steering::cancel, options, console);
  auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  auto row = find_run(options.run, *reading->journal);
  if (!row) return console.fail(row.error());
  auto state = current_state(*reading, *row);
  if (!state) return console.fail(state.error());
  if (is_finished(*state))
    return console.fail({ErrorCode::conflict, fmt::format("run {} is finished already ({})",
                                                          row->id.short_text(), name(*state))});

  RunState now_in = RunState::cancelling;
  Status status = fail(ErrorCode::not_found, "nobody runs it");
  if (*state != RunState::interrupted)
    status = cluster::ask_control(reading->folder.run_folder(row->id),
                                  {"cancel", options.tasks, options.reason});
  // What waits for a person need not have a process, and what was interrupted has none.
  const bool is_idle = *state == RunState::interrupted || *state == RunState::paused;
  if (!status && status.error().code == ErrorCode::not_found && is_idle) {
    if (!options.tasks.empty())
      return console.fail(
          {ErrorCode::conflict, fmt::format("run {} is {}; cancel all of it, or resume it first",
                                            row->id.short_text(), name(*state))});
    status = cancel_in_journal(console.options(), *row, options.reason);
    if (!status) return console.fail(status.error());
    now_in = RunState::cancelled;
  } else if (!status) {
    // It may have ended while we were asking.
    state = current_state(*reading, *row);
    if (state && is_finished(*state))
      return console.fail({ErrorCode::conflict, fmt::format("run {} is finished already ({})",
                                                            row->id.short_text(), name(*state))});
    if (status.error().code == ErrorCode::not_found && options.tasks.empty())
      return console.fail(
          {ErrorCode::unavailable, fmt::format("run {} cannot be reached: {}", row->id.short_text(),
                                               status.error().message)});
    return console.fail(status.error());
  }
  if (console.is_json())
    return console.document(
        {{"schema", "reprise.cancel/1"},
         {"run", row->id.text()},
         {"tasks", options.tasks},
         {"state", options.tasks.empty() ? name(now_in) : name(RunState::running)}});
  if (!options.tasks.empty())
    console.say(fmt::format("run {}: cancelling {}", row->id.short_text(),
                            counted(options.tasks.size(), "task")));
  else
    console.say(fmt::format("run {}: {}   ·   reprise wait {}", row->id.short_text(), name(now_in),
                            row->id.short_text()));
  return exit_ok;
}

int pause_command(const CancelOptions& options, Console& console) {
  if (!console.options().server.empty()) return steer_remote(Steering::pause, options, console);
  auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  auto row = find_run(options.run, *reading->journal);
  if (!row) return console.fail(row.error());
  const auto state = current_state(*reading, *row);
  if (!state) return console.fail(state.error());
  if (*state != RunState::running)
    return console.fail({ErrorCode::conflict, fmt::format("run {} is {}; only a running one can be "
                                                          "paused",
                                                          row->id.short_text(), name(*state))});
  const std::string reason = options.reason.empty() ? "paused by a person" : options.reason;
  const auto status =
      cluster::ask_control(reading->folder.run_folder(row->id), {"pause", options.tasks, reason});
  if (!status) return console.fail(status.error());
  if (console.is_json())
    return console.document(
        {{"schema", "reprise.pause/1"}, {"run", row->id.text()}, {"tasks", options.tasks}});
  console.say(fmt::format(
      "run {}: {} paused once what runs has ended   ·   reprise resume {}", row->id.short_text(),
      options.tasks.empty() ? "all of it" : counted(options.tasks.size(), "task"),
      row->id.short_text()));
  return exit_ok;
}

}  // namespace reprise::cli
