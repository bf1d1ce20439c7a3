// `reprise runs rm` and `reprise runs gc`: forgetting runs.
#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "actors/idle_runs.hpp"
#include "actors/run_options.hpp"
#include "cli/commands.hpp"
#include "cli/confirmation.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

/// The folder goes first: if we are interrupted in between, the row still says that there was a
/// run.
Status forget(Reading& data, const RunId& run) {
  if (auto status = data.folder.remove_run_folder(run); !status) return status;
  return data.journal->remove(run);
}

struct Removed {
  std::vector<std::string> runs;
  std::uint64_t bytes = 0;
};

/// For each run that is nested in another one that is still known, the outermost of these.
std::map<RunId, RunId> outermost_of(const std::vector<journal::RunRow>& rows) {
  std::map<RunId, RunId> outermost;
  std::set<RunId> known;
  for (const journal::RunRow& row : std::views::reverse(rows)) {  // the outer ones come first
    known.insert(row.id);
    const auto began = actors::decode_options(row.options);
    if (!began || !began->nested_in || !known.contains(began->nested_in->run)) continue;
    const auto above = outermost.find(began->nested_in->run);
    outermost.emplace(row.id, above == outermost.end() ? began->nested_in->run : above->second);
  }
  return outermost;
}

Json removed_json(const Removed& removed, bool dry_run) {
  return {{"schema", "reprise.runs-removed/1"},
          {"dry_run", dry_run},
          {"removed", removed.runs},
          {"freed_bytes", removed.bytes}};
}

/// Folders of runs that the journal does not know: what a crash while removing or starting left.
std::vector<RunId> orphans(Reading& data) {
  std::vector<RunId> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(data.folder.runs(), error)) {
    const auto id = RunId::parse(entry.path().filename().string());
    if (!id || data.folder.is_owned(*id)) continue;
    journal::RunQuery query;
    query.id_prefix = id->text();
    const auto rows = data.journal->runs(query);
    if (rows && rows->empty()) found.push_back(*id);
  }
  return found;
}

}  // namespace

int runs_remove_command(const RemoveOptions& options, Console& console) {
  auto data = open_for_writing(console.options());
  if (!data) return console.fail(data.error());
  auto rows = find_runs(options.runs, *data->journal);
  if (!rows) return console.fail(rows.error());
  // Nobody would look for what was begun for their tasks.
  std::set<RunId> named;
  for (const journal::RunRow& row : *rows) named.insert(row.id);
  auto nested = runs_nested_in(*data->journal, named);
  if (!nested) return console.fail(nested.error());
  std::erase_if(*nested, [&](const journal::RunRow& row) { return named.contains(row.id); });
  const std::string what =
      counted(rows->size(), "run") +
      (nested->empty() ? ""
                       : fmt::format(" and {} nested in {}", grouped(nested->size()),
                                     rows->size() == 1 ? "it" : "them"));
  rows->insert(rows->begin(), nested->begin(), nested->end());
  for (const journal::RunRow& row : *rows)
    if (data->folder.is_owned(row.id))
      return console.fail(
          {ErrorCode::conflict, fmt::format("run {} is still running; `reprise cancel {}` stops it",
                                            row.id.short_text(), row.id.short_text())});
  if (const auto refused =
          refuse_unconfirmed(fmt::format("remove {}?", what), "deletes runs", console))
    return *refused;
  Removed removed;
  for (const journal::RunRow& row : *rows) {
    const std::uint64_t bytes = data->folder.usage(row.id).bytes;
    if (const auto status = forget(*data, row.id); !status) return console.fail(status.error());
    removed.runs.push_back(row.id.text());
    removed.bytes += bytes;
  }
  if (console.is_json()) return console.document(removed_json(removed, false));
  console.say(
      fmt::format("removed {}, {}; cached results stay", what, describe_bytes(removed.bytes)));
  return exit_ok;
}

int runs_collect_command(const CollectOptions& options, Console& console) {
  if (!options.keep && !options.older_than)
    return console.fail(
        {ErrorCode::invalid_argument, "say which runs may go: --keep N or --older-than DURATION"});
  auto data = open_for_writing(console.options());
  if (!data && data.error().code == ErrorCode::not_found) {
    if (console.is_json()) return console.document(removed_json({}, options.dry_run));
    console.say("no runs yet");
    return exit_ok;
  }
  if (!data) return console.fail(data.error());
  journal::RunQuery query;
  query.limit = UINT32_MAX;
  const auto rows = data->journal->runs(query);
  if (!rows) return console.fail(rows.error());

  const Time time = now();
  const std::map<RunId, RunId> outermost = outermost_of(*rows);
  std::map<std::string, std::uint32_t> kept;  // newest first, by flow
  std::vector<RunId> victims;
  for (const journal::RunRow& row : *rows) {
    if (outermost.contains(row.id)) continue;  // it goes with that one
    if (!row.finished) continue;               // running or interrupted: somebody may want to go on
    const bool is_recent = options.keep && kept[row.flow_name] < *options.keep;
    const bool is_young = options.older_than && time - *row.finished < *options.older_than;
    if (is_recent || is_young)
      ++kept[row.flow_name];
    else
      victims.push_back(row.id);
  }
  const std::set<RunId> chosen(victims.begin(), victims.end());
  for (const auto& [nested, outer] : outermost)
    if (chosen.contains(outer)) victims.push_back(nested);
  const std::size_t known = victims.size();
  for (const RunId& id : orphans(*data)) victims.push_back(id);

  Removed removed;
  for (const RunId& id : victims) removed.bytes += data->folder.usage(id).bytes;
  const std::string what = fmt::format("{} of {}, {}", grouped(known), counted(rows->size(), "run"),
                                       describe_bytes(removed.bytes));
  if (options.dry_run) {
    for (const RunId& id : victims) removed.runs.push_back(id.text());
    if (console.is_json()) return console.document(removed_json(removed, true));
    console.say(fmt::format("would remove {}. Run without --dry-run to do it.", what));
    return exit_ok;
  }
  if (!victims.empty())
    if (const auto refused =
            refuse_unconfirmed(fmt::format("remove {}?", what), "deletes runs", console))
      return *refused;
  for (const RunId& id : victims) {
    if (const auto status = forget(*data, id); !status) {
      if (status.error().code == ErrorCode::conflict) continue;  // somebody has just resumed it
      return console.fail(status.error());
    }
    removed.runs.push_back(id.text());
  }
  if (console.is_json()) return console.document(removed_json(removed, false));
  console.say(fmt::format("removed {}", what));
  return exit_ok;
}

}  // namespace reprise::cli
