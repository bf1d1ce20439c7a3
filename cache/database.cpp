#include "cache/database.hpp"

namespace reprise::cache {
namespace {

// Times are nanoseconds since 1970. `version.id` grows in the order of commits, `number` counts per
// key. A value above the inline limit is NULL here and lies in the blob store under its digest.
// Materials are as large as values and rarely read: they lie apart, once per key, under the id of
// the key's first version.
constexpr std::string_view format_1 = R"(
CREATE TABLE name(id INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE);
CREATE TABLE version(
  id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, number INTEGER NOT NULL, name INTEGER NOT NULL,
  status INTEGER NOT NULL, generation INTEGER NOT NULL, committed INTEGER NOT NULL, expires INTEGER,
  digest BLOB NOT NULL, size INTEGER NOT NULL, run BLOB NOT NULL, task TEXT NOT NULL, cost INTEGER NOT NULL,
  material INTEGER, value BLOB);
CREATE UNIQUE INDEX version_key ON version(key, number);
CREATE INDEX version_name ON version(name);
CREATE TABLE material(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE file_digest(
  device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
  digest BLOB NOT NULL, day INTEGER NOT NULL, PRIMARY KEY(device, inode)) WITHOUT ROWID;
)";
// Who may publish under a key. `owner` is NULL when nobody holds it; the token stays for a while,
// so that the next one is greater.
constexpr std::string_view format_2 = R"(
CREATE TABLE lease(
  key BLOB PRIMARY KEY, token INTEGER NOT NULL, owner BLOB, since INTEGER NOT NULL, until INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE INDEX lease_until ON lease(until);
)";
// History. `renewal.expires` is what a version's expiry was until `at`. What was before
// `horizon.at` is not known any more, of one key or, with an empty key, of all. Pins keep results
// from being removed: kind and id are a key, a digest or a run.
constexpr std::string_view format_3 = R"(
CREATE TABLE renewal(
  version INTEGER NOT NULL, at INTEGER NOT NULL, expires INTEGER, PRIMARY KEY(version, at)) WITHOUT ROWID;
CREATE TABLE horizon(key BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE pin(
  kind INTEGER NOT NULL, id BLOB NOT NULL, at INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY(kind, id))
  WITHOUT ROWID;
)";
// What was removed, for those who compute it meanwhile (cache/removals.hpp). Since this format the
// generation of a version without a result is the number of its removal.
constexpr std::string_view format_4 = R"(
CREATE TABLE removal(
  number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, key BLOB, name BLOB, version BLOB, run BLOB,
  digest BLOB);
)";
constexpr std::string_view scripts[] = {format_1, format_2, format_3, format_4};
constexpr sqlite::Schema schema{"cache", 0x5250'4331, scripts};  // "RPC1"

}  // namespace

Result<std::unique_ptr<sqlite::Database>> open_database(const std::filesystem::path& path,
                                                        bool read_only) {
  return sqlite::Database::open({.path = path,
                                 .schema = schema,
                                 .sync = sqlite::Sync::normal,
                                 .busy_timeout = std::chrono::seconds{5},
                                 .read_only = read_only,
                                 .read_newer = read_only});
}

Status recount(sqlite::Database& database) {
  return database.run(R"(
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'versions', count(*) FROM version WHERE status IN (0, 1);
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'value_bytes', ifnull(sum(size), 0) FROM version WHERE status IN (0, 1);
INSERT OR REPLACE INTO counter(name, value)
  SELECT 'entries', count(DISTINCT key) FROM version v WHERE status IN (0, 1) AND NOT EXISTS(
    SELECT 1 FROM version w WHERE w.key = v.key AND w.number > v.number AND w.status = 2);
)");
}

}  // namespace reprise::cache
