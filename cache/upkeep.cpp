#include "cache/upkeep.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "cache/blob_files.hpp"
#include "cache/compression.hpp"
#include "cache/database.hpp"
#include "cache/removals.hpp"
#include "cache/upkeep_state.hpp"
#include "cache/value_files.hpp"

namespace reprise::cache {
namespace {

namespace fs = std::filesystem;
using sqlite::Blob;
using sqlite::Statement;

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
Time time_of(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}
std::string raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

}  // namespace

Result<std::vector<UpkeepRow>> Upkeep::State::read_rows(Statement& select, Extra extra) const {
  std::vector<UpkeepRow> found;
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return found;
    UpkeepRow row;
    const auto key = Digest::from_raw(select.bytes(1));
    const auto digest = Digest::from_raw(select.bytes(6));
    const std::string_view run = select.bytes(8);
    if (!key || !digest || run.size() != row.record.run.bytes.size()) continue;  // verify() tells
    row.id = select.integer(0);
    row.number = select.integer(2);
    row.status = static_cast<VersionStatus>(select.integer(3));
    if (row.status == VersionStatus::negative) row.record.status = row.status;
    row.record.key = Key{*key};
    row.record.version = static_cast<std::uint32_t>(row.number);
    row.record.committed = time_of(select.integer(4));
    if (!select.is_null(5)) row.record.expires = time_of(select.integer(5));
    row.record.value.digest = *digest;
    row.record.value.size = static_cast<std::uint64_t>(select.integer(7));
    std::memcpy(row.record.run.bytes.data(), run.data(), run.size());
    row.record.task = select.text(9);
    row.record.cost = Duration(select.integer(10));
    row.record.name = select.text(11);
    if (extra == Extra::material) row.record.material = select.text(12);
    if (extra == Extra::value && !select.is_null(12))
      row.record.value.bytes = std::make_shared<const std::string>(select.bytes(12));
    found.push_back(std::move(row));
  }
}

std::string Upkeep::State::select_where(std::string_view condition, Extra extra) {
  const char* last = extra == Extra::material
                         ? "(SELECT bytes FROM material m WHERE m.id = v.material)"
                     : extra == Extra::value ? "value"
                                             : "NULL";
  return fmt::format(
      "SELECT id, key, number, status, committed, expires, digest, size, run, task, cost, "
      "(SELECT text FROM name n WHERE n.id = v.name), {} FROM version v WHERE {}",
      last, condition);
}

Status Upkeep::State::each_window(std::string_view condition, Extra extra,
                                  std::uint32_t rows_per_window,
                                  const std::function<Status(std::vector<UpkeepRow>&)>& visit) {
  Statement window(*database,
                   "SELECT min(id) FROM (SELECT id FROM version WHERE id < ?1 "
                   "ORDER BY id DESC LIMIT ?2)");
  Statement select(
      *database,
      select_where(fmt::format("id >= ?1 AND id < ?2 AND ({}) ORDER BY id DESC", condition),
                   extra));
  std::int64_t end = INT64_MAX;
  for (;;) {
    window.start(end, std::max(rows_per_window, 1U));
    auto found = window.next();
    if (!found) return tl::unexpected(found.error());
    if (!*found || window.is_null(0)) return {};
    const std::int64_t begin = window.integer(0);
    window.reset();
    select.start(begin, end);
    auto rows = read_rows(select, extra);
    select.reset();
    if (!rows) return tl::unexpected(rows.error());
    if (Status visited = visit(*rows); !visited || is_stopped) return visited;
    end = begin;
  }
}

// Looked at here, not through the store, which would set a damaged one aside.
std::optional<BlobFile> Upkeep::State::value_file(const Digest& digest) const {
  const std::string hex = digest.hex();
  const fs::path plain = folder / hex.substr(0, 2) / (hex.substr(2) + ".value");
  auto file = blob_file(plain);
  return file ? file : blob_file(plain.native() + ".zst");
}

std::vector<FileValue> Upkeep::State::files_of(const UpkeepRow& row) const {
  const Payload& known = row.record.value;
  if (known.is_at_hand() || known.size > most_compressed_bytes) return cache::files_in(known);
  const auto file = value_file(known.digest);
  if (!file) return {};
  std::ifstream stream(file->path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  if (file->is_packed) {
    auto unpacked = decompress(bytes, known.size);
    if (!unpacked) return {};
    bytes = std::move(*unpacked);
  }
  Payload value = known;
  value.bytes = std::make_shared<const std::string>(std::move(bytes));
  return cache::files_in(value);
}

Result<bool> Upkeep::State::is_pinned(const Record& record) {
  Statement& select =
      prepared(find_pin,
               "SELECT 1 FROM pin WHERE (kind = 0 AND id = ?1) OR (kind = 1 AND id = ?2) OR "
               "(kind = 2 AND id = ?3) LIMIT 1");
  const sqlite::ResetAtEnd reset(select);
  const std::string run = raw(record.run);
  select.start(Blob{record.key.digest.raw()}, Blob{record.value.digest.raw()}, Blob{run});
  return select.next();
}

Result<Upkeep::State::Tally> Upkeep::State::tally_of(const Key& key) {
  Statement& select = prepared(
      find_tally,
      "SELECT count(*), ifnull(sum(size), 0), ifnull(max(number), 0) > ifnull((SELECT max(number) "
      "FROM version WHERE key = ?1 AND status = 2), 0) FROM version WHERE key = ?1 AND status IN "
      "(0, 1)");
  const sqlite::ResetAtEnd reset(select);
  select.start(Blob{key.digest.raw()});
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  return Tally{select.integer(2), select.integer(0), select.integer(1)};
}

Status Upkeep::State::counted(const Key& key, const std::function<Status()>& action) {
  const auto before = tally_of(key);
  if (!before) return tl::unexpected(before.error());
  if (Status done = action(); !done) return done;
  const auto after = tally_of(key);
  if (!after) return tl::unexpected(after.error());
  const std::pair<std::string_view, std::int64_t> changes[] = {
      {"entries", after->entries - before->entries},
      {"versions", after->versions - before->versions},
      {"value_bytes", after->value_bytes - before->value_bytes}};
  for (const auto& [what, by] : changes) {
    if (by == 0) continue;
    Statement& add = prepared(add_count,
                              "INSERT INTO counter(name, value) VALUES(?1, ?2) "
                              "ON CONFLICT(name) DO UPDATE SET value = value + excluded.value");
    if (auto done = add.run(what, by); !done) return done;
  }
  return {};
}

Status Upkeep::State::set_horizon(const Key& key, Time at) {
  Statement& set = prepared(add_horizon,
                            "INSERT INTO horizon(key, at) VALUES(?1, ?2) "
                            "ON CONFLICT(key) DO UPDATE SET at = max(at, excluded.at)");
  return set.run(Blob{key.digest.raw()}, nanoseconds(at));
}

Status Upkeep::State::remove_version(const Key& key, std::int64_t version_id) {
  return counted(key, [&]() -> Status {
    // A material lies under the id of the key's first version and is needed by the others.
    for (const char* sql :
         {"DELETE FROM renewal WHERE version = ?1",
          "DELETE FROM material WHERE id = (SELECT material FROM version WHERE id = ?1) AND "
          "(SELECT count(*) FROM version v WHERE v.key = (SELECT key FROM version WHERE id = ?1)) "
          "= 1",
          "DELETE FROM version WHERE id = ?1"}) {
      Statement statement(*database, sql);
      if (auto done = statement.run(version_id); !done) return done;
    }
    return {};
  });
}

Status Upkeep::State::remove_key(const Key& key, Time now) {
  return counted(key, [&]() -> Status {
    // A clock that was set back must not make what was there look as if it had never been.
    Statement newest(*database, "SELECT max(committed) FROM version WHERE key = ?1");
    newest.start(Blob{key.digest.raw()});
    auto found = newest.next();
    if (!found) return tl::unexpected(found.error());
    const Time horizon = *found && !newest.is_null(0)
                             ? std::max(now, time_of(newest.integer(0)) + Duration{1})
                             : now;
    newest.reset();
    for (const char* sql :
         {"DELETE FROM renewal WHERE version IN (SELECT id FROM version WHERE key = ?1)",
          "DELETE FROM material WHERE id IN (SELECT material FROM version WHERE key = ?1)",
          "DELETE FROM version WHERE key = ?1"}) {
      Statement statement(*database, sql);
      if (auto done = statement.run(Blob{key.digest.raw()}); !done) return done;
    }
    return set_horizon(key, horizon);
  });
}

Upkeep::Upkeep(std::unique_ptr<State> state) : state_(std::move(state)) {}
Upkeep::~Upkeep() = default;

Result<std::unique_ptr<Upkeep>> Upkeep::open(const fs::path& path, std::shared_ptr<BlobStore> blobs,
                                             fs::path blob_folder) {
  auto database = open_database(path);
  if (!database) return tl::unexpected(database.error());
  auto state = std::make_unique<State>();
  state->database = std::move(*database);
  state->blobs = std::move(blobs);
  state->folder = std::move(blob_folder);
  return std::unique_ptr<Upkeep>(new Upkeep(std::move(state)));
}

Result<std::vector<Record>> Upkeep::select(const Selection& selection) {
  std::vector<Record> chosen;
  const bool reads = selection.version || selection.with_material;
  const auto extra = reads ? State::Extra::material : State::Extra::none;
  const auto choose = [&](std::vector<UpkeepRow>& rows) -> Status {
    for (UpkeepRow& row : rows) {
      Record& record = row.record;
      if (selection.run && record.run != *selection.run) continue;
      if (selection.name && !is_meant(*selection.name, record.name, record.task)) continue;
      if (selection.version) {
        const auto material = Material::decode(record.material);
        if (!material || material->version != *selection.version) continue;
      }
      if (!selection.with_material) record.material.clear();
      chosen.push_back(std::move(record));
    }
    return {};
  };
  if (selection.keys.empty()) {
    if (auto done = state_->each_window(is_head, extra, rows_at_once, choose); !done)
      return tl::unexpected(done.error());
    return chosen;
  }
  for (const Key& key : selection.keys) {
    auto rows =
        state_->rows_where("key = ?1 AND " + std::string(is_head), Blob{key.digest.raw()}, extra);
    if (!rows) return tl::unexpected(rows.error());
    if (auto done = choose(*rows); !done) return tl::unexpected(done.error());
  }
  std::ranges::sort(chosen, std::ranges::greater{}, &Record::committed);
  return chosen;
}

Result<bool> Upkeep::State::bury(const Key& key, std::int64_t removal, Time now) {
  Statement free(*database, "UPDATE lease SET owner = NULL WHERE key = ?1");
  if (auto done = free.run(Blob{key.digest.raw()}); !done) return tl::unexpected(done.error());
  Statement head(*database,
                 "SELECT number, status, committed, name, material FROM version WHERE key = ?1 "
                 "ORDER BY number DESC LIMIT 1");
  head.start(Blob{key.digest.raw()});
  auto found = head.next();
  if (!found) return tl::unexpected(found.error());
  if (!*found || static_cast<VersionStatus>(head.integer(1)) == VersionStatus::tombstone) {
    Removal alone;
    alone.key = key;
    if (auto added = add_removal(*database, alone, now); !added)
      return tl::unexpected(added.error());
    return false;
  }
  const Time at = std::max(now, time_of(head.integer(2)) + Duration{1});
  std::optional<std::int64_t> material;
  if (!head.is_null(4)) material = head.integer(4);
  const auto done = counted(key, [&] {
    Statement add(*database,
                  "INSERT INTO version(key, number, name, status, generation, committed, digest, "
                  "size, run, task, cost, material) VALUES(?1, ?2, ?3, 2, ?8, ?4, ?5, 0, ?6, '', "
                  "0, ?7)");
    const std::string nobody(RunId{}.bytes.size(), '\0');
    const Digest none;
    return add.run(Blob{key.digest.raw()}, head.integer(0) + 1, head.integer(3), nanoseconds(at),
                   Blob{none.raw()}, Blob{nobody}, material, removal);
  });
  if (!done) return tl::unexpected(done.error());
  return true;
}

Result<std::uint64_t> Upkeep::remove(const std::set<Key>& keys, Time now) {
  std::uint64_t removed = 0;
  for (auto next = keys.begin(); next != keys.end();) {
    const auto done = state_->write([&]() -> Status {
      const auto removal = add_removal(*state_->database, {}, now);
      if (!removal) return tl::unexpected(removal.error());
      for (std::uint32_t n = 0; n < rows_at_once && next != keys.end(); ++n, ++next) {
        const auto buried = state_->bury(*next, *removal, now);
        if (!buried) return tl::unexpected(buried.error());
        removed += *buried ? 1 : 0;
      }
      return {};
    });
    if (!done) return tl::unexpected(done.error());
  }
  return removed;
}

Status Upkeep::fence(const Selection& selection, Time now) {
  return state_->write([&] { return add_removals(*state_->database, selection, now); });
}

Status Upkeep::pin(PinKind kind, std::string_view id, std::string_view why, Time now) {
  Statement add(*state_->database,
                "INSERT OR REPLACE INTO pin(kind, id, at, why) VALUES(?1, ?2, ?3, ?4)");
  return add.run(kind, Blob{id}, nanoseconds(now), why);
}

Result<bool> Upkeep::unpin(PinKind kind, std::string_view id) {
  Statement remove(*state_->database, "DELETE FROM pin WHERE kind = ?1 AND id = ?2");
  if (auto done = remove.run(kind, Blob{id}); !done) return tl::unexpected(done.error());
  return state_->database->changes() > 0;
}

Result<std::vector<Pin>> Upkeep::pins() {
  Statement select(*state_->database, "SELECT kind, id, at, why FROM pin ORDER BY at");
  std::vector<Pin> all;
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return all;
    all.push_back({static_cast<PinKind>(select.integer(0)), select.text(1),
                   time_of(select.integer(2)), select.text(3)});
  }
}

std::set<Digest> Upkeep::files_in(const Value& value) {
  std::set<Digest> digests;
  for (const FileValue& file : cache::files_in(value)) digests.insert(file.content);
  return digests;
}

}  // namespace reprise::cache
