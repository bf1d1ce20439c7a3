#include "cache/upkeep.hpp"
#include "cache/compression.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <system_error>
#include <unordered_set>

#include <fmt/format.h>
#include <sys/stat.h>

#include "cache/database.hpp"

namespace reprise::cache {
namespace {

namespace fs = std::filesystem;
using sqlite::Blob;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::size_t keys_at_once = 500;  // a transaction: others wait for no longer than that
constexpr std::uint64_t least_bytes = 4096;

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
Time time_of(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}
std::string raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

struct Row {
  std::int64_t id = 0;
  std::int64_t number = 0;
  VersionStatus status = VersionStatus::ok;
  Record record;
};

struct BlobFile {
  fs::path path;
  Digest digest;
  bool is_value = false;
  bool is_packed = false;
  std::uint64_t bytes = 0;
  Time modified;
};

std::optional<BlobFile> blob_file(const fs::path& path) {
  std::string hex = path.parent_path().filename().string();
  std::string rest = path.filename().string();
  BlobFile file;
  file.path = path;
  if (rest.ends_with(".value.zst")) {
    file.is_packed = true;
    rest.resize(rest.size() - 4);
  }
  if (rest.ends_with(".value")) {
    file.is_value = true;
    rest.resize(rest.size() - 6);
  }
  const auto digest = Digest::parse(hex + rest);
  if (!digest) return std::nullopt;
  file.digest = *digest;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  file.bytes = static_cast<std::uint64_t>(status.st_size);
  file.modified =
      Time(std::chrono::seconds{status.st_mtim.tv_sec} + Duration{status.st_mtim.tv_nsec});
  return file;
}

/// Digest of a blob's bytes, in the way its name was made; nullopt: it cannot be read.
std::optional<Digest> digest_of_file(const BlobFile& file) {
  std::ifstream stream(file.path, std::ios::binary);
  if (!stream) return std::nullopt;
  if (file.is_packed) {
    const std::string frame{std::istreambuf_iterator<char>(stream), {}};
    const std::uint64_t size = size_in(frame);
    if (size > most_compressed_bytes) return std::nullopt;
    const auto bytes = decompress(frame, size);
    return bytes ? std::optional(Payload::of(*bytes).digest) : std::nullopt;
  }
  Sha256 hash;
  // Payload::digest is H("arg", bytes).
  if (file.is_value) hash.update(std::string_view("rp1.arg\0", 8));
  std::string buffer(256 * 1024, '\0');
  while (stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         stream.gcount() > 0)
    hash.update({buffer.data(), static_cast<std::size_t>(stream.gcount())});
  return hash.finish();
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

struct Upkeep::State {
  std::unique_ptr<sqlite::Database> database;
  std::shared_ptr<BlobStore> blobs;
  fs::path folder;  // of the blobs

  Result<std::vector<Row>> rows(std::string_view condition, std::string_view id = {});
  Result<std::optional<Payload>> value_of(std::int64_t version_id, const Payload& known);
  Result<bool> is_pinned(const Record& record);
  Status recount();
  Status set_horizon(const Key& key, Time at);
  Status remove_version(std::int64_t version_id);
  Status remove_key(const Key& key, Time now);
  Status trim_history(const CollectRequest& request, Time now, Collected& collected);
  Status evict(const CollectRequest& request, Time now, Collected& collected);
  Status sweep(const CollectRequest& request, Time now, Collected& collected);
  Result<std::set<Digest>> needed_blobs(const std::set<Digest>& in_use);
  [[nodiscard]] std::vector<BlobFile> blob_files() const;

  template <class F>
  Status write(F action) {
    auto transaction = Transaction::begin(*database);
    if (!transaction) return tl::unexpected(transaction.error());
    if (Status done = action(); !done) return done;
    return transaction->commit();
  }
};

Result<std::vector<Row>> Upkeep::State::rows(std::string_view condition, std::string_view id) {
  Statement select(*database,
                   fmt::format("SELECT id, key, number, status, committed, expires, digest, size, "
                               "run, task, cost, (SELECT text FROM name n WHERE n.id = v.name), "
                               "(SELECT bytes FROM material m WHERE m.id = v.material) "
                               "FROM version v WHERE {} ORDER BY id DESC",
                               condition));
  if (!id.empty()) select.bind_blob(1, id);
  std::vector<Row> found;
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return found;
    Row row;
    const auto key = Digest::from_raw(select.bytes(1));
    const auto digest = Digest::from_raw(select.bytes(6));
    const std::string_view run = select.bytes(8);
    if (!key || !digest || run.size() != row.record.run.bytes.size()) continue;  // verify() tells
    row.id = select.integer(0);
    row.number = select.integer(2);
    row.status = static_cast<VersionStatus>(select.integer(3));
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
  SELECT 'versions', count(*) FROM version WHERE status = 0;
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'value_bytes', ifnull(sum(size), 0) FROM version WHERE status = 0;
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'entries', count(DISTINCT key) FROM version v WHERE status = 0 AND NOT EXISTS(
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

// Superseded versions beyond the newest few, once they are old.
Status Upkeep::State::trim_history(const CollectRequest& request, Time now, Collected& collected) {
  auto all =
      rows(fmt::format("committed < {} AND EXISTS(SELECT 1 FROM version w WHERE w.key = v.key "
                       "AND w.number > v.number)",
                       nanoseconds(now - request.keep_for)));
  if (!all) return tl::unexpected(all.error());
  std::vector<const Row*> going;
  for (const Row& row : *all) {
    Statement newer(
        *database,
        "SELECT count(*), (SELECT committed FROM version WHERE key = ?1 AND number > ?2 "
        "ORDER BY number LIMIT 1) FROM version WHERE key = ?1 AND number > ?2");
    newer.start(Blob{row.record.key.digest.raw()}, row.number);
    auto found = newer.next();
    if (!found) return tl::unexpected(found.error());
    if (newer.integer(0) < request.keep_versions) continue;
    auto pinned = is_pinned(row.record);
    if (!pinned) return tl::unexpected(pinned.error());
    if (*pinned || request.active.contains(row.record.run)) continue;
    going.push_back(&row);
    ++collected.versions;
    collected.value_bytes += row.status == VersionStatus::ok ? row.record.value.size : 0;
  }
  if (request.dry_run) return {};
  for (std::size_t i = 0; i < going.size(); i += keys_at_once) {
    const auto done = write([&]() -> Status {
      for (std::size_t k = i; k < std::min(i + keys_at_once, going.size()); ++k) {
        const Row& row = *going[k];
        Statement next(*database,
                       "SELECT committed FROM version WHERE key = ?1 AND number > ?2 ORDER BY "
                       "number LIMIT 1");
        next.start(Blob{row.record.key.digest.raw()}, row.number);
        auto found = next.next();
        if (!found) return tl::unexpected(found.error());
        if (*found)
          if (auto set = set_horizon(row.record.key, time_of(next.integer(0))); !set) return set;
        next.reset();
        if (auto removed = remove_version(row.id); !removed) return removed;
      }
      return {};
    });
    if (!done) return done;
  }
  return {};
}

// Entries that are too old, then those that are worth least for the room they take
// (GreedyDual-Size-Frequency: uses × cost ÷ bytes), until the rest fits.
Status Upkeep::State::evict(const CollectRequest& request, Time now, Collected& collected) {
  auto heads = rows(
      "status = 0 AND NOT EXISTS(SELECT 1 FROM version w WHERE w.key = v.key AND w.number > "
      "v.number AND w.status <> 3)");
  if (!heads) return tl::unexpected(heads.error());
  struct Candidate {
    const Row* row;
    double worth;
    Time last;
    std::uint64_t bytes;
  };
  std::uint64_t total = collected.bytes_before;
  // What trimming history freed, or would.
  total -= std::min(total, collected.value_bytes);
  std::vector<Candidate> candidates;
  for (const Row& row : *heads) {
    const auto use = request.uses.find(row.record.key);
    Candidate candidate{&row, 0, row.record.committed, row.record.value.size};
    double uses = 1;
    if (use != request.uses.end()) {
      uses += static_cast<double>(use->second.count);
      candidate.last = std::max(candidate.last, use->second.last);
    }
    if (auto value = value_of(row.id, row.record.value); value && *value) {
      if (const auto decoded = (*value)->value())
        for (const Digest& file : files_in(*decoded)) {
          const auto blob = blob_file(blobs->path_of(file));
          if (blob) candidate.bytes += blob->bytes;
        }
    }
    candidate.worth = uses * seconds(row.record.cost) /
                      static_cast<double>(std::max(candidate.bytes, least_bytes));
    candidates.push_back(candidate);
  }
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    return std::tie(a.worth, a.last) < std::tie(b.worth, b.last);
  });
  std::set<Key> going;
  for (const Candidate& candidate : candidates) {
    const Record& record = candidate.row->record;
    const bool is_old = request.max_age && candidate.last < now - *request.max_age;
    const bool is_much = request.max_bytes && total > *request.max_bytes;
    if (!is_old && !is_much) continue;
    auto pinned = is_pinned(record);
    if (!pinned) return tl::unexpected(pinned.error());
    if (*pinned || request.active.contains(record.run)) {
      ++collected.pinned;
      continue;
    }
    going.insert(record.key);
    total -= std::min(total, candidate.bytes);
    collected.value_bytes += record.value.size;
    collected.cost += record.cost;
    collected.entries.push_back({record, is_old ? "age" : "size"});
    collected.entries.back().record.material.clear();
  }
  collected.entries_left = heads->size() - going.size();
  if (request.dry_run) return {};
  std::size_t done_keys = 0;
  std::vector<Key> keys(going.begin(), going.end());
  while (done_keys < keys.size()) {
    const auto done = write([&]() -> Status {
      for (std::size_t n = 0; n < keys_at_once && done_keys < keys.size(); ++n, ++done_keys)
        if (auto removed = remove_key(keys[done_keys], now); !removed) return removed;
      return {};
    });
    if (!done) return done;
  }
  return {};
}

std::vector<BlobFile> Upkeep::State::blob_files() const {
  std::vector<BlobFile> files;
  std::error_code error;
  for (const auto& part : fs::directory_iterator(folder, error)) {
    if (part.path().filename().native().size() != 2) continue;  // tmp, quarantine
    std::error_code gone;
    for (const auto& blob : fs::directory_iterator(part.path(), gone))
      if (auto file = blob_file(blob.path())) files.push_back(std::move(*file));
  }
  return files;
}

Result<std::set<Digest>> Upkeep::State::needed_blobs(const std::set<Digest>& in_use) {
  std::set<Digest> needed = in_use;
  auto all = rows("status = 0");
  if (!all) return tl::unexpected(all.error());
  for (const Row& row : *all) {
    needed.insert(row.record.value.digest);
    auto value = value_of(row.id, row.record.value);
    if (!value) return tl::unexpected(value.error());
    if (!*value) continue;
    if (const auto decoded = (*value)->value())
      for (const Digest& file : files_in(*decoded)) needed.insert(file);
  }
  return needed;
}

Status Upkeep::State::sweep(const CollectRequest& request, Time now, Collected& collected) {
  const std::vector<BlobFile> files = blob_files();
  // Marked after the list was made: what is published meanwhile is younger than the grace time.
  auto needed = needed_blobs(request.blobs_in_use);
  if (!needed) return tl::unexpected(needed.error());
  for (const BlobFile& file : files) {
    if (needed->contains(file.digest) || file.modified > now - request.grace) continue;
    ++collected.blobs;
    collected.blob_bytes += file.bytes;
    if (request.dry_run) continue;
    std::error_code error;
    fs::remove(file.path, error);
  }
  return {};
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
      "status = 0 AND NOT EXISTS(SELECT 1 FROM version w WHERE w.key = v.key AND w.number > "
      "v.number AND w.status <> 3)");
  if (!heads) return tl::unexpected(heads.error());
  std::vector<Record> chosen;
  for (Row& row : *heads) {
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

Result<Collected> Upkeep::collect(const CollectRequest& request, Time now) {
  Collected collected;
  Statement sum(*state_->database,
                "SELECT ifnull(sum(size), 0) FROM version WHERE status = 0 AND value IS NOT NULL");
  auto found = sum.next();
  if (!found) return tl::unexpected(found.error());
  collected.bytes_before =
      static_cast<std::uint64_t>(sum.integer(0)) + state_->blobs->usage().second;
  sum.reset();
  for (auto step : {&State::trim_history, &State::evict, &State::sweep})
    if (auto done = ((*state_).*step)(request, now, collected); !done)
      return tl::unexpected(done.error());
  if (!request.dry_run)
    if (auto done = state_->write([&] { return state_->recount(); }); !done)
      return tl::unexpected(done.error());
  return collected;
}

Result<Verified> Upkeep::verify(bool repair, const std::set<Digest>& blobs_in_use, Duration grace,
                                Time now) {
  Verified verified;
  auto all = state_->rows("status = 0");
  if (!all) return tl::unexpected(all.error());
  std::vector<std::int64_t> damaged;
  std::set<Digest> needed = blobs_in_use;
  for (const Row& row : *all) {
    ++verified.versions;
    const std::string what = fmt::format("{} version {}", row.record.key.text(), row.number);
    auto value = state_->value_of(row.id, row.record.value);
    if (!value) return tl::unexpected(value.error());
    needed.insert(row.record.value.digest);
    if (!*value) {
      verified.problems.push_back({Verified::Fault::wrong, what, repair});
      damaged.push_back(row.id);
      continue;
    }
    const auto decoded = (*value)->value();
    if (!decoded) {
      verified.problems.push_back({Verified::Fault::record, what, repair});
      damaged.push_back(row.id);
      continue;
    }
    for (const Digest& file : files_in(*decoded)) {
      needed.insert(file);
      const auto blob = blob_file(state_->blobs->path_of(file));
      if (blob && digest_of_file(*blob) == file) continue;
      verified.problems.push_back({blob ? Verified::Fault::wrong : Verified::Fault::missing,
                                   fmt::format("{} needs file {}", what, file.text()), repair});
      damaged.push_back(row.id);
    }
  }
  Statement broken(*state_->database,
                   "SELECT id FROM version WHERE status = 0 AND (length(key) <> 32 OR "
                   "length(digest) <> 32 OR length(run) <> 16)");
  for (;;) {
    auto more = broken.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    damaged.push_back(broken.integer(0));
    verified.problems.push_back(
        {Verified::Fault::record, fmt::format("row {}", broken.integer(0)), repair});
  }
  broken.reset();
  for (const BlobFile& file : state_->blob_files()) {
    ++verified.blobs;
    const bool is_needed = needed.contains(file.digest);
    const bool is_good = digest_of_file(file) == file.digest;
    if (is_good && (is_needed || file.modified > now - grace)) continue;
    const auto fault = is_good ? Verified::Fault::orphan : Verified::Fault::wrong;
    verified.problems.push_back({fault, "blob " + file.digest.text(), repair});
    if (!repair) continue;
    std::error_code error;
    if (is_good) {
      fs::remove(file.path, error);
    } else {
      const fs::path aside = state_->folder / "quarantine" / (file.digest.hex() + ".verify");
      fs::create_directories(aside.parent_path(), error);
      fs::rename(file.path, aside, error);
    }
  }
  if (!repair || damaged.empty()) return verified;
  const auto done = state_->write([&]() -> Status {
    for (const std::int64_t id : damaged) {
      Statement mark(*state_->database,
                     "UPDATE version SET status = 3, value = NULL WHERE id = ?1 AND status = 0");
      if (auto marked = mark.run(id); !marked) return marked;
    }
    return state_->recount();
  });
  if (!done) return tl::unexpected(done.error());
  return verified;
}

std::set<Digest> Upkeep::files_in(const Value& value) {
  std::set<Digest> files;
  collect_files(value, files);
  return files;
}

}  // namespace reprise::cache
