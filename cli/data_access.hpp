// The data directory as the reading commands see it: opened without making anything, empty when
// there is nothing yet.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "cache/sqlite_store.hpp"
#include "cli/console.hpp"
#include "cli/options.hpp"
#include "core/key_space.hpp"
#include "journal/data_folder.hpp"
#include "journal/journal.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

struct Reading {
  journal::DataFolder folder;
  std::unique_ptr<journal::Journal> journal;
};

/// Where the data are: --data, REPRISE_DATA, or the default.
[[nodiscard]] Result<std::filesystem::path> data_path(const GlobalOptions& options);

/// What the settings add to every key of the cache. @error invalid_argument
[[nodiscard]] Result<KeySpace> key_space(const GlobalOptions& options);

/// @error not_found: nothing was ever run here; else as DataFolder and SqliteJournal say
[[nodiscard]] Result<Reading> open_for_reading(const GlobalOptions& options);
/// The same, for commands that remove runs.
[[nodiscard]] Result<Reading> open_for_writing(const GlobalOptions& options);

/// The cache. @error not_found: there is none yet; else as SqliteStore says
[[nodiscard]] Result<std::unique_ptr<cache::SqliteStore>> open_cache(const GlobalOptions& options);
/// The same, and says so when a newer version of reprise wrote it.
[[nodiscard]] Result<std::unique_ptr<cache::SqliteStore>> open_cache(Console& console);

/// The state of a run right now. What looks interrupted is read twice: a run that is just ending
/// lets go of its folder after its end is written. `row` is brought up to date.
[[nodiscard]] Result<RunState> current_state(Reading& reading, journal::RunRow& row);

/// How long a run took, or takes so far.
[[nodiscard]] Duration age_of(const journal::RunRow& row, RunState state, Time now);

}  // namespace reprise::cli
