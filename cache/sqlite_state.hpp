// What the parts of SqliteStore share: sqlite_store.cpp speaks of what is, sqlite_past.cpp of what
// was.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/sqlite_store.hpp"
#include "sqlite/database.hpp"

namespace reprise::cache {

namespace rows {

// Columns of a record; `value` is last, because SQLite walks a row from its beginning.
constexpr std::string_view head_columns =
    "id, key, number, name, committed, expires, digest, size, run, task, cost, material, status";
// Versions that tell something: results and remembered failures.
constexpr std::string_view is_kept = "status IN (0, 1)";
enum Column {
  id,
  key,
  number,
  name,
  committed,
  expires,
  digest,
  size,
  run,
  task,
  cost,
  material,
  status,
  value
};

inline std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
inline Time time_of(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}

constexpr std::string_view use_prefix = "use.";

// What the rows add up to, kept so that nobody has to count them, and what look-ups saw.
struct Counts {
  std::int64_t entries = 0, versions = 0, value_bytes = 0, look_ups = 0, hits = 0, misses = 0,
               corrupt = 0, fenced = 0;
  UseCounts use{};  // in the table under "use." and their names

  [[nodiscard]] bool is_seen() const {
    return look_ups != 0 || corrupt != 0 || fenced != 0 || !use.is_empty();
  }
  template <class F>
  void each(F visit) {
    visit("entries", entries);
    visit("versions", versions);
    visit("value_bytes", value_bytes);
    visit("look_ups", look_ups);
    visit("hits", hits);
    visit("misses", misses);
    visit("corrupt", corrupt);
    visit("fenced", fenced);
  }
};

}  // namespace rows

struct SqliteStore::State {
  std::mutex mutex;
  std::unique_ptr<sqlite::Database> database;
  std::shared_ptr<BlobStore> blobs;
  bool read_only = false;
  std::unordered_map<std::int64_t, std::string> names;
  rows::Counts seen;                                 // by look-ups and not written yet
  std::chrono::steady_clock::time_point seen_due{};  // they are to be written
  std::optional<sqlite::Statement> find, find_head, find_name, find_text, find_ok, add_name, insert,
      set_expires, add_renewal, add_material, count, end_lease, find_past, find_renewal,
      find_horizon, find_recent, find_of_value, find_removal;

  sqlite::Statement& prepared(std::optional<sqlite::Statement>& statement, std::string_view sql) {
    if (!statement) statement.emplace(*database, sql);
    return *statement;
  }

  struct Damaged {
    std::int64_t id;
  };
  struct Head {
    std::int64_t id = 0;  // 0: the key is new
    std::int64_t number = 0;
    VersionStatus status = VersionStatus::ok;
    Time committed;
    std::optional<Time> expires;
    Digest digest;
    std::optional<std::int64_t> material;
  };

  Result<std::string> name_of(std::int64_t name_id);
  Result<std::int64_t> id_of(const std::string& text);
  Result<Record> record_of(const sqlite::Statement& row);
  Result<std::optional<Payload>> value_of(const sqlite::Statement& row, const Payload& expected);
  Result<Found> newest_for(const Query& query, Time now, std::vector<Damaged>& damaged);
  Result<std::optional<Time>> expiry_at(std::int64_t version_id, std::optional<Time> today,
                                        Time moment);
  Result<std::optional<Time>> horizon_of(const Key& wanted);
  Result<PastAnswer> answer_as_of(const Key& wanted, Time moment);
  Result<Head> head_of(const Key& wanted);
  Result<bool> has_good_version(const Key& wanted);
  Result<Kept> commit_one(const Commit& commit, Time now, rows::Counts& change);
  Result<bool> takes_lease(const Commit& commit);
  Result<std::uint64_t> newest_removal();
  Result<bool> is_removed(const Commit& commit);
  template <class Bind>
  Result<std::vector<Record>> with_materials(std::string_view condition, std::uint32_t limit,
                                             std::optional<sqlite::Statement>& statement,
                                             Bind bind);
  Status write(rows::Counts& change);
  void mark(const std::vector<Damaged>& damaged);
  void write_seen();
};

}  // namespace reprise::cache
