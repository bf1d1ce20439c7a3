// The past of cache.db: all versions, and what was fresh at a moment.
#include <fmt/format.h>

#include "cache/horizon.hpp"
#include "cache/key_prefix.hpp"
#include "cache/sqlite_state.hpp"
#include "cache/sqlite_store.hpp"

namespace reprise::cache {
namespace {

using rows::Column;
using rows::head_columns;
using rows::is_kept;
using rows::nanoseconds;
using rows::time_of;
using sqlite::Blob;
using sqlite::ResetAtEnd;
using sqlite::Statement;
using sqlite::Transaction;

}  // namespace

// A version's expiry as it was at `moment`: a later run that gave the same value may have renewed
// it since.
Result<std::optional<Time>> SqliteStore::State::expiry_at(std::int64_t version_id,
                                                          std::optional<Time> today, Time moment) {
  Statement& select = prepared(find_renewal,
                               "SELECT expires FROM renewal WHERE version = ?1 AND at > ?2 "
                               "ORDER BY at LIMIT 1");
  ResetAtEnd reset(select);
  select.start(version_id, nanoseconds(moment));
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  if (!*found) return today;
  if (select.is_null(0)) return std::optional<Time>();
  return std::optional(time_of(select.integer(0)));
}

Result<std::optional<Time>> SqliteStore::State::horizon_of(const Key& wanted) {
  Statement& select =
      prepared(find_horizon, "SELECT max(at) FROM horizon WHERE key = ?1 OR key = x''");
  ResetAtEnd reset(select);
  select.start(Blob{wanted.digest.raw()});
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  if (!*found || select.is_null(0)) return std::optional<Time>();
  return std::optional(time_of(select.integer(0)));
}

Result<PastAnswer> SqliteStore::State::answer_as_of(const Key& wanted, Time moment) {
  auto horizon = horizon_of(wanted);
  if (!horizon) return tl::unexpected(horizon.error());
  if (*horizon && moment < **horizon) return PastAnswer{std::nullopt, *horizon};
  static const std::string sql = fmt::format(
      "SELECT {}, value FROM version WHERE key = ?1 AND committed <= ?2 AND status <> 1 "
      "ORDER BY number DESC",
      head_columns);
  Statement& select = prepared(find_past, sql);
  ResetAtEnd reset(select);
  select.start(Blob{wanted.digest.raw()}, nanoseconds(moment));
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return PastAnswer{};
    // Whatever lies below a damaged version was not what held then.
    if (static_cast<VersionStatus>(select.integer(Column::status)) != VersionStatus::ok)
      return PastAnswer{};
    auto record = record_of(select);
    if (!record) return tl::unexpected(record.error());
    auto expires = expiry_at(select.integer(Column::id), record->expires, moment);
    if (!expires) return tl::unexpected(expires.error());
    record->expires = *expires;
    if (record->expires && *record->expires <= moment) continue;
    auto bytes = value_of(select, record->value);
    if (!bytes) return tl::unexpected(bytes.error());
    if (!*bytes) return PastAnswer{};
    record->value = std::move(**bytes);
    return PastAnswer{*std::move(record)};
  }
}

// Tombstones have no value to tell of.
template <class Bind>
Result<std::vector<Record>> SqliteStore::State::with_materials(std::string_view condition,
                                                               std::uint32_t limit,
                                                               std::optional<Statement>& statement,
                                                               Bind bind) {
  const std::lock_guard guard(mutex);
  if (!statement)
    statement.emplace(*database,
                      fmt::format("SELECT {}, (SELECT bytes FROM material m WHERE m.id = "
                                  "version.material) FROM version WHERE {} AND {} "
                                  "ORDER BY id DESC LIMIT ?9",
                                  head_columns, condition, is_kept));
  Statement& select = *statement;
  const ResetAtEnd reset(select);
  bind(select);
  select.bind_integer(9, limit);
  std::vector<Record> records;
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return records;
    auto record = record_of(select);
    if (!record) return tl::unexpected(record.error());
    record->material = select.text(Column::value);
    records.push_back(*std::move(record));
  }
}

Result<std::vector<Record>> SqliteStore::list(const Listing& listing) {
  const std::lock_guard guard(state_->mutex);
  const std::int64_t as_of = listing.as_of ? nanoseconds(*listing.as_of) : INT64_MAX;
  if (listing.as_of) {
    Statement horizon(*state_->database, "SELECT max(at) FROM horizon");
    auto found = horizon.next();
    if (!found) return tl::unexpected(found.error());
    if (*found && !horizon.is_null(0) && as_of < horizon.integer(0))
      return tl::unexpected(past_horizon(*listing.as_of, time_of(horizon.integer(0))));
  }
  std::string sql = fmt::format(
      "SELECT {} FROM version v WHERE {} AND committed <= ?1 AND NOT EXISTS(SELECT 1 FROM "
      "version w WHERE "
      "w.key = v.key AND w.number > v.number AND w.committed <= ?1 AND w.status <> 3)",
      head_columns, is_kept);
  if (!listing.name_prefix.empty())
    sql += " AND name IN (SELECT id FROM name WHERE substr(text, 1, length(?2)) = ?2)";
  sql += " ORDER BY id DESC LIMIT ?3";
  Statement select(*state_->database, sql);
  select.bind_integer(1, as_of);
  if (!listing.name_prefix.empty()) select.bind_blob(2, listing.name_prefix);
  select.bind_integer(3, listing.limit);
  std::vector<Record> records;
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return records;
    auto record = state_->record_of(select);
    if (!record) return tl::unexpected(record.error());
    records.push_back(std::move(*record));
  }
}

Result<std::vector<Record>> SqliteStore::versions(std::string_view key_prefix) {
  auto range = keys_with_prefix(key_prefix);
  if (!range) return tl::unexpected(range.error());
  const std::lock_guard guard(state_->mutex);
  Statement select(*state_->database,
                   fmt::format("SELECT {}, value, (SELECT bytes FROM material m WHERE m.id = "
                               "version.material) FROM version "
                               "WHERE key BETWEEN ?1 AND ?2 AND {} ORDER BY id DESC",
                               head_columns, is_kept));
  select.start(Blob{range->first.digest.raw()}, Blob{range->last.digest.raw()});
  std::vector<Record> records;
  std::vector<State::Damaged> damaged;
  std::uint64_t at_hand = 0;
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    auto record = state_->record_of(select);
    if (!record) return tl::unexpected(record.error());
    record->material = select.text(Column::value + 1);
    if (at_hand + record->value.size <= values_at_hand_bytes) {
      auto bytes = state_->value_of(select, record->value);
      if (!bytes) return tl::unexpected(bytes.error());
      if (!*bytes) {
        damaged.push_back({select.integer(Column::id)});
        continue;
      }
      record->value = std::move(**bytes);
      at_hand += record->value.size;
    }
    records.push_back(std::move(*record));
  }
  select.reset();
  state_->mark(damaged);
  return records;
}

Result<std::vector<PastAnswer>> SqliteStore::look_up_as_of(std::span<const Key> keys, Time moment) {
  const std::lock_guard guard(state_->mutex);
  auto transaction = Transaction::begin(*state_->database, Transaction::Kind::read);
  if (!transaction) return tl::unexpected(transaction.error());
  std::vector<PastAnswer> answers;
  answers.reserve(keys.size());
  for (const Key& wanted : keys) {
    auto answer = state_->answer_as_of(wanted, moment);
    if (!answer) return tl::unexpected(answer.error());
    answers.push_back(*std::move(answer));
  }
  return answers;
}

Result<KeyPast> SqliteStore::past_of(const Key& wanted, Time moment) {
  const std::lock_guard guard(state_->mutex);
  KeyPast past;
  auto horizon = state_->horizon_of(wanted);
  if (!horizon) return tl::unexpected(horizon.error());
  past.horizon = *horizon;
  Statement select(*state_->database,
                   fmt::format("SELECT {} FROM version WHERE key = ?1 AND committed <= ?2 "
                               "ORDER BY number DESC",
                               head_columns));
  select.start(Blob{wanted.digest.raw()}, nanoseconds(moment));
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return past;
    KeyPast::Version version;
    version.status = static_cast<VersionStatus>(select.integer(Column::status));
    auto record = state_->record_of(select);
    if (!record) return tl::unexpected(record.error());
    version.record = *std::move(record);
    auto expires = state_->expiry_at(select.integer(Column::id), version.record.expires, moment);
    if (!expires) return tl::unexpected(expires.error());
    version.record.expires = *expires;
    past.versions.push_back(std::move(version));
  }
}

Result<std::vector<Record>> SqliteStore::recent(std::string_view name, Time moment,
                                                std::uint32_t limit) {
  return state_->with_materials("name = (SELECT id FROM name WHERE text = ?1) AND committed <= ?2",
                                limit, state_->find_recent, [&](Statement& select) {
                                  select.bind_blob(1, name);
                                  select.bind_integer(2, nanoseconds(moment));
                                });
}

Result<std::vector<Record>> SqliteStore::versions_of_value(std::string_view digest_prefix,
                                                           std::uint32_t limit) {
  auto range = digests_with_prefix(digest_prefix);
  if (!range) return tl::unexpected(range.error());
  return state_->with_materials("digest BETWEEN ?1 AND ?2", limit, state_->find_of_value,
                                [&](Statement& select) {
                                  select.bind_blob(1, range->first.digest.raw());
                                  select.bind_blob(2, range->last.digest.raw());
                                });
}

}  // namespace reprise::cache
