// `reprise diff`: in what two runs differ.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "actors/explain_run.hpp"
#include "cache/memory_store.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/progress_view.hpp"
#include "cli/run_selector.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "journal/run_diff.hpp"

namespace reprise::cli {
namespace {

using journal::TaskDiff;

constexpr std::size_t parts_named = 4;
constexpr std::size_t parameter_columns = 40;

struct Side {
  journal::RunRow row;
  RunState state = RunState::queued;
  journal::RunView view;
};

Result<Side> load(const std::string& selector, Reading& reading) {
  auto row = find_run(selector, *reading.journal);
  if (!row) return tl::unexpected(row.error());
  auto view = journal::load_run(*reading.journal, *row);
  if (!view) return tl::unexpected(view.error());
  const RunState state = reading.folder.effective_state(*row);
  return Side{*std::move(row), state, *std::move(view)};
}

/// What the keys of the two are made of, as far as the cache remembers.
std::vector<cache::Difference> key_parts(cache::Store& store, const Side& left, const Side& right,
                                         const TaskDiff& diff) {
  const auto material = [&](const Side& side, TaskId task) -> std::optional<Material> {
    const journal::ChangeDetail* detail = side.view.detail(task);
    if (!detail || !detail->key) return std::nullopt;
    const auto versions = store.versions(detail->key->text());
    if (!versions) return std::nullopt;
    for (const cache::Record& record : *versions)
      if (const auto decoded = Material::decode(record.material); decoded) return *decoded;
    return std::nullopt;
  };
  if (!diff.key_differs) return {};
  const auto before = material(left, *diff.left);
  const auto now = material(right, *diff.right);
  if (!before || !now) return {};
  return cache::differences(*before, *now);
}

std::string_view word(TaskDiff::Kind kind) {
  switch (kind) {
    case TaskDiff::Kind::same:
      return "same";
    case TaskDiff::Kind::only_left:
      return "only_left";
    case TaskDiff::Kind::only_right:
      return "only_right";
    case TaskDiff::Kind::state:
      return "state";
    case TaskDiff::Kind::key:
      return "key";
    case TaskDiff::Kind::result:
      return "result";
  }
  return "same";
}

Json side_json(const Side& side, std::optional<TaskId> task) {
  if (!task) return nullptr;
  const journal::ChangeDetail* detail = side.view.detail(*task);
  const Payload& result = side.view.result(*task);
  const auto [state, stored] = shown_state(side.view.state(*task), side.view.cache(*task));
  return {{"state", name(state)},
          {"stored", stored},
          {"cache", cache_json(side.view.cache(*task))},
          {"executed", side.view.executed(*task)},
          {"duration_s", seconds_json(side.view.duration(*task))},
          {"key", detail && detail->key ? Json(detail->key->text()) : Json(nullptr)},
          {"digest", result.is_none() ? Json(nullptr) : Json(result.digest.text())}};
}

Json text_json(const std::vector<TaskDifference>& text) {
  Json list = Json::array();
  for (const TaskDifference& each : text)
    list.push_back({{"part", each.part},
                    {"before", each.before},
                    {"now", each.now},
                    {"line", each.span.line},
                    {"column", each.span.column}});
  return list;
}

Json run_json(const Side& side) {
  return {{"run", side.row.id.text()},
          {"flow", side.row.flow_name},
          {"state", name(side.state)},
          {"submitted", to_rfc3339(side.row.submitted)},
          {"duration_s", side.row.finished ? seconds_json(*side.row.finished - side.row.submitted)
                                           : Json(nullptr)}};
}

/// "✓ 1m 02s", "≡ cached", "–".
Cell side_cell(const Side& side, std::optional<TaskId> task) {
  if (!task) return {"–", Ink::dim};
  const TaskState state = shown_state(side.view.state(*task), side.view.cache(*task)).state;
  std::string text = fmt::format("{} {}", glyph(state), name(state));
  if (side.view.executed(*task)) text += " " + describe(side.view.duration(*task));
  return {text, ink(state)};
}

std::string note_of(const TaskDiff& diff, const std::vector<cache::Difference>& parts) {
  std::vector<std::string> notes;
  if (diff.kind == TaskDiff::Kind::only_left) notes.emplace_back("only there");
  if (diff.kind == TaskDiff::Kind::only_right) notes.emplace_back("only here");
  if (diff.key_differs) {
    std::string text = "key differs";
    for (std::size_t i = 0; i < std::min(parts.size(), parts_named); ++i)
      text += (i == 0 ? ": " : ", ") + escape_for_terminal(parts[i].reason);
    if (parts.size() > parts_named) text += fmt::format(", {} more", parts.size() - parts_named);
    notes.push_back(text);
  }
  if (diff.kind == TaskDiff::Kind::result)
    notes.emplace_back("another result");
  else if (diff.result_differs && diff.left && diff.right)
    notes.emplace_back("output differs");
  for (const TaskDifference& each : diff.text)
    notes.push_back(fmt::format(
        "{} changed{}", escape_for_terminal(each.part),
        each.span.line == 0 ? std::string() : fmt::format(" (line {})", each.span.line)));
  return fmt::format("{}", fmt::join(notes, "; "));
}

bool is_chosen(const TaskDiff& diff, const DiffOptions& options) {
  if (!options.task.empty() && diff.task != options.task &&
      !diff.task.starts_with(options.task + "["))
    return false;
  if (options.only == "state")
    return diff.kind == TaskDiff::Kind::state || diff.kind == TaskDiff::Kind::only_left ||
           diff.kind == TaskDiff::Kind::only_right;
  if (options.only == "key") return diff.key_differs;
  if (options.only == "output") return diff.result_differs;
  return true;
}

Duration taken(const Side& side) {
  return side.row.finished ? *side.row.finished - side.row.submitted : Duration{0};
}

std::string change_of(Duration left, Duration right) {
  if (left <= Duration{0} || right <= Duration{0}) return {};
  const double percent = 100 * (seconds(right) - seconds(left)) / seconds(left);
  return fmt::format("{}{:.0f} %", percent < 0 ? "−" : "+", percent < 0 ? -percent : percent);
}

std::string shown(const std::optional<Payload>& value) {
  return value ? shorten(escape_for_terminal(small_value(*value)), parameter_columns) : "–";
}

}  // namespace

int diff_command(const DiffOptions& options, Console& console) {
  auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  const auto left = load(options.left, *reading);
  if (!left) return console.fail(left.error());
  const auto right = load(options.right, *reading);
  if (!right) return console.fail(right.error());
  std::unique_ptr<cache::Store> store = std::make_unique<cache::MemoryStore>();
  if (auto opened = open_cache(console.options())) store = std::move(*opened);

  journal::RunDiff diff = journal::diff_runs(left->row, left->view, right->row, right->view);
  const bool knows_task =
      options.task.empty() || std::ranges::any_of(diff.tasks, [&](const TaskDiff& each) {
        return each.task == options.task || each.task.starts_with(options.task + "[");
      });
  if (!knows_task)
    return console.fail(
        {ErrorCode::not_found,
         fmt::format("neither run has a task \"{}\"{}", escape_for_terminal(options.task),
                     left->view.did_you_mean_task(options.task))});
  const bool filters = !options.task.empty() || !options.only.empty();
  std::erase_if(diff.tasks, [&](const TaskDiff& each) { return !is_chosen(each, options); });
  if (filters) diff.parameters.clear();
  const bool by_time = options.only == "time";
  const int code = diff.is_different() ? exit_differences : exit_ok;
  const auto is_hidden = [&](const TaskDiff& each) {
    return each.kind == TaskDiff::Kind::same && each.text.empty() && !by_time &&
           console.options().verbosity == 0;
  };
  if (console.is_json()) {
    Json parameters = Json::array(), tasks = Json::array();
    for (const journal::ParameterDiff& each : diff.parameters)
      parameters.push_back({{"name", each.name},
                            {"left", each.left ? value_json(*each.left) : Json(nullptr)},
                            {"right", each.right ? value_json(*each.right) : Json(nullptr)}});
    for (const TaskDiff& each : diff.tasks) {
      if (is_hidden(each)) continue;
      tasks.push_back({{"task", each.task},
                       {"kind", word(each.kind)},
                       {"left", side_json(*left, each.left)},
                       {"right", side_json(*right, each.right)},
                       {"key_parts", differences_json(key_parts(*store, *left, *right, each))},
                       {"text", text_json(each.text)}});
    }
    return console.document({{"schema", "reprise.diff/1"},
                             {"left", run_json(*left)},
                             {"right", run_json(*right)},
                             {"different", code != exit_ok},
                             {"flow_differs", diff.flow_differs},
                             {"parameters", std::move(parameters)},
                             {"tasks", std::move(tasks)},
                             {"same", diff.same}},
                            code, "tasks");
  }
  Table table{{"", left->row.id.short_text(), right->row.id.short_text(), ""}, {}, {}};
  table.rows.push_back({"duration", describe(taken(*left)), describe(taken(*right)),
                        change_of(taken(*left), taken(*right))});
  if (left->state != right->state)
    table.rows.push_back(
        {"state", std::string(name(left->state)), std::string(name(right->state)), ""});
  for (const journal::ParameterDiff& each : diff.parameters)
    table.rows.push_back(
        {"params." + escape_for_terminal(each.name), shown(each.left), shown(each.right), ""});
  if (diff.flow_differs)
    table.rows.push_back({"flow", left->row.flow.text().substr(0, 15),
                          right->row.flow.text().substr(0, 15), "the flow's text differs"});
  std::uint64_t hidden = 0;
  for (const TaskDiff& each : diff.tasks) {
    if (is_hidden(each)) {
      ++hidden;
      continue;
    }
    std::string note = note_of(each, key_parts(*store, *left, *right, each));
    if (by_time && each.left && each.right)
      note = change_of(left->view.duration(*each.left), right->view.duration(*each.right));
    table.rows.push_back({escape_for_terminal(each.task), side_cell(*left, each.left),
                          side_cell(*right, each.right), note});
  }
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
  if (hidden > 0) console.out(fmt::format("{} identical (-v shows them)", counted(hidden, "task")));
  return code;
}

}  // namespace reprise::cli
