#include "cache/sqlite_store.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "cache/database.hpp"
#include "cache/files.hpp"
#include "cache/removals.hpp"
#include "cache/sqlite_state.hpp"
#include "core/fail_point.hpp"

namespace reprise::cache {
namespace {

using rows::Column;
using rows::Counts;
using rows::head_columns;
using rows::is_kept;
using rows::nanoseconds;
using rows::time_of;
using sqlite::Blob;
using sqlite::ResetAtEnd;
using sqlite::Statement;
using sqlite::Transaction;

std::string_view raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

}  // namespace

Result<std::string> SqliteStore::State::name_of(std::int64_t name_id) {
  if (const auto known = names.find(name_id); known != names.end()) return known->second;
  Statement& select = prepared(find_text, "SELECT text FROM name WHERE id = ?1");
  ResetAtEnd reset(select);
  select.start(name_id);
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  return names[name_id] = *found ? select.text(0) : std::string();
}

// Not remembered by text: a rolled back transaction would leave an id that is not there.
Result<std::int64_t> SqliteStore::State::id_of(const std::string& text) {
  Statement& select = prepared(find_name, "SELECT id FROM name WHERE text = ?1");
  ResetAtEnd reset(select);
  select.start(Blob{text});
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  if (*found) return select.integer(0);
  if (auto done = prepared(add_name, "INSERT INTO name(text) VALUES(?1)").run(Blob{text}); !done)
    return tl::unexpected(done.error());
  return database->last_row_id();
}

Result<Record> SqliteStore::State::record_of(const Statement& row) {
  Record record;
  auto key_digest = Digest::from_raw(row.bytes(Column::key));
  auto value_digest = Digest::from_raw(row.bytes(Column::digest));
  const std::string_view run_bytes = row.bytes(Column::run);
  if (!key_digest || !value_digest || run_bytes.size() != record.run.bytes.size())
    return fail(ErrorCode::corrupt,
                fmt::format("version {} in the cache does not decode", row.integer(Column::id)));
  auto text = name_of(row.integer(Column::name));
  if (!text) return tl::unexpected(text.error());
  record.key = Key{*key_digest};
  record.version = static_cast<std::uint32_t>(row.integer(Column::number));
  record.name = std::move(*text);
  record.value.digest = *value_digest;
  record.value.size = static_cast<std::uint64_t>(row.integer(Column::size));
  record.committed = time_of(row.integer(Column::committed));
  if (!row.is_null(Column::expires)) record.expires = time_of(row.integer(Column::expires));
  std::memcpy(record.run.bytes.data(), run_bytes.data(), run_bytes.size());
  record.task = row.text(Column::task);
  record.cost = Duration(row.integer(Column::cost));
  record.status = static_cast<VersionStatus>(row.integer(Column::status));
  return record;
}

// nullopt: the value is gone or not what it was.
Result<std::optional<Payload>> SqliteStore::State::value_of(const Statement& row,
                                                            const Payload& expected) {
  if (expected.is_nil()) return Payload::nil();
  if (!row.is_null(Column::value)) {
    Payload found = Payload::of(row.text(Column::value));
    if (found == expected) return found;
    return std::nullopt;
  }
  auto found = blobs->get_value(expected.digest);
  if (found) return *found;
  if (found.error().code == ErrorCode::not_found || found.error().code == ErrorCode::corrupt)
    return std::nullopt;
  return tl::unexpected(found.error());
}

Result<Found> SqliteStore::State::newest_for(const Query& query, Time now,
                                             std::vector<Damaged>& damaged) {
  static const std::string sql = fmt::format(
      "SELECT {}, value FROM version WHERE key = ?1 ORDER BY number DESC", head_columns);
  Statement& select = prepared(find, sql);
  ResetAtEnd reset(select);
  select.start(Blob{query.key.digest.raw()});
  Found stale;  // or nothing
  const auto missed = [&](Miss why) {
    if (stale.miss == Miss::absent) stale.miss = why;
  };
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return stale;
    const auto kind = static_cast<VersionStatus>(select.integer(Column::status));
    if (kind == VersionStatus::tombstone) {
      missed(Miss::invalidated);
      return stale;
    }
    if (kind == VersionStatus::damaged) {
      missed(Miss::corrupt);
      continue;
    }
    auto record = record_of(select);
    if (record) {
      const bool is_taken = query.takes(*record, now);
      if (!is_taken) missed(miss_of_newest(query, *record, now));
      if (!is_taken && (stale.record || !query.takes_stale(*record, now))) continue;
      auto bytes = value_of(select, record->value);
      if (!bytes) return tl::unexpected(bytes.error());
      if (*bytes) {
        record->value = std::move(**bytes);
        if (is_taken) return Found{*std::move(record), Tier::local, Miss::absent};
        stale.record = *std::move(record);
        continue;
      }
    } else if (record.error().code != ErrorCode::corrupt) {
      return tl::unexpected(record.error());
    }
    missed(Miss::corrupt);
    damaged.push_back({select.integer(Column::id)});
  }
}

Result<SqliteStore::State::Head> SqliteStore::State::head_of(const Key& wanted) {
  Statement& select =
      prepared(find_head,
               "SELECT id, number, status, committed, expires, digest, material FROM version "
               "WHERE key = ?1 ORDER BY number DESC LIMIT 1");
  ResetAtEnd reset(select);
  select.start(Blob{wanted.digest.raw()});
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  Head head;
  if (!*found) return head;
  head.id = select.integer(0);
  head.number = select.integer(1);
  head.status = static_cast<VersionStatus>(select.integer(2));
  head.committed = time_of(select.integer(3));
  if (!select.is_null(4)) head.expires = time_of(select.integer(4));
  if (auto stored = Digest::from_raw(select.bytes(5))) head.digest = *stored;
  if (!select.is_null(6)) head.material = select.integer(6);
  return head;
}

Result<bool> SqliteStore::State::has_good_version(const Key& wanted) {
  Statement& select = prepared(
      find_ok,
      "SELECT 1 FROM version WHERE key = ?1 AND status IN (0, 1) AND number > ifnull((SELECT "
      "max(number) FROM version WHERE key = ?1 AND status = 2), 0) LIMIT 1");
  ResetAtEnd reset(select);
  select.start(Blob{wanted.digest.raw()});
  return select.next();
}

// True when it holds its lease, which ends with that, or needs none.
Result<bool> SqliteStore::State::takes_lease(const Commit& commit) {
  if (!commit.lease || commit.lease->scope != Lease::Scope::folder) return true;
  Statement& end = prepared(
      end_lease, "UPDATE lease SET owner = NULL WHERE key = ?1 AND owner = ?2 AND token = ?3");
  if (auto done = end.run(Blob{commit.key.digest.raw()}, Blob{commit.lease->owner},
                          static_cast<std::int64_t>(commit.lease->token));
      !done)
    return tl::unexpected(done.error());
  return database->changes() > 0;
}

Result<std::uint64_t> SqliteStore::State::newest_removal() {
  Statement& select = prepared(find_removal, "SELECT ifnull(max(number), 0) FROM removal");
  ResetAtEnd reset(select);
  if (auto found = select.next(); !found) return tl::unexpected(found.error());
  return static_cast<std::uint64_t>(select.integer(0));
}

// While it was computed.
Result<bool> SqliteStore::State::is_removed(const Commit& commit) {
  if (!commit.since) return false;
  const auto newest = newest_removal();
  if (!newest) return tl::unexpected(newest.error());
  if (*newest <= *commit.since) return false;
  return is_removed_since(*database, commit, static_cast<std::int64_t>(*commit.since));
}

Result<Kept> SqliteStore::State::commit_one(const Commit& commit, Time now, Counts& change) {
  auto head = head_of(commit.key);
  if (!head) return tl::unexpected(head.error());
  std::optional<Time> expiry;
  if (commit.expires_after) expiry = now + *commit.expires_after;
  std::optional<std::int64_t> expiry_number;
  if (expiry) expiry_number = nanoseconds(*expiry);

  const bool is_same =
      head->id != 0 && head->status == commit.status && head->digest == commit.value.digest;
  auto may_write = takes_lease(commit);
  if (!may_write) return tl::unexpected(may_write.error());
  const auto removed = is_removed(commit);
  if (!removed) return tl::unexpected(removed.error());
  if (!*may_write || *removed) {
    if (is_same) return Kept::duplicate;
    ++change.fenced;
    return Kept::fenced;
  }
  if (is_same && !commit.anew) {
    if (head->expires == expiry) return Kept::same;
    std::optional<std::int64_t> before;
    if (head->expires) before = nanoseconds(*head->expires);
    if (auto noted =
            prepared(add_renewal,
                     "INSERT OR IGNORE INTO renewal(version, at, expires) VALUES(?1, ?2, ?3)")
                .run(head->id, nanoseconds(now), before);
        !noted)
      return tl::unexpected(noted.error());
    if (auto done = prepared(set_expires, "UPDATE version SET expires = ?2 WHERE id = ?1")
                        .run(head->id, expiry_number);
        !done)
      return tl::unexpected(done.error());
    return Kept::same;
  }
  if (commit.committed && head->id != 0 && *commit.committed <= head->committed) return Kept::older;
  auto had_good_version = head->id == 0 ? Result<bool>(false) : has_good_version(commit.key);
  if (!had_good_version) return tl::unexpected(had_good_version.error());
  auto name_id = id_of(commit.name);
  if (!name_id) return tl::unexpected(name_id.error());

  Statement& add = prepared(
      insert,
      "INSERT INTO version(key, number, name, status, generation, committed, expires, digest, "
      "size, run, task, cost, material, value) "
      "VALUES(?1, ?2, ?3, ?13, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
  // Times of one key always increase, whatever the clocks of several processes say.
  Time at = commit.committed.value_or(now);
  if (head->id != 0) at = std::max(at, head->committed + Duration{1});
  std::optional<Blob> bytes;
  if (commit.value.size <= inline_value_bytes && !commit.value.is_nil())
    bytes = Blob{commit.value.view()};
  if (auto done = add.run(
          Blob{commit.key.digest.raw()}, head->number + 1, *name_id, nanoseconds(at), expiry_number,
          Blob{commit.value.digest.raw()}, commit.value.size, Blob{raw(commit.run)}, commit.task,
          commit.cost.count(), head->material, bytes, static_cast<std::int64_t>(commit.status));
      !done)
    return tl::unexpected(done.error());
  if (!head->material && !commit.material.empty()) {
    const std::int64_t version_id = database->last_row_id();
    Statement& keep = prepared(add_material, "INSERT INTO material(id, bytes) VALUES(?1, ?2)");
    if (auto done = keep.run(version_id, Blob{commit.material}); !done)
      return tl::unexpected(done.error());
    Statement refer(*database, "UPDATE version SET material = id WHERE id = ?1");
    if (auto done = refer.run(version_id); !done) return tl::unexpected(done.error());
  }
  ++change.versions;
  change.value_bytes += static_cast<std::int64_t>(commit.value.size);
  if (!*had_good_version) ++change.entries;
  return Kept::added;
}

Status SqliteStore::State::write(Counts& change) {
  Status status;
  const auto add = [&](std::string_view what, std::int64_t by) {
    if (by == 0 || !status) return;
    status = prepared(count,
                      "INSERT INTO counter(name, value) VALUES(?1, ?2) "
                      "ON CONFLICT(name) DO UPDATE SET value = value + excluded.value")
                 .run(what, by);
  };
  change.each(add);
  for (const auto& [name, by] : change.use.sums()) add(std::string(rows::use_prefix) + name, by);
  return status;
}

// A version whose value is not what it was is of no use to anybody. Failing to say so is no
// trouble: the next reader will.
void SqliteStore::State::mark(const std::vector<Damaged>& damaged) {
  seen.corrupt += static_cast<std::int64_t>(damaged.size());
  if (damaged.empty() || read_only) return;
  auto transaction = Transaction::begin(*database);
  if (!transaction) return;
  Counts change;
  for (const Damaged& each : damaged) {
    Statement select(*database,
                     fmt::format("SELECT key, size FROM version WHERE id = ?1 AND {}", is_kept));
    select.start(each.id);
    const auto found = select.next();
    if (!found || !*found) continue;
    const std::string key_bytes = select.text(0);
    --change.versions;
    change.value_bytes -= select.integer(1);
    select.reset();
    Statement update(*database, "UPDATE version SET status = 3, value = NULL WHERE id = ?1");
    if (!update.run(each.id)) return;
    const auto key_digest = Digest::from_raw(key_bytes);
    const auto still = key_digest ? has_good_version(Key{*key_digest}) : Result<bool>(false);
    if (still && !*still) --change.entries;
  }
  if (write(change)) (void)transaction->commit();
}

void SqliteStore::State::write_seen() {
  if (read_only || !seen.is_seen()) return;
  auto transaction = Transaction::begin(*database);
  if (transaction && write(seen) && transaction->commit()) seen = {};
}

SqliteStore::SqliteStore(std::unique_ptr<State> state) : state_(std::move(state)) {}

SqliteStore::~SqliteStore() {
  state_->write_seen();
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(Options options) {
  auto state = std::make_unique<State>();
  auto database = open_database(options.path, options.read_only);
  if (!database) return tl::unexpected(database.error());
  state->database = std::move(*database);
  state->read_only = options.read_only;
  state->blobs = std::move(options.blobs);
  if (!state->blobs) {
    auto blobs = BlobStore::open({.folder = options.path.parent_path() / "blobs"});
    if (!blobs) return tl::unexpected(blobs.error());
    state->blobs = std::move(*blobs);
  }
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(state)));
}

bool SqliteStore::is_newer() const {
  return state_->database->is_newer();
}

Result<std::vector<Found>> SqliteStore::search(std::span<const Query> queries, Time now) {
  const std::lock_guard guard(state_->mutex);
  std::vector<Found> found(queries.size());
  std::vector<State::Damaged> damaged;
  if (const int error = fail_at(FailPoint::on_read))
    return file_error("read", state_->database->path(), error);
  {
    auto transaction = Transaction::begin(*state_->database, Transaction::Kind::read);
    if (!transaction) return tl::unexpected(transaction.error());
    // In the order of the index, neighbours share pages.
    std::vector<std::uint32_t> order(queries.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return queries[a].key < queries[b].key; });
    for (std::uint32_t i : order) {
      auto newest = state_->newest_for(queries[i], now, damaged);
      if (!newest) return tl::unexpected(newest.error());
      found[i] = std::move(*newest);
    }
  }
  std::sort(damaged.begin(), damaged.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  damaged.erase(std::unique(damaged.begin(), damaged.end(),
                            [](const auto& a, const auto& b) { return a.id == b.id; }),
                damaged.end());
  state_->mark(damaged);
  const auto hits = std::count_if(found.begin(), found.end(), [&](const Found& each) {
    return each.record && each.record->is_fresh(now);
  });
  state_->seen.look_ups += static_cast<std::int64_t>(queries.size());
  state_->seen.hits += hits;
  state_->seen.misses += static_cast<std::int64_t>(queries.size()) - hits;
  return found;
}

Result<std::vector<Kept>> SqliteStore::commit(std::span<const Commit> commits, Time now) {
  for (const Commit& each : commits)
    if (each.value.is_none() || !each.value.is_at_hand())
      return fail(ErrorCode::invalid_argument,
                  fmt::format("the value for key \"{}\" is not at hand", each.key.text()));
  const std::lock_guard guard(state_->mutex);
  // Large values first and outside of the transaction, so that no reader sees a version whose value
  // is not there yet.
  for (const Commit& each : commits)
    if (each.value.size > inline_value_bytes)
      if (auto kept = state_->blobs->put_value(each.value); !kept)
        return tl::unexpected(kept.error());
  auto transaction = Transaction::begin(*state_->database);
  if (!transaction) return tl::unexpected(transaction.error());
  Counts change = state_->seen;
  std::vector<Kept> kept;
  for (const Commit& each : commits) {
    auto done = state_->commit_one(each, now, change);
    if (!done) return tl::unexpected(done.error());
    kept.push_back(*done);
  }
  if (auto done = state_->write(change); !done) return tl::unexpected(done.error());
  const auto& path = state_->database->path();
  if (const int error = fail_at(FailPoint::before_commit)) return file_error("write", path, error);
  if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  state_->seen = {};
  if (const int error = fail_at(FailPoint::after_commit)) return file_error("write", path, error);
  return kept;
}

std::uint64_t SqliteStore::removals() {
  const std::lock_guard guard(state_->mutex);
  return state_->newest_removal().value_or(0);
}

std::vector<bool> SqliteStore::are_removed(std::span<const Commit> commits) {
  const std::lock_guard guard(state_->mutex);
  std::vector<bool> removed;
  for (const Commit& each : commits) removed.push_back(state_->is_removed(each).value_or(false));
  return removed;
}

void SqliteStore::count(const UseCounts& more) {
  const std::lock_guard guard(state_->mutex);
  state_->seen.use += more;
  const auto at = std::chrono::steady_clock::now();
  if (at < state_->seen_due) return;
  state_->seen_due = at + std::chrono::seconds{1};
  state_->write_seen();
}

Status SqliteStore::forget_counts() {
  const std::lock_guard guard(state_->mutex);
  if (auto done =
          state_->database->run("DELETE FROM counter WHERE substr(name, 1, 4) = 'use.' OR name IN "
                                "('look_ups', 'hits', 'misses', 'corrupt', 'fenced')");
      !done)
    return done;
  state_->seen = {};
  return {};
}

Result<Statistics> SqliteStore::statistics() {
  const std::lock_guard guard(state_->mutex);
  Counts all = state_->seen;
  Statement select(*state_->database, "SELECT name, value FROM counter");
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    const std::string_view name = select.bytes(0);
    if (name.starts_with(rows::use_prefix))
      all.use.add(name.substr(rows::use_prefix.size()), select.integer(1));
    all.each([&](std::string_view what, std::int64_t& value_here) {
      if (name == what) value_here += select.integer(1);
    });
  }
  const auto counted = [](std::int64_t value_here) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(value_here, 0));
  };
  Statistics statistics;
  statistics.entries = counted(all.entries);
  statistics.versions = counted(all.versions);
  statistics.value_bytes = counted(all.value_bytes);
  statistics.look_ups = counted(all.look_ups);
  statistics.hits = counted(all.hits);
  statistics.misses = counted(all.misses);
  statistics.corrupt = counted(all.corrupt);
  statistics.fenced = counted(all.fenced);
  statistics.use = std::move(all.use);
  std::tie(statistics.blob_files, statistics.blob_bytes) = state_->blobs->usage();
  return statistics;
}

}  // namespace reprise::cache
