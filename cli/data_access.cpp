#include "cli/data_access.hpp"

#include <system_error>

#include "journal/sqlite_journal.hpp"

namespace reprise::cli {
namespace {

Result<Reading> open_folder(const GlobalOptions& options, bool read_only) {
  const auto path = data_path(options);
  if (!path) return tl::unexpected(path.error());
  auto folder = journal::DataFolder::open({*path, false});
  if (!folder) return tl::unexpected(folder.error());
  const auto none =
      fail(ErrorCode::not_found, "there are no runs yet; start one with `reprise run FLOW`");
  std::error_code ignored;
  if (!std::filesystem::exists(folder->journal_file(), ignored)) return none;
  journal::SqliteJournal::Options how;
  how.path = folder->journal_file();
  how.read_only = read_only;
  auto opened = journal::SqliteJournal::open(std::move(how));
  // The first run is making it at this moment.
  if (!opened && opened.error().code == ErrorCode::not_found) return none;
  if (!opened) return tl::unexpected(opened.error());
  return Reading{std::move(*folder), std::move(*opened)};
}

}  // namespace

Result<std::filesystem::path> data_path(const GlobalOptions& options) {
  if (!options.data.empty()) return std::filesystem::path(options.data);
  return journal::DataFolder::default_path();
}

Result<KeySpace> key_space(const GlobalOptions& options) {
  return KeySpace::parse(options.account, options.salt, options.task_salts, options.also_read);
}

Result<Reading> open_for_reading(const GlobalOptions& options) {
  return open_folder(options, true);
}
Result<Reading> open_for_writing(const GlobalOptions& options) {
  return open_folder(options, false);
}

Result<std::unique_ptr<cache::SqliteStore>> open_cache(const GlobalOptions& options) {
  const auto path = data_path(options);
  if (!path) return tl::unexpected(path.error());
  const auto folder = journal::DataFolder::open({*path, false});
  if (!folder) return tl::unexpected(folder.error());
  const auto none =
      fail(ErrorCode::not_found, "the cache is empty; runs of flows with `cache:` fill it");
  std::error_code ignored;
  if (!std::filesystem::exists(folder->cache_file(), ignored)) return none;
  auto blobs = cache::BlobStore::open({folder->blobs(), false});
  if (!blobs) return tl::unexpected(blobs.error());
  cache::SqliteStore::Options how;
  how.path = folder->cache_file();
  how.blobs = std::move(*blobs);
  how.read_only = true;
  auto store = cache::SqliteStore::open(how);
  if (!store && store.error().code == ErrorCode::conflict) {
    // Written by an older version: opening it for writing brings it up to date, when that may be.
    how.read_only = false;
    if (cache::SqliteStore::open(how)) {
      how.read_only = true;
      store = cache::SqliteStore::open(std::move(how));
    }
  }
  if (!store && store.error().code == ErrorCode::not_found) return none;
  if (!store) return tl::unexpected(store.error());
  return std::move(*store);
}

Result<std::unique_ptr<cache::SqliteStore>> open_cache(Console& console) {
  auto store = open_cache(console.options());
  if (store && (*store)->is_newer())
    console.warn("a newer version of reprise wrote this cache; it is opened for reading only");
  return store;
}

Result<RunState> current_state(Reading& reading, journal::RunRow& row) {
  journal::RunQuery query;
  query.id_prefix = row.id.text();
  RunState state = RunState::queued;
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto rows = reading.journal->runs(query);
    if (!rows) return tl::unexpected(rows.error());
    if (rows->empty())
      return fail(ErrorCode::not_found, "run " + row.id.short_text() + " was removed");
    row = std::move(rows->front());
    state = reading.folder.effective_state(row);
    if (state != RunState::interrupted) break;
  }
  return state;
}

Duration age_of(const journal::RunRow& row, RunState state, Time now) {
  if (row.finished) return *row.finished - row.submitted;
  return state == RunState::interrupted ? Duration{0} : now - row.submitted;
}

}  // namespace reprise::cli
