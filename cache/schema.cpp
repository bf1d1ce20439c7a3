#include "cache/schema.hpp"

#include <array>

namespace reprise::cache {

namespace {

constexpr std::array<std::string_view, 1> scripts{R"sql(
-- One row per version of a key's result; versions are only ever added. The head is the row with the greatest number.
CREATE TABLE version(
  key BLOB NOT NULL, number INTEGER NOT NULL,
  name TEXT NOT NULL,              -- the task's cache name
  digest BLOB NOT NULL,            -- of the value: H("arg", bytes)
  size INTEGER NOT NULL,
  value BLOB,                      -- NULL: in the blob store
  committed_us INTEGER NOT NULL,   -- strictly increasing per key
  expires_us INTEGER,              -- NULL: never; fresh while now < expires_us
  run BLOB NOT NULL, task TEXT NOT NULL, cost_ns INTEGER NOT NULL,
  PRIMARY KEY(key, number)) WITHOUT ROWID;
CREATE INDEX version_name ON version(name, committed_us);
CREATE INDEX version_time ON version(committed_us);
-- What went into a key, to explain misses.
CREATE TABLE material(key BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
-- Digests of local files by what changes when they change.
CREATE TABLE file(
  device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
  digest BLOB NOT NULL, PRIMARY KEY(device, inode)) WITHOUT ROWID;
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
)sql"};

const sqlite::Schema schema{"cache", 0x52504361 /* "RPCa" */, scripts};

}  // namespace

const sqlite::Schema& cache_schema() {
  return schema;
}

}  // namespace reprise::cache
