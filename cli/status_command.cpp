// `reprise status`: one run, group by group.
#include <array>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/progress_view.hpp"
#include "cli/run_selector.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t groups_shown_max = 60;  // without -v

/// Where the tasks of a group are, in the columns people see.
struct Columns {
  std::uint64_t success = 0, cached = 0, failed = 0, running = 0, waiting = 0, cancelled = 0,
                skipped = 0;
};

Columns columns_of(const journal::StateCounts& states, std::uint64_t cached) {
  Columns c;
  for (int i = 0; i < task_state_count; ++i) {
    const auto state = static_cast<TaskState>(i);
    const std::uint64_t n = states[static_cast<std::size_t>(i)];
    if (state == TaskState::skipped)
      c.skipped += n;
    else if (state == TaskState::cancelled)
      c.cancelled += n;
    else if (is_success(state))
      c.success += n;
    else if (is_failed(state))
      c.failed += n;
    else if (is_running(state))
      c.running += n;
    else
      c.waiting += n;
  }
  c.cached = std::min(cached, c.success);
  c.success -= c.cached;
  return c;
}

Json columns_json(const Columns& c) {
  return {{"success", c.success}, {"cached", c.cached},   {"failed", c.failed},
          {"running", c.running}, {"waiting", c.waiting}, {"cancelled", c.cancelled},
          {"skipped", c.skipped}};
}

std::string waiting_reason(const journal::RunView& view, const journal::Group& group) {
  return group.waiting ? std::string(view.message(*group.waiting)) : std::string();
}

std::string note_of(const journal::RunView& view, const journal::Group& group) {
  if (!group.trouble) return waiting_reason(view, group);
  const std::string message(view.message(*group.trouble));
  return message.empty() ? std::string(name(view.state(*group.trouble))) : message;
}

Json document(const journal::RunRow& row, RunState state, const journal::RunView& view) {
  Json document{{"schema", "reprise.status/1"}};
  document.update(row_json(row, state));
  // An unfinished run's row has no counts yet; its changes have.
  document["summary"] = summary_json(row.finished ? row.summary : view.summary());
  Json groups = Json::array();
  for (const journal::Group& group : view.groups()) {
    Json item{{"group", view.flow().nodes[group.node.value].name}, {"total", group.total}};
    item.update(columns_json(columns_of(group.states, group.cached)));
    item["median_s"] = group.median ? seconds_json(*group.median) : Json(nullptr);
    const std::string note = note_of(view, group);
    item["note"] = note.empty() ? Json(nullptr) : Json(note);
    const std::string reason = waiting_reason(view, group);
    item["waiting_reason"] = reason.empty() ? Json(nullptr) : Json(reason);
    groups.push_back(std::move(item));
  }
  document["groups"] = std::move(groups);
  const auto began = actors::decode_options(row.options);
  document["as_of"] = began && began->as_of ? Json(to_rfc3339(*began->as_of)) : Json(nullptr);
  return document;
}

std::string head_line(const journal::RunRow& row, RunState state, Style style) {
  std::string line = fmt::format("run {}  {}  {}  {}", style(Ink::bold, row.id.short_text()),
                                 escape_for_terminal(row.flow_name),
                                 style(ink(state), fmt::format("{} {}", glyph(state), name(state))),
                                 local_text_seconds(row.submitted));
  if (row.finished)
    line += fmt::format(" → {} ({})", local_text_seconds(*row.finished).substr(11),
                        describe(*row.finished - row.submitted));
  if (!row.submitted_by.empty()) line += "  by " + escape_for_terminal(row.submitted_by);
  return line;
}

/// A few groups as a table; of many only those with something to tell.
Table groups_table(const journal::RunView& view, bool all, std::size_t& hidden) {
  Table table{{"GROUP", "TOTAL", "✓", "≡", "✗", "▶", "·", "⊘", "–", "MEDIAN", "NOTE"},
              {false, true, true, true, true, true, true, true, true, true},
              {}};
  const auto groups = view.groups();
  const bool is_long = !all && groups.size() > groups_shown_max;
  for (const journal::Group& group : groups) {
    const Columns c = columns_of(group.states, group.cached);
    if (is_long && (c.failed + c.running == 0 || table.rows.size() >= groups_shown_max)) {
      ++hidden;
      continue;
    }
    const auto number = [](std::uint64_t n, Ink with) {
      return Cell{grouped(n), n == 0 ? Ink::dim : with};
    };
    table.rows.push_back(
        {escape_for_terminal(view.flow().nodes[group.node.value].name), grouped(group.total),
         number(c.success, Ink::green), number(c.cached, Ink::cyan), number(c.failed, Ink::red),
         number(c.running, Ink::blue), number(c.waiting, Ink::plain),
         number(c.cancelled, Ink::yellow), number(c.skipped, Ink::plain),
         group.median ? describe(*group.median) : "–", escape_for_terminal(note_of(view, group))});
  }
  return table;
}

void print_next(const journal::RunRow& row, RunState state, Console& console) {
  const std::string run = row.id.short_text();
  std::string next;
  if (state == RunState::failed)
    next = fmt::format("reprise logs {} --failed   ·   reprise events {}", run, run);
  else if (state == RunState::interrupted)
    next = fmt::format("reprise resume {}", run);
  else if (!is_finished(state))
    next = fmt::format("reprise wait {}   ·   reprise cancel {}", run, run);
  if (!next.empty()) console.say(console.err_style()(Ink::dim, "next: " + next));
}

/// Can runs be started here? For scripts that wait for it.
int ready(Console& console) {
  const auto path = data_path(console.options());
  if (!path) return console.fail(path.error(), exit_unreachable);
  const auto folder = journal::DataFolder::open({*path, true});
  if (!folder) return console.fail(folder.error(), exit_unreachable);
  if (console.is_json())
    return console.document(
        {{"schema", "reprise.ready/1"}, {"ready", true}, {"data", path->string()}});
  console.say("ready");
  return exit_ok;
}

}  // namespace

int status_command(const StatusOptions& options, Console& console) {
  if (options.ready) return ready(console);
  if (options.live) {  // whoever carries this out is
    if (console.is_json()) return console.document({{"schema", "reprise.live/1"}, {"live", true}});
    console.say("live");
    return exit_ok;
  }
  const auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  const auto row = find_run(options.run, *reading->journal);
  if (!row) return console.fail(row.error());
  const auto view = journal::load_run(*reading->journal, *row);
  if (!view) return console.fail(view.error());
  const RunState state = reading->folder.effective_state(*row);
  if (console.is_json()) return console.document(document(*row, state, *view));
  if (console.is_quiet()) {
    console.out(name(state));
    return exit_ok;
  }
  console.out(head_line(*row, state, console.out_style()));
  if (!row->message.empty()) console.out("  " + escape_for_terminal(row->message));
  if (const auto began = actors::decode_options(row->options)) {
    if (began->parent) console.out("  fork of run " + began->parent->short_text());
    if (began->nested_in)
      console.out(fmt::format("  nested in run {}, task {}", began->nested_in->run.short_text(),
                              escape_for_terminal(began->nested_in->task)));
    if (began->as_of) console.out("  with the cache as of " + local_text_seconds(*began->as_of));
  }
  std::size_t hidden = 0;
  const Table table = groups_table(*view, console.options().verbosity > 0, hidden);
  if (hidden > 0) {
    const Columns all = columns_of(view->counts(), view->summary().cached);
    console.out(fmt::format("{}: ✓ {}  ≡ {}  ✗ {}  ▶ {}  · {}  ⊘ {}  – {}",
                            counted(view->summary().tasks, "task"), grouped(all.success),
                            grouped(all.cached), grouped(all.failed), grouped(all.running),
                            grouped(all.waiting), grouped(all.cancelled), grouped(all.skipped)));
  }
  if (!table.rows.empty())
    for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
      console.out(line);
  if (hidden > 0) console.say(fmt::format("{} not shown; -v shows all", counted(hidden, "group")));
  console.flush();
  print_next(*row, state, console);
  return exit_ok;
}

}  // namespace reprise::cli
