// What the parts of Upkeep share: upkeep.cpp, collection.cpp, verification.cpp.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "cache/blob_files.hpp"
#include "cache/upkeep.hpp"
#include "sqlite/database.hpp"

namespace reprise::cache {

inline constexpr std::uint32_t rows_at_once = 500;  // a step: others wait for no longer than that

/// Versions that have something to give: ok or negative.
inline constexpr std::string_view is_good = "status IN (0, 1)";
/// The current version of a key, if it has one: damaged ones above it do not count.
inline constexpr std::string_view is_head =
    "status IN (0, 1) AND NOT EXISTS(SELECT 1 FROM version w WHERE w.key = v.key AND w.number > "
    "v.number "
    "AND w.status <> 3)";

struct UpkeepRow {
  std::int64_t id = 0;
  std::int64_t number = 0;
  VersionStatus status = VersionStatus::ok;
  Record record;
};

struct Upkeep::State {
  std::unique_ptr<sqlite::Database> database;
  std::shared_ptr<BlobStore> blobs;
  std::filesystem::path folder;  // of the blobs

  /// Parts of rows that are large and rarely wanted. `value` fills record.value.bytes where the
  /// value lies in the row, without comparing digests.
  enum class Extra : std::uint8_t { none, material, value };

  /// Goes through the whole table, newest first, in windows of so many rows: each is read at once,
  /// and nothing is held open while `visit` looks at those that fulfil `condition`.
  Status each_window(std::string_view condition, Extra extra, std::uint32_t rows_per_window,
                     const std::function<Status(std::vector<UpkeepRow>&)>& visit);
  /// @param value  of ?1 in the condition
  template <class T>
  Result<std::vector<UpkeepRow>> rows_where(std::string_view condition, const T& value,
                                            Extra extra = Extra::none) {
    sqlite::Statement select(*database, select_where(condition, extra));
    select.start(value);
    return read_rows(select, extra);
  }
  [[nodiscard]] static std::string select_where(std::string_view condition, Extra extra);
  Result<std::vector<UpkeepRow>> read_rows(sqlite::Statement& select, Extra extra) const;
  [[nodiscard]] std::optional<BlobFile> value_file(const Digest& digest) const;
  /// The files that a row's value speaks of; none where it is damaged or above 64 MiB.
  [[nodiscard]] std::vector<FileValue> files_of(const UpkeepRow& row) const;
  Result<bool> is_pinned(const Record& record);

  /// What the rows of a key add up to in the counters of the store.
  struct Tally {
    std::int64_t entries = 0, versions = 0, value_bytes = 0;
  };
  Result<Tally> tally_of(const Key& key);
  /// Runs `action`, which changes rows of `key`, and carries the change over to the counters.
  Status counted(const Key& key, const std::function<Status()>& action);
  /// Adds a tombstone, and ends the lease of who computes it.
  /// @param removal  the number of this one (cache/removals.hpp)
  /// @return false: there was nothing above ground
  Result<bool> bury(const Key& key, std::int64_t removal, Time now);
  Status set_horizon(const Key& key, Time at);
  Status remove_version(const Key& key, std::int64_t version_id);
  Status count_evicted(const Collected& collected);
  Status remove_key(const Key& key, Time now);
  /// Pinned, or held by a run.
  Result<bool> is_kept(const CollectRequest& request, const Record& record);
  /// Where the bytes of a version lie, if not in its row: digests of its value and its files.
  [[nodiscard]] std::vector<Digest> blobs_of(const UpkeepRow& row) const;

  /// What one call of collect() knows; in collection.cpp.
  struct Collection;
  Status trim_history(Collection& collection);
  Status mark(Collection& collection);
  Status evict(Collection& collection);
  /// Looks at an entry once more, and takes it away. @return the bytes that this frees, or would
  Result<std::uint64_t> evict_one(Collection& collection, std::int64_t version_id,
                                  std::string_view why);
  Status sweep(Collection& collection);
  Result<std::unordered_set<Digest>> needed_blobs(const Collection& collection);
  /// Between two steps of collecting. @return false: it is to stop here
  bool go_on(const CollectRequest& request);

  template <class F>
  Status write(F action) {
    auto transaction = sqlite::Transaction::begin(*database);
    if (!transaction) return tl::unexpected(transaction.error());
    if (Status done = action(); !done) return done;
    return transaction->commit();
  }

  sqlite::Statement& prepared(std::optional<sqlite::Statement>& statement, std::string_view sql) {
    if (!statement) statement.emplace(*database, sql);
    return *statement;
  }
  std::optional<sqlite::Statement> find_pin, find_tally, add_count, add_horizon;
  bool is_stopped = false;
  std::chrono::steady_clock::time_point last_step{};
};

}  // namespace reprise::cache
