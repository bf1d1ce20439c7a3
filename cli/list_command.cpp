// `reprise ps` and `reprise history`: tables of runs.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/provenance.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

struct Listed {
  journal::RunRow row;
  RunState state;  // interrupted when nobody runs it any more
};

/// @error invalid_argument
Result<std::optional<Time>> since_of(const ListOptions& options) {
  if (options.since.empty()) return std::nullopt;
  return parse_moment(options.since, now());
}

/// Rows that match, newest first. `finished_too` false: only runs that are not over.
Result<std::vector<Listed>> select(const ListOptions& options, bool finished_too,
                                   Reading& reading) {
  journal::RunQuery query;
  if (!options.flow.empty()) query.flow_name = options.flow;
  const auto since = since_of(options);
  if (!since) return tl::unexpected(since.error());
  query.since = *since;
  const bool filters = !finished_too || !options.state.empty();
  query.limit = filters ? UINT32_MAX : options.limit;
  auto rows = reading.journal->runs(query);
  if (!rows) return tl::unexpected(rows.error());
  std::vector<Listed> result;
  for (journal::RunRow& row : *rows) {
    if (!finished_too && is_finished(row.state)) continue;
    const RunState state = reading.folder.effective_state(row);
    if (!options.state.empty() && name(state) != options.state) continue;
    result.push_back({std::move(row), state});
    if (result.size() == options.limit) break;
  }
  return result;
}

Json rows_json(const std::vector<Listed>& rows) {
  Json list = Json::array();
  for (const Listed& listed : rows) list.push_back(row_json(listed.row, listed.state));
  return list;
}

void print(const Table& table, Console& console) {
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
}

std::string share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "–" : fmt::format("{} %", 100 * part / whole);
}

/// The same task over several runs.
int task_history(const ListOptions& options, const std::vector<Listed>& rows, Reading& reading,
                 Console& console) {
  Table table{{"RUN", "FLOW", "STATE", "DURATION", "ATTEMPTS", "FINISHED", "NOTE"},
              {false, false, false, true, true},
              {}};
  Json list = Json::array();
  for (const Listed& listed : rows) {
    const auto view = journal::load_run(*reading.journal, listed.row);
    if (!view) return console.fail(view.error());
    const auto task = view->find_task(options.task);
    if (!task) continue;
    const bool hit = view->cache(*task) == journal::CacheOutcome::hit;
    const auto [state, stored] = shown_state(view->state(*task), view->cache(*task));
    const auto changed = view->changed(*task);
    const journal::ChangeDetail* detail = view->detail(*task);
    if (console.is_json()) {
      Json item{
          {"run", listed.row.id.text()},
          {"flow", listed.row.flow_name},
          {"task", view->task_name(*task)},
          {"state", name(state)},
          {"stored", stored},
          {"cache", cache_json(view->cache(*task))},
          {"executed", view->executed(*task)},
          {"attempts", view->run_count(*task)},
          {"duration_s", seconds_json(view->duration(*task))},
          {"changed", changed ? Json(to_rfc3339(*changed)) : Json(nullptr)},
          {"message",
           view->message(*task).empty() ? Json(nullptr) : Json(std::string(view->message(*task)))}};
      list.push_back(std::move(item));
      continue;
    }
    std::string note = escape_for_terminal(view->message(*task));
    if (hit && detail && detail->origin) note = "from run " + detail->origin->short_text();
    table.rows.push_back({listed.row.id.short_text(), escape_for_terminal(listed.row.flow_name),
                          Cell{fmt::format("{} {}", glyph(state), name(state)), ink(state)},
                          hit ? "–" : describe(view->duration(*task)),
                          std::to_string(view->run_count(*task)),
                          changed ? local_text_seconds(*changed) : "–", note});
  }
  if (console.is_json())
    return console.document(
        {{"schema", "reprise.history/1"}, {"task", options.task}, {"entries", std::move(list)}},
        exit_ok, "entries");
  if (table.rows.empty())
    return console.fail({ErrorCode::not_found, fmt::format("no run here has a task \"{}\"",
                                                           escape_for_terminal(options.task))});
  print(table, console);
  return exit_ok;
}

/// Nothing was ever run here: an empty list, not an error.
int empty_list(std::string_view schema, std::string_view items, Console& console) {
  if (console.is_json())
    return console.document({{"schema", schema}, {items, Json::array()}}, exit_ok, items);
  console.say("no runs yet; start one with `reprise run FLOW`");
  return exit_ok;
}

}  // namespace

int ps_command(const ListOptions& options, Console& console) {
  if (const auto since = since_of(options); !since) return console.fail(since.error());
  auto reading = open_for_reading(console.options());
  if (!reading && reading.error().code == ErrorCode::not_found)
    return empty_list("reprise.runs/1", "runs", console);
  if (!reading) return console.fail(reading.error());
  const auto rows = select(options, options.all || !options.state.empty(), *reading);
  if (!rows) return console.fail(rows.error());
  if (console.is_json())
    return console.document({{"schema", "reprise.runs/1"}, {"runs", rows_json(*rows)}}, exit_ok,
                            "runs");
  if (console.is_quiet()) {
    for (const Listed& listed : *rows) console.out(listed.row.id.text());
    return exit_ok;
  }
  if (rows->empty()) {
    console.say(options.all ? "no such runs"
                            : "nothing runs; `reprise ps --all` lists finished runs too");
    return exit_ok;
  }
  Table table{{"RUN", "FLOW", "STATE", "SUBMITTED", "DURATION", "TASKS", "BY"},
              {false, false, false, false, true, true},
              {}};
  const Time time = now();
  for (const auto& [row, state] : *rows) {
    const bool counted_yet = row.finished.has_value();
    const auto began = actors::decode_options(row.options);
    const std::string by = began && began->nested_in
                               ? fmt::format("run {}, task {}", began->nested_in->run.short_text(),
                                             began->nested_in->task)
                               : row.submitted_by;
    const Duration age = age_of(row, state, time);
    table.rows.push_back({row.id.short_text(), escape_for_terminal(row.flow_name),
                          state_cell(state), local_text_seconds(row.submitted),
                          age > Duration{0} ? describe(age) : "–",
                          counted_yet ? grouped(row.summary.tasks) : "–", escape_for_terminal(by)});
  }
  print(table, console);
  return exit_ok;
}

int history_command(const ListOptions& options, Console& console) {
  if (options.flow.starts_with("sha256:"))
    return show_value_provenance(options.flow, false, console);
  if (const auto since = since_of(options); !since) return console.fail(since.error());
  auto reading = open_for_reading(console.options());
  if (!reading && reading.error().code == ErrorCode::not_found)
    return empty_list("reprise.history/1", options.task.empty() ? "runs" : "entries", console);
  if (!reading) return console.fail(reading.error());
  const auto rows = select(options, true, *reading);
  if (!rows) return console.fail(rows.error());
  if (!options.task.empty()) return task_history(options, *rows, *reading, console);
  if (!options.flow.empty() && rows->empty() && options.since.empty()) {
    // No flow of that name: perhaps a task.
    ListOptions as_task = options;
    as_task.task = std::exchange(as_task.flow, {});
    const auto all = select(as_task, true, *reading);
    if (!all) return console.fail(all.error());
    for (const Listed& listed : *all)
      if (const auto view = journal::load_run(*reading->journal, listed.row);
          view && view->find_task(as_task.task))
        return task_history(as_task, *all, *reading, console);
    return console.fail(
        {ErrorCode::not_found,
         fmt::format("flow \"{}\" has no runs, and no recent run has a task of that name; `reprise "
                     "ps --all` lists the runs",
                     escape_for_terminal(options.flow))});
  }
  if (console.is_json())
    return console.document({{"schema", "reprise.history/1"}, {"runs", rows_json(*rows)}}, exit_ok,
                            "runs");
  if (console.is_quiet()) {
    for (const Listed& listed : *rows) console.out(listed.row.id.text());
    return exit_ok;
  }
  Table table{{"RUN", "FLOW", "STATE", "STARTED", "DURATION", "TASKS", "RAN", "CACHED", "HIT",
               "FAILED", "NOTE"},
              {false, false, false, false, true, true, true, true, true, true},
              {}};
  const Time time = now();
  for (const auto& [row, state] : *rows) {
    const journal::Summary& sum = row.summary;
    const bool known = row.finished.has_value();
    const auto number = [&](std::uint64_t n) { return known ? grouped(n) : std::string("–"); };
    const Duration age = age_of(row, state, time);
    table.rows.push_back({row.id.short_text(), escape_for_terminal(row.flow_name),
                          state_cell(state), local_text(row.submitted),
                          age > Duration{0} ? describe(age) : "–", number(sum.tasks),
                          number(sum.executed), number(sum.cached),
                          known ? share(sum.cached, sum.cached + sum.executed) : "–",
                          number(sum.failed), escape_for_terminal(row.message)});
  }
  print(table, console);
  return exit_ok;
}

}  // namespace reprise::cli
