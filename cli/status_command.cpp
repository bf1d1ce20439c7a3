// `reprise status`: one run, group by group.
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/progress_view.hpp"
#include "cli/remote.hpp"
#include "cli/run_selector.hpp"
#include "cli/state_columns.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "journal/waiting.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t groups_shown_max = 60;  // without -v

std::string waiting_reason(const journal::RunView& view, const journal::Group& group) {
  if (!group.waiting) return {};
  if (view.state(*group.waiting) != TaskState::paused)
    return std::string(view.message(*group.waiting));
  const auto waiting = journal::why_waiting(view, *group.waiting);
  return waiting ? waiting_message(waiting->reason, waiting->text) : std::string();
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
  document["paused"] = paused_json(view);
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
    const StateColumns c = columns_of(group.states, group.cached);
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
  else if (state == RunState::paused)
    next = fmt::format("reprise resume {}   ·   reprise cancel {}", run, run);
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

/// One look at a run.
/// @return its state, or the exit code of what was said to be wrong
tl::expected<RunState, int> show(const std::string& run, Console& console) {
  const auto failed = [&](const Error& error) { return tl::unexpected(console.fail(error)); };
  const auto reading = open_for_reading(console.options());
  if (!reading) return failed(reading.error());
  const auto row = find_run(run, *reading->journal);
  if (!row) return failed(row.error());
  const auto view = journal::load_run(*reading->journal, *row);
  if (!view) return failed(view.error());
  const RunState state = reading->folder.effective_state(*row);
  if (console.is_json()) {
    if (const int code = console.document(document(*row, state, *view)); code != exit_ok)
      return tl::unexpected(code);
    return state;
  }
  if (console.is_quiet()) {
    console.out(name(state));
    return state;
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
    const StateColumns all = columns_of(view->counts(), view->summary().cached);
    console.out(fmt::format("{}: ✓ {}  ≡ {}  ✗ {}  ▶ {}  · {}  ⊘ {}  – {}",
                            counted(view->summary().tasks, "task"), grouped(all.success),
                            grouped(all.cached), grouped(all.failed), grouped(all.running),
                            grouped(all.waiting), grouped(all.cancelled), grouped(all.skipped)));
  }
  if (!table.rows.empty())
    for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
      console.out(line);
  if (const std::string paused = paused_text(*view); !paused.empty())
    console.out("paused  " + paused);
  if (hidden > 0) console.say(fmt::format("{} not shown; -v shows all", counted(hidden, "group")));
  console.flush();
  print_next(*row, state, console);
  return state;
}

/// Whether the run was at rest when it was shown, or an exit code.
using Look = std::function<tl::expected<bool, int>(Console&)>;

/// Shows what `look` sees whenever that changes: in place on a terminal, else one after the other.
int watch(const Look& look, Console& console) {
  constexpr auto pause = std::chrono::milliseconds{500};
  const char* term = std::getenv("TERM");
  const bool in_place =
      is_terminal(STDOUT_FILENO) && term != nullptr && std::string_view(term) != "dumb";
  GlobalOptions globals = console.options();
  globals.color = console.out_style().colored ? ColorChoice::always : ColorChoice::never;
  Console::Captured last;
  for (;; std::this_thread::sleep_for(pause)) {
    Console::Captured page;
    tl::expected<bool, int> is_over = false;
    {
      Console inner(globals, page);
      is_over = look(inner);
    }
    if (page.out != last.out || !is_over) {
      if (in_place) console.raw("\x1b[H\x1b[2J");
      console.raw(page.out);
      console.flush();
      if (!page.err.empty()) console.complain(page.err);
    }
    if (!is_over) return is_over.error();
    if (*is_over || !console.is_open()) return exit_ok;
    last = std::move(page);
  }
}

int watch_here(const std::string& selector, Console& console) {
  std::string run;  // the one that is the last now
  {
    const auto reading = open_for_reading(console.options());
    if (!reading) return console.fail(reading.error());
    const auto row = find_run(selector, *reading->journal);
    if (!row) return console.fail(row.error());
    run = row->id.text();
  }
  return watch(
      [&](Console& page) -> tl::expected<bool, int> {
        const auto state = show(run, page);
        if (!state) return tl::unexpected(state.error());
        return is_finished(*state) || *state == RunState::paused || *state == RunState::interrupted;
      },
      console);
}

int watch_there(const std::string& selector, Console& console) {
  const auto client = connect_client(console.options());
  if (!client) return console.fail(client.error());
  const auto run = find_remote_run(selector, **client);
  if (!run) return console.fail(run.error());
  std::vector<std::string> words{"status", run->text()};
  if (console.is_quiet()) words.emplace_back("--quiet");
  if (console.options().verbosity > 0) words.emplace_back("--verbose");
  return watch(
      [&](Console& page) -> tl::expected<bool, int> {
        const auto ended = (*client)->wait(*run, Duration{0});
        if (!ended) return tl::unexpected(page.fail(ended.error()));
        if (const int code = carry_out_there(words, **client, page); code != exit_ok)
          return tl::unexpected(code);
        return ended->has_value();
      },
      console);
}

}  // namespace

int status_command(const StatusOptions& options, Console& console) {
  if (options.ready) return ready(console);
  if (options.live) {  // whoever carries this out is
    if (console.is_json()) return console.document({{"schema", "reprise.live/1"}, {"live", true}});
    console.say("live");
    return exit_ok;
  }
  if (options.watch) {
    if (console.is_json())
      return console.fail({ErrorCode::invalid_argument,
                           "--json prints one document; `reprise events RUN -f --jsonl` follows a "
                           "run"},
                          exit_invalid);
    return console.options().server.empty() ? watch_here(options.run, console)
                                            : watch_there(options.run, console);
  }
  const auto state = show(options.run, console);
  return state ? static_cast<int>(exit_ok) : state.error();
}

}  // namespace reprise::cli
