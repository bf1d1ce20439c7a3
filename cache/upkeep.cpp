#include "cache/upkeep.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "cache/blob_files.hpp"
#include "cache/compression.hpp"
#include "cache/database.hpp"
#include "cache/upkeep_state.hpp"

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

void collect_files(const Value& value, std::set<Digest>& files) {
  if (is_file(value)) {
    if (const auto file = as_file(value)) files.insert(file->content);
  } else if (const Map* map = value.get_if<Map>()) {
    for (const auto& [key, item] : *map) {
      collect_files(key, files);
      collect_files(item, files);
    }
  } else if (const List* list = value.get_if<List>()) {
    for (const Value& item : *list) collect_files(item, files);
  }
}

}  // namespace

Result<std::vector<UpkeepRow>> Upkeep::State::rows(std::string_view condition,
                                                   std::string_view id) {
  Statement select(*database,
                   fmt::format("SELECT id, key, number, status, committed, expires, digest, size, "
                               "run, task, cost, (SELECT text FROM name n WHERE n.id = v.name), "
                               "(SELECT bytes FROM material m WHERE m.id = v.material) "
                               "FROM version v WHERE {} ORDER BY id DESC",
                               condition));
  if (!id.empty()) select.bind_blob(1, id);
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
    row.record.material = select.text(12);
    found.push_back(std::move(row));
  }
}

// nullopt: not there, or not what it was.
Result<std::optional<Payload>> Upkeep::State::value_of(std::int64_t version_id,
                                                       const Payload& known) {
  if (known.is_nil()) return std::optional(Payload::nil());
  Statement select(*database, "SELECT value FROM version WHERE id = ?1");
  select.start(version_id);
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  if (!*found) return std::optional<Payload>();
  if (!select.is_null(0)) {
    Payload value = Payload::of(select.text(0));
    if (value == known) return std::optional(std::move(value));
    return std::optional<Payload>();
  }
  // Looked at here, not through the store, which would set a damaged one aside.
  const std::string hex = known.digest.hex();
  const fs::path plain = folder / hex.substr(0, 2) / (hex.substr(2) + ".value");
  auto file = blob_file(plain);
  if (!file) file = blob_file(plain.native() + ".zst");
  if (!file) return std::optional<Payload>();
  std::ifstream stream(file->path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  if (file->is_packed) {
    auto unpacked = decompress(bytes, known.size);
    if (!unpacked) return std::optional<Payload>();
    bytes = std::move(*unpacked);
  }
  Payload value = Payload::of(std::move(bytes));
  if (value == known) return std::optional(std::move(value));
  return std::optional<Payload>();
}

Result<bool> Upkeep::State::is_pinned(const Record& record) {
  Statement select(*database,
                   "SELECT 1 FROM pin WHERE (kind = 0 AND id = ?1) OR (kind = 1 AND id = ?2) OR "
                   "(kind = 2 AND id = ?3) LIMIT 1");
  const std::string run = raw(record.run);
  select.start(Blob{record.key.digest.raw()}, Blob{record.value.digest.raw()}, Blob{run});
  return select.next();
}

// The counters say what the rows add up to.
Status Upkeep::State::recount() {
  return database->run(R"(
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'versions', count(*) FROM version WHERE status IN (0, 1);
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'value_bytes', ifnull(sum(size), 0) FROM version WHERE status IN (0, 1);
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'entries', count(DISTINCT key) FROM version v WHERE status IN (0, 1) AND NOT EXISTS(
    SELECT 1 FROM version w WHERE w.key = v.key AND w.number > v.number AND w.status = 2);
)");
}

Status Upkeep::State::set_horizon(const Key& key, Time at) {
  Statement set(*database,
                "INSERT INTO horizon(key, at) VALUES(?1, ?2) "
                "ON CONFLICT(key) DO UPDATE SET at = max(at, excluded.at)");
  return set.run(Blob{key.digest.raw()}, nanoseconds(at));
}

Status Upkeep::State::remove_version(std::int64_t version_id) {
  // A material lies under the id of the key's first version and is needed by the others.
  for (const char* sql :
       {"DELETE FROM renewal WHERE version = ?1",
        "DELETE FROM material WHERE id = (SELECT material FROM version WHERE id = ?1) AND "
        "(SELECT count(*) FROM version v WHERE v.key = (SELECT key FROM version WHERE id = ?1)) = "
        "1",
        "DELETE FROM version WHERE id = ?1"}) {
    Statement statement(*database, sql);
    if (auto done = statement.run(version_id); !done) return done;
  }
  return {};
}

Status Upkeep::State::remove_key(const Key& key, Time now) {
  for (const char* sql :
       {"DELETE FROM renewal WHERE version IN (SELECT id FROM version WHERE key = ?1)",
        "DELETE FROM material WHERE id IN (SELECT material FROM version WHERE key = ?1)",
        "DELETE FROM version WHERE key = ?1"}) {
    Statement statement(*database, sql);
    if (auto done = statement.run(Blob{key.digest.raw()}); !done) return done;
  }
  return set_horizon(key, now);
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
  auto heads = state_->rows(
      "status IN (0, 1) AND NOT EXISTS(SELECT 1 FROM version w WHERE w.key = v.key AND w.number > "
      "v.number AND w.status <> 3)");
  if (!heads) return tl::unexpected(heads.error());
  std::vector<Record> chosen;
  for (UpkeepRow& row : *heads) {
    Record& record = row.record;
    if (!selection.keys.empty() && !selection.keys.contains(record.key)) continue;
    if (selection.run && record.run != *selection.run) continue;
    if (selection.name && record.name != *selection.name && record.task != *selection.name &&
        !record.task.starts_with(*selection.name + "["))
      continue;
    if (selection.version) {
      const auto material = Material::decode(record.material);
      if (!material || material->version != *selection.version) continue;
    }
    record.material.clear();
    chosen.push_back(std::move(record));
  }
  return chosen;
}

Result<std::uint64_t> Upkeep::remove(const std::set<Key>& keys, Time now) {
  std::uint64_t removed = 0;
  const auto done = state_->write([&]() -> Status {
    for (const Key& key : keys) {
      Statement head(*state_->database,
                     "SELECT number, status, committed, name, material FROM version WHERE key = ?1 "
                     "ORDER BY number DESC LIMIT 1");
      head.start(Blob{key.digest.raw()});
      auto found = head.next();
      if (!found) return tl::unexpected(found.error());
      if (!*found || static_cast<VersionStatus>(head.integer(1)) == VersionStatus::tombstone)
        continue;
      const Time at = std::max(now, time_of(head.integer(2)) + Duration{1});
      std::optional<std::int64_t> material;
      if (!head.is_null(4)) material = head.integer(4);
      Statement add(*state_->database,
                    "INSERT INTO version(key, number, name, status, generation, committed, digest, "
                    "size, run, task, cost, material) VALUES(?1, ?2, ?3, 2, 0, ?4, ?5, 0, ?6, '', "
                    "0, ?7)");
      const std::string nobody(RunId{}.bytes.size(), '\0');
      const Digest none;
      auto added = add.run(Blob{key.digest.raw()}, head.integer(0) + 1, head.integer(3),
                           nanoseconds(at), Blob{none.raw()}, Blob{nobody}, material);
      if (!added) return added;
      ++removed;
    }
    return state_->recount();
  });
  if (!done) return tl::unexpected(done.error());
  return removed;
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
  std::set<Digest> files;
  collect_files(value, files);
  return files;
}

}  // namespace reprise::cache
