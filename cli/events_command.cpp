// `reprise events`: a run's changes of state with their offsets.
#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/documents.hpp"
#include "cli/poll_pause.hpp"
#include "cli/run_place.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t changes_per_read = 10'000;

/// The states on the way to the last one, each as a change of its own. What the attempt was belongs
/// to the state it ended in; what followed is the change's own state.
std::vector<journal::TaskChange> one_by_one(const journal::TaskChange& change) {
  const std::vector<TaskState> states = journal::states_on_the_way(change);
  std::vector<journal::TaskChange> all(states.size(), change);
  for (std::size_t i = 0; i + 1 < states.size(); ++i) {
    all[i].state = states[i];
    all[i].cache = journal::CacheOutcome::none;
    if (!all[i].detail) continue;
    all[i].detail->start_time.reset();
    // What stands in for a failure is no part of it.
    if (!all[i].detail->expired) continue;
    all[i].detail->expired.reset();
    all[i].detail->origin.reset();
    all[i].result = {};
  }
  return all;
}

/// "   81204  2026-11-20T17:02:11.004312Z  ✓ success  align[s3]  attempt 2".
std::string task_line(journal::Offset offset, const std::string& task_name,
                      const journal::TaskChange& change, Style style) {
  const auto [shown, stored] = shown_state(change.state, change.cache);
  std::string line = fmt::format(
      "{:>8}  {}  {}  {}", offset, to_rfc3339(change.at),
      style(ink(shown), fmt::format("{} {}", glyph(shown), pad(name(change.state), 14))),
      escape_for_terminal(task_name));
  if (change.run_count > 1) line += fmt::format("  attempt {}", change.run_count);
  if (stored) line += "  stored";
  if (change.detail && change.detail->origin)
    line += (change.state == TaskState::running ? "  as run " : "  from run ") +
            change.detail->origin->short_text();
  if (change.detail && change.detail->width > 0)
    line += fmt::format("  width {}", change.detail->width);
  if (change.detail && !change.detail->message.empty())
    line += "  " + escape_for_terminal(change.detail->message);
  return line;
}

std::string run_line(journal::Offset offset, const journal::RunChange& change, Style style) {
  std::string line =
      fmt::format("{:>8}  {}  {}  (run)", offset, to_rfc3339(change.at),
                  style(ink(change.state),
                        fmt::format("{} {}", glyph(change.state), pad(name(change.state), 14))));
  if (!change.message.empty()) line += "  " + escape_for_terminal(change.message);
  return line;
}

}  // namespace

int events_command(const EventsOptions& options, Console& console) {
  if (options.follow && console.is_json() && !options.lines)
    return console.fail(
        {ErrorCode::invalid_argument, "a stream is no one document: use --jsonl with -f"});
  const auto place = RunPlace::open(console.options());
  if (!place) return console.fail(place.error());
  journal::Journal& journal = (*place)->journal();
  auto row = find_run(options.run, journal);
  if (!row) return console.fail(row.error());
  const auto flow = flow_of(journal, *row);
  if (!flow) return console.fail(flow.error());

  // Names of elements come from earlier changes, so reading starts at the beginning whatever
  // --after says.
  journal::RunView view(*flow);
  Json events = Json::array();
  journal::Offset position = 0;
  bool is_last = !options.follow;
  PollPause pause;
  while (console.is_open()) {
    const auto entries = journal.read(row->id, position, changes_per_read);
    if (!entries) return console.fail(entries.error());
    if (entries->empty()) {
      if (is_last) break;
      // Asked before looking a last time: what was told until then is read.
      const auto state = (*place)->state(*row);
      if (!state) return console.fail(state.error());
      is_last =
          is_finished(*state) || *state == RunState::interrupted || *state == RunState::paused;
      if (is_last) continue;
      console.flush();
      std::this_thread::sleep_for(pause.next());
      continue;
    }
    pause.reset();
    for (const auto& [first, batch] : *entries) {
      if (const auto status = view.apply(batch); !status) return console.fail(status.error());
      journal::Offset offset = first;
      const auto emit = [&](journal::Offset at, const auto& make_json, const auto& make_line) {
        if (at <= options.after) return;
        if (console.is_json() && !options.lines)
          events.push_back(make_json(at));
        else if (options.lines)
          console.out(to_line(make_json(at)));
        else
          console.out(make_line(at));
      };
      for (const journal::TaskChange& change : batch.tasks) {
        const std::string task = view.task_name(change.task);
        const auto states = one_by_one(change);
        for (std::size_t i = 0; i < states.size(); ++i)
          emit(
              offset,
              [&](journal::Offset at) {
                Json event = event_json(row->id, task, states[i], at);
                if (i + 1 < states.size()) event["on_the_way"] = true;
                return event;
              },
              [&](journal::Offset at) {
                return task_line(at, task, states[i], console.out_style());
              });
        ++offset;
      }
      if (batch.change) {
        // Not the structured binding: clang 14 cannot capture one.
        const journal::RunChange& change = *batch.change;
        emit(
            offset, [&](journal::Offset at) { return event_json(row->id, change, at); },
            [&](journal::Offset at) { return run_line(at, change, console.out_style()); });
      }
      position = first + batch.count() - 1;
    }
  }
  if (console.is_json() && !options.lines)
    return console.document(
        {{"schema", "reprise.events/1"}, {"run", row->id.text()}, {"events", std::move(events)}},
        exit_ok, "events");
  return exit_ok;
}

}  // namespace reprise::cli
