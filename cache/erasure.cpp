#include "cache/erasure.hpp"

#include <cstring>
#include <fstream>
#include <system_error>

#include <sys/stat.h>

#include "cache/archive.hpp"
#include "cache/compression.hpp"
#include "cache/database.hpp"
#include "cache/files.hpp"
#include "cache/removals.hpp"

namespace reprise::cache {
namespace {

namespace fs = std::filesystem;
using sqlite::Blob;
using sqlite::Statement;
using sqlite::Transaction;

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}

constexpr std::string_view value_endings[] = {"", ".value", ".value.zst"};

fs::path path_in(const fs::path& folder, const Digest& digest, std::string_view ending) {
  const std::string hex = digest.hex();
  return folder / hex.substr(0, 2) / (hex.substr(2) + std::string(ending));
}

bool has_any(const std::vector<Digest>& digests, const std::set<Digest>& of) {
  for (const Digest& digest : digests)
    if (of.contains(digest)) return true;
  return false;
}

}  // namespace

bool ErasureRequest::fits(const Key& key, std::string_view name, std::string_view task,
                          const RunId& run, std::string_view version_of_task) const {
  if (!selection) return false;
  if (!selection->keys.empty() && !selection->keys.contains(key)) return false;
  if (selection->run && run != *selection->run) return false;
  if (selection->name && !is_meant(*selection->name, name, task)) return false;
  return !selection->version || version_of_task == *selection->version;
}

struct Erasure::State {
  std::unique_ptr<sqlite::Database> database;
  fs::path folder;  // of the blobs

  struct Row {
    std::int64_t id = 0;
    Key key;
    Digest digest;
    std::uint64_t size = 0;
    RunId run;
    std::string task, name, material;
  };
  template <class Visit>
  Status each_row(bool with_material, Visit visit);
  Result<std::vector<Digest>> files_of(const Row& row);
  /// @return the number of this removal (cache/removals.hpp)
  Result<std::int64_t> fence(const ErasurePlan& plan, Time now);
  Status erase_rows(const ErasurePlan& plan, std::int64_t removal, Erased& erased);
  Status erase_key(const Key& key, Time now, Erased& erased);
  Result<std::set<Digest>> still_needed(const ErasurePlan& plan, const std::set<Digest>& in_use);
  void erase_blobs(const ErasurePlan& plan, const std::set<Digest>& needed, bool dry_run,
                   Erased& erased) const;
};

template <class Visit>
Status Erasure::State::each_row(bool with_material, Visit visit) {
  Statement select(
      *database,
      std::string("SELECT id, key, digest, size, run, task, (SELECT text FROM name n WHERE n.id = "
                  "v.name), ") +
          (with_material ? "(SELECT bytes FROM material m WHERE m.id = v.material)" : "NULL") +
          " FROM version v WHERE status <> 2 ORDER BY id");
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return {};
    Row row;
    const auto key = Digest::from_raw(select.bytes(1));
    const auto digest = Digest::from_raw(select.bytes(2));
    const std::string_view run = select.bytes(4);
    if (!key || !digest || run.size() != row.run.bytes.size()) continue;  // `cache verify` tells
    row.id = select.integer(0);
    row.key = Key{*key};
    row.digest = *digest;
    row.size = static_cast<std::uint64_t>(select.integer(3));
    std::memcpy(row.run.bytes.data(), run.data(), run.size());
    row.task = select.text(5);
    row.name = select.text(6);
    row.material = select.text(7);
    if (auto done = visit(row); !done) return done;
  }
}

// Damaged values are looked through as well: what is left of them may be what has to go.
Result<std::vector<Digest>> Erasure::State::files_of(const Row& row) {
  Statement select(*database, "SELECT value FROM version WHERE id = ?1");
  select.start(row.id);
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  if (*found && !select.is_null(0)) return files_named_in(select.bytes(0));
  if (const auto plain = open_regular(path_in(folder, row.digest, ".value")))
    return files_named_in_file(*plain);
  std::ifstream packed(path_in(folder, row.digest, ".value.zst"), std::ios::binary);
  const std::string frame{std::istreambuf_iterator<char>(packed), {}};
  if (const auto bytes = decompress(frame, size_in(frame))) return files_named_in(*bytes);
  return std::vector<Digest>();
}

Erasure::Erasure(std::unique_ptr<State> state) : state_(std::move(state)) {}
Erasure::~Erasure() = default;

Result<std::unique_ptr<Erasure>> Erasure::open(const fs::path& path, fs::path blob_folder) {
  auto database = open_database(path);
  if (!database) return tl::unexpected(database.error());
  if (auto done = (*database)->overwrite_deleted(); !done) return tl::unexpected(done.error());
  auto state = std::make_unique<State>();
  state->database = std::move(*database);
  state->folder = std::move(blob_folder);
  return std::unique_ptr<Erasure>(new Erasure(std::move(state)));
}

Result<ErasurePlan> Erasure::plan(const ErasureRequest& request) {
  ErasurePlan plan;
  plan.request = request;
  plan.forced = plan.content = request.values;
  const bool asks_versions = request.selection && request.selection->version;
  const auto look = [&](const State::Row& row) -> Status {
    std::string version;
    if (asks_versions)
      if (const auto material = Material::decode(row.material)) version = material->version;
    bool is_meant = request.values.contains(row.digest) ||
                    request.fits(row.key, row.name, row.task, row.run, version);
    if (!is_meant && request.values.empty()) return {};
    auto files = state_->files_of(row);
    if (!files) return tl::unexpected(files.error());
    is_meant = is_meant || has_any(*files, request.values);
    if (!is_meant) return {};
    plan.rows.push_back({row.id, row.key, row.size});
    plan.keys.insert(row.key);
    plan.content.insert(row.digest);
    plan.content.insert(files->begin(), files->end());
    return {};
  };
  if (auto done = state_->each_row(asks_versions, look); !done) return tl::unexpected(done.error());
  return plan;
}

// Whoever computes some of it at the moment must not bring it back.
Result<std::int64_t> Erasure::State::fence(const ErasurePlan& plan, Time now) {
  for (const Key& key : plan.keys) {
    Statement free(*database, "UPDATE lease SET owner = NULL WHERE key = ?1");
    if (auto done = free.run(Blob{key.digest.raw()}); !done) return tl::unexpected(done.error());
  }
  if (plan.request.selection)
    if (auto done = add_removals(*database, *plan.request.selection, now); !done)
      return tl::unexpected(done.error());
  for (const Digest& value : plan.request.values) {
    Removal of_value;
    of_value.value = value;
    if (auto added = add_removal(*database, of_value, now); !added) return added;
  }
  return add_removal(*database, {}, now);
}

// The rows stay, as versions without anything in them: so their numbers are not given again, no
// older version becomes the current one, and a copy that comes back from elsewhere is too old.
Status Erasure::State::erase_rows(const ErasurePlan& plan, std::int64_t removal, Erased& erased) {
  for (const ErasurePlan::Row& row : plan.rows) {
    for (const char* sql : {"DELETE FROM renewal WHERE version = ?1",
                            "UPDATE version SET status = 2, digest = zeroblob(32), size = 0, run = "
                            "zeroblob(16), task = '', cost = 0, expires = NULL, value = NULL "
                            "WHERE id = ?1"}) {
      Statement statement(*database, sql);
      if (auto done = statement.run(row.id); !done) return done;
    }
    Statement number(*database, "UPDATE version SET generation = ?2 WHERE id = ?1");
    if (auto done = number.run(row.id, removal); !done) return done;
    ++erased.versions;
    erased.value_bytes += row.size;
  }
  return {};
}

// What was under the key while an erased version was current is not known any more.
Status Erasure::State::erase_key(const Key& key, Time now, Erased& erased) {
  const Blob raw_key{key.digest.raw()};
  Statement horizon(
      *database,
      "INSERT INTO horizon(key, at) VALUES(?1, ifnull((SELECT min(committed) FROM version WHERE "
      "key = ?1 AND number > (SELECT max(number) FROM version WHERE key = ?1 AND status = 2 AND "
      "size = 0 AND task = '')), max(?2, (SELECT max(committed) + 1 FROM version WHERE key = "
      "?1)))) ON CONFLICT(key) DO UPDATE SET at = max(at, excluded.at)");
  if (auto done = horizon.run(raw_key, nanoseconds(now)); !done) return done;
  Statement left(*database, "SELECT 1 FROM version WHERE key = ?1 AND status <> 2 LIMIT 1");
  left.start(raw_key);
  auto found = left.next();
  if (!found) return tl::unexpected(found.error());
  left.reset();
  ++erased.entries;
  if (*found) return {};
  // With the last version goes what the key was made of.
  struct Step {
    const char* sql;
    std::uint64_t* counter;
  };
  for (const Step& step :
       {Step{"DELETE FROM material WHERE id IN (SELECT material FROM version WHERE key = ?1)",
             &erased.materials},
        Step{"UPDATE version SET material = NULL WHERE key = ?1", nullptr},
        Step{"DELETE FROM pin WHERE kind = 0 AND id = ?1", &erased.pins}}) {
    Statement statement(*database, step.sql);
    if (auto done = statement.run(raw_key); !done) return done;
    if (step.counter) *step.counter += static_cast<std::uint64_t>(database->changes());
  }
  return {};
}

// Of the content that is to go, what results that stay need.
Result<std::set<Digest>> Erasure::State::still_needed(const ErasurePlan& plan,
                                                      const std::set<Digest>& in_use) {
  std::set<Digest> needed;
  std::set<std::int64_t> going;
  for (const ErasurePlan::Row& row : plan.rows) going.insert(row.id);
  for (const Digest& digest : plan.content)
    if (in_use.contains(digest)) needed.insert(digest);
  const auto look = [&](const Row& row) -> Status {
    if (going.contains(row.id)) return {};
    if (plan.content.contains(row.digest)) needed.insert(row.digest);
    auto files = files_of(row);
    if (!files) return tl::unexpected(files.error());
    for (const Digest& file : *files)
      if (plan.content.contains(file)) needed.insert(file);
    return {};
  };
  if (auto done = each_row(false, look); !done) return tl::unexpected(done.error());
  for (const Digest& digest : plan.forced) needed.erase(digest);
  return needed;
}

void Erasure::State::erase_blobs(const ErasurePlan& plan, const std::set<Digest>& needed,
                                 bool dry_run, Erased& erased) const {
  std::set<std::string> names;  // in quarantine they begin with the digest
  for (const Digest& digest : plan.content) {
    if (digest.is_none()) continue;
    const bool stays = needed.contains(digest);
    if (!stays) names.insert(digest.hex());
    for (const std::string_view ending : value_endings) {
      const fs::path path = path_in(folder, digest, ending);
      struct stat status {};
      if (::lstat(path.c_str(), &status) != 0) continue;
      if (stays) {
        ++erased.shared;
        continue;
      }
      ++erased.blobs;
      erased.blob_bytes += static_cast<std::uint64_t>(status.st_size);
      if (status.st_nlink > 1) ++erased.linked;
      std::error_code error;
      if (!dry_run) fs::remove(path, error);
    }
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / "quarantine", error)) {
    if (!names.contains(entry.path().filename().string().substr(0, 64))) continue;
    ++erased.set_aside;
    std::error_code ignored;
    if (!dry_run) fs::remove(entry.path(), ignored);
  }
}

// "cache.db.format2.backup": as it was before an update, with everything that is to go.
std::uint64_t erase_backups(const fs::path& database, bool dry_run) {
  std::uint64_t found = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(database.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(database.filename().string() + ".format") || !name.ends_with(".backup"))
      continue;
    ++found;
    std::error_code ignored;
    if (!dry_run) fs::remove(entry.path(), ignored);
  }
  return found;
}

Result<Erased> Erasure::erase(const ErasurePlan& plan, const std::set<Digest>& in_use, bool dry_run,
                              Time now) {
  Erased erased;
  // Before the rows are gone that tell.
  auto needed = state_->still_needed(plan, in_use);
  if (!needed) return tl::unexpected(needed.error());
  {
    auto transaction = Transaction::begin(*state_->database);
    if (!transaction) return tl::unexpected(transaction.error());
    const auto removal = state_->fence(plan, now);
    if (!removal) return tl::unexpected(removal.error());
    if (auto done = state_->erase_rows(plan, *removal, erased); !done)
      return tl::unexpected(done.error());
    for (const Key& key : plan.keys)
      if (auto done = state_->erase_key(key, now, erased); !done)
        return tl::unexpected(done.error());
    for (const Digest& digest : plan.content) {
      if (needed->contains(digest)) continue;
      Statement pin(*state_->database, "DELETE FROM pin WHERE kind = 1 AND id = ?1");
      if (auto done = pin.run(Blob{digest.raw()}); !done) return tl::unexpected(done.error());
      erased.pins += static_cast<std::uint64_t>(state_->database->changes());
    }
    if (auto done = recount(*state_->database); !done) return tl::unexpected(done.error());
    if (!dry_run)
      if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  }
  state_->erase_blobs(plan, *needed, dry_run, erased);
  erased.backups = erase_backups(state_->database->path(), dry_run);
  if (dry_run) return erased;
  auto clean = state_->database->empty_log();
  if (!clean) return tl::unexpected(clean.error());
  erased.is_log_clean = *clean;
  return erased;
}

}  // namespace reprise::cache
