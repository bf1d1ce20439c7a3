// `reprise runs rm` and `reprise runs gc`: forgetting runs.
#include <algorithm>
#include <map>
#include <system_error>

#include <fmt/format.h>

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
  const auto rows = find_runs(options.runs, *data->journal);
  if (!rows) return console.fail(rows.error());
  for (const journal::RunRow& row : *rows)
    if (data->folder.is_owned(row.id))
      return console.fail(
          {ErrorCode::conflict, fmt::format("run {} is still running; `reprise cancel {}` stops it",
                                            row.id.short_text(), row.id.short_text())});
  if (const auto refused = refuse_unconfirmed(
          fmt::format("remove {}?", counted(rows->size(), "run")), "deletes runs", console))
    return *refused;
  Removed removed;
  for (const journal::RunRow& row : *rows) {
    const std::uint64_t bytes = data->folder.usage(row.id).bytes;
    if (const auto status = forget(*data, row.id); !status) return console.fail(status.error());
    removed.runs.push_back(row.id.text());
    removed.bytes += bytes;
  }
  if (console.is_json()) return console.document(removed_json(removed, false));
  console.say(fmt::format("removed {}, {}; cached results stay",
                          counted(removed.runs.size(), "run"), describe_bytes(removed.bytes)));
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
  std::map<std::string, std::uint32_t> kept;  // newest first, by flow
  std::vector<RunId> victims;
  for (const journal::RunRow& row : *rows) {
    if (!row.finished) continue;  // running or interrupted: somebody may want to go on
    const bool is_recent = options.keep && kept[row.flow_name] < *options.keep;
    const bool is_young = options.older_than && time - *row.finished < *options.older_than;
    if (is_recent || is_young)
      ++kept[row.flow_name];
    else
      victims.push_back(row.id);
  }
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
