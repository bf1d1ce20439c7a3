#include "cache/removals.hpp"

#include "cache/value_files.hpp"

namespace reprise::cache {
namespace {

using sqlite::Blob;
using sqlite::Statement;

std::string raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

std::optional<Blob> blob(const std::optional<std::string>& bytes) {
  return bytes ? std::optional(Blob{*bytes}) : std::nullopt;
}

bool gives(const Payload& value, std::string_view digest) {
  if (value.digest.raw() == digest) return true;
  for (const FileValue& file : files_in(value))
    if (file.content.raw() == digest) return true;
  return false;
}

// Whether the row (name, version, run, digest), whose key is the commit's or none, was about it.
bool is_about(const Statement& row, const Commit& commit) {
  if (!row.is_null(1) && !is_meant(row.bytes(1), commit.name, commit.task)) return false;
  if (!row.is_null(2)) {
    // Without its material nobody knows; it is made again, at worst.
    const auto material = Material::decode(commit.material);
    if (material && material->version != row.bytes(2)) return false;
  }
  if (!row.is_null(3) && row.bytes(3) != raw(commit.run)) return false;
  return row.is_null(4) || gives(commit.value, row.bytes(4));
}

}  // namespace

bool is_meant(std::string_view wanted, std::string_view name, std::string_view task) {
  return name == wanted || task == wanted ||
         (task.starts_with(wanted) && task.substr(wanted.size()).starts_with("["));
}

Result<std::int64_t> add_removal(sqlite::Database& database, const Removal& removal, Time now) {
  std::optional<std::string> key, run, value;
  if (removal.key) key = removal.key->digest.raw();
  if (removal.run) run = raw(*removal.run);
  if (removal.value) value = removal.value->raw();
  Statement add(database,
                "INSERT INTO removal(at, key, name, version, run, digest) "
                "VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
  if (auto done = add.run(now.time_since_epoch().count(), blob(key), blob(removal.name),
                          blob(removal.version), blob(run), blob(value));
      !done)
    return tl::unexpected(done.error());
  const std::int64_t number = database.last_row_id();
  Statement forget(database, "DELETE FROM removal WHERE number <= ?1");
  if (auto done = forget.run(number - removals_remembered); !done)
    return tl::unexpected(done.error());
  return number;
}

Status add_removals(sqlite::Database& database, const Selection& selection, Time now) {
  Removal removal{.key = std::nullopt,
                  .name = selection.name,
                  .version = selection.version,
                  .run = selection.run,
                  .value = std::nullopt};
  if (selection.keys.empty()) {
    auto added = add_removal(database, removal, now);
    return added ? Status() : tl::unexpected(added.error());
  }
  for (const Key& key : selection.keys) {
    removal.key = key;
    if (auto added = add_removal(database, removal, now); !added)
      return tl::unexpected(added.error());
  }
  return {};
}

Result<bool> is_removed_since(sqlite::Database& database, const Commit& commit,
                              std::int64_t since) {
  const Blob key{commit.key.digest.raw()};
  Statement first(database, "SELECT min(number) FROM removal");
  auto found = first.next();
  if (!found) return found;
  if (!first.is_null(0) && first.integer(0) > since + 1) return true;  // nobody knows any more
  first.reset();
  Statement tombstone(database,
                      "SELECT 1 FROM version WHERE key = ?1 AND status = 2 AND generation > ?2");
  tombstone.start(key, since);
  found = tombstone.next();
  if (!found || *found) return found;
  tombstone.reset();
  Statement later(database,
                  "SELECT number, name, version, run, digest FROM removal WHERE number > ?2 AND "
                  "(key = ?1 OR (key IS NULL AND NOT (name IS NULL AND version IS NULL AND run IS "
                  "NULL AND digest IS NULL)))");
  later.start(key, since);
  for (;;) {
    found = later.next();
    if (!found || !*found) return found;
    if (is_about(later, commit)) return true;
  }
}

}  // namespace reprise::cache
