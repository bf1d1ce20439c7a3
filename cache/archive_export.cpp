#include "cache/archive_export.hpp"

#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include <unistd.h>

#include <fmt/format.h>

#include "cache/compression.hpp"
#include "cache/database.hpp"
#include "cache/files.hpp"
#include "cache/sqlite_store.hpp"

namespace reprise::cache {
namespace {

using sqlite::Blob;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::string_view value_domain{"rp1.arg\0", 8};  // Payload::digest is H("arg", bytes)

Time time_of(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}

/// A row of the table of versions, without its value.
struct Row {
  std::int64_t id = 0;
  bool is_inline = false;
  ArchiveVersion version;
};

bool is_of_task(const std::string& shown, const std::string& name) {
  return shown == name || shown.starts_with(name + "[");
}

}  // namespace

struct ArchiveExport::State {
  std::unique_ptr<sqlite::Database> database;
  std::optional<Transaction> view;
  std::shared_ptr<BlobStore> blobs;
  ArchiveWriter* writer = nullptr;
  Exported counts;
  std::unordered_set<Key> keys;
  std::unordered_set<Digest> values;  // of versions
  std::unordered_set<RunId> runs;
  std::unordered_map<Digest, bool> written_blobs;  // false: missing or damaged

  Result<std::vector<Row>> rows_of(const Key& key);
  Status add_key(const Key& key, const Selection& selection);
  Result<bool> load(Row& row);
  Result<bool> stream(const OpenFile& file, const std::filesystem::path& path,
                      const ArchiveBlob& blob);
  Result<bool> write_blob(ArchiveBlob::Kind kind, const Digest& digest);
  Status write_bytes(const ArchiveBlob& blob, std::string_view bytes);
  Result<bool> write_value(const Payload& value);
};

Result<std::vector<Row>> ArchiveExport::State::rows_of(const Key& key) {
  Statement select(*database,
                   "SELECT id, number, status, committed, expires, digest, size, run, task, cost, "
                   "value IS NOT NULL FROM version WHERE key = ?1 ORDER BY number");
  select.start(Blob{key.digest.raw()});
  std::vector<Row> rows;
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return rows;
    Row row;
    const auto digest = Digest::from_raw(select.bytes(5));
    const std::string_view run = select.bytes(7);
    ArchiveVersion& version = row.version;
    if (!digest || run.size() != version.run.bytes.size()) continue;  // `cache verify` tells
    row.id = select.integer(0);
    version.number = static_cast<std::uint32_t>(select.integer(1));
    version.status = static_cast<VersionStatus>(select.integer(2));
    version.committed = time_of(select.integer(3));
    if (!select.is_null(4)) version.expires = time_of(select.integer(4));
    version.value.digest = *digest;
    version.value.size = static_cast<std::uint64_t>(select.integer(6));
    std::memcpy(version.run.bytes.data(), run.data(), run.size());
    version.task = select.text(8);
    version.cost = Duration(select.integer(9));
    row.is_inline = select.integer(10) != 0;
    rows.push_back(std::move(row));
  }
}

Status ArchiveExport::State::write_bytes(const ArchiveBlob& blob, std::string_view bytes) {
  if (auto done = writer->add(blob); !done) return done;
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, archive_chunk_bytes);
    if (auto done = writer->add(ArchiveChunk{std::string(part)}); !done) return done;
    bytes.remove_prefix(part.size());
  }
  return {};
}

// Read twice: what turns out to be damaged must not have been begun.
Result<bool> ArchiveExport::State::stream(const OpenFile& file, const std::filesystem::path& path,
                                          const ArchiveBlob& blob) {
  Sha256 hash;
  if (blob.kind == ArchiveBlob::Kind::value) hash.update(value_domain);
  auto size = pass_through(file.descriptor.value, path, hash);
  if (!size) return tl::unexpected(size.error());
  if (*size != blob.size || hash.finish() != blob.digest) return false;
  if (::lseek(file.descriptor.value, 0, SEEK_SET) < 0) return file_error("read", path, errno);
  if (auto done = writer->add(blob); !done) return tl::unexpected(done.error());
  std::uint64_t left = blob.size;
  ArchiveChunk chunk;
  while (left > 0) {
    chunk.bytes.resize(std::min<std::uint64_t>(left, archive_chunk_bytes));
    const ssize_t got = ::read(file.descriptor.value, chunk.bytes.data(), chunk.bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return file_error("read", path, got < 0 ? errno : EIO);
    chunk.bytes.resize(static_cast<std::size_t>(got));
    left -= chunk.bytes.size();
    if (auto done = writer->add(chunk); !done) return tl::unexpected(done.error());
  }
  return true;
}

Result<bool> ArchiveExport::State::write_blob(ArchiveBlob::Kind kind, const Digest& digest) {
  if (const auto known = written_blobs.find(digest); known != written_blobs.end())
    return known->second;
  bool& is_written = written_blobs[digest];
  std::filesystem::path path = blobs->path_of(digest);
  if (kind == ArchiveBlob::Kind::value) path += ".value";
  ArchiveBlob blob{kind, digest, 0};
  if (auto file = open_regular(path)) {
    blob.size = static_cast<std::uint64_t>(file->status.st_size);
    auto done = stream(*file, path, blob);
    if (!done) return done;
    is_written = *done;
    if (is_written && kind == ArchiveBlob::Kind::value)
      for (const Digest& named : files_named_in_file(*file)) {
        auto also = write_blob(ArchiveBlob::Kind::file, named);
        if (!also) return also;
        if (!*also) return written_blobs[digest] = false;
      }
  } else if (kind == ArchiveBlob::Kind::value) {
    // Compressed, and so not too large.
    auto value = blobs->get_value(digest);
    if (!value) return false;
    blob.size = value->size;
    if (auto done = write_bytes(blob, value->view()); !done) return tl::unexpected(done.error());
    is_written = true;
    for (const Digest& named : files_named_in(value->view())) {
      auto also = write_blob(ArchiveBlob::Kind::file, named);
      if (!also) return also;
      if (!*also) return written_blobs[digest] = false;
    }
  }
  if (written_blobs[digest]) {
    ++counts.blobs;
    counts.blob_bytes += blob.size;
  }
  return written_blobs[digest];
}

Result<bool> ArchiveExport::State::write_value(const Payload& value) {
  if (value.is_none() || value.is_nil()) return true;
  if (!value.is_at_hand()) return write_blob(ArchiveBlob::Kind::value, value.digest);
  for (const Digest& named : files_named_in(value.view())) {
    auto also = write_blob(ArchiveBlob::Kind::file, named);
    if (!also || !*also) return also;
  }
  return true;
}

// False: its value is not what it was.
Result<bool> ArchiveExport::State::load(Row& row) {
  Payload& value = row.version.value;
  if (value.is_nil()) return true;
  if (row.is_inline) {
    Statement select(*database, "SELECT value FROM version WHERE id = ?1");
    select.start(row.id);
    auto found = select.next();
    if (!found) return tl::unexpected(found.error());
    Payload read = Payload::of(*found ? select.text(0) : std::string());
    if (!(read == value)) return false;
    value = std::move(read);
  }
  return write_value(value);
}

Status ArchiveExport::State::add_key(const Key& key, const Selection& selection) {
  auto rows = rows_of(key);
  if (!rows) return tl::unexpected(rows.error());
  Statement about(*database,
                  "SELECT (SELECT text FROM name n WHERE n.id = v.name), (SELECT bytes FROM "
                  "material m WHERE m.id = v.material), (SELECT max(at) FROM horizon WHERE key = "
                  "?1 OR key = x'') FROM version v WHERE key = ?1 ORDER BY status = 2, number DESC "
                  "LIMIT 1");
  about.start(Blob{key.digest.raw()});
  auto found = about.next();
  if (!found) return tl::unexpected(found.error());
  if (!*found || rows->empty()) return {};
  ArchiveEntry entry{key, about.text(0), about.text(1), {}};
  if (!about.is_null(2)) entry.horizon = time_of(about.integer(2));
  about.reset();

  const bool is_meant = [&] {
    if (selection.version) {
      const auto material = Material::decode(entry.material);
      if (!material || material->version != *selection.version) return false;
    }
    for (const Row& row : *rows) {
      const bool name_fits = !selection.name || entry.name == *selection.name ||
                             is_of_task(row.version.task, *selection.name);
      if (name_fits && (!selection.run || row.version.run == *selection.run)) return true;
    }
    return false;
  }();
  if (!is_meant || !keys.insert(key).second) return {};

  // Blobs first: whoever reads has them when something refers to them.
  for (Row& row : *rows) {
    if (row.version.status != VersionStatus::ok && row.version.status != VersionStatus::negative)
      continue;
    auto whole = load(row);
    if (!whole) return tl::unexpected(whole.error());
    if (*whole) continue;
    row.version.status = VersionStatus::damaged;
    row.version.value.bytes = nullptr;
    ++counts.damaged;
  }
  if (auto done = writer->add(entry); !done) return done;
  for (Row& row : *rows) {
    Statement renewals(*database, "SELECT at, expires FROM renewal WHERE version = ?1 ORDER BY at");
    renewals.start(row.id);
    for (;;) {
      auto more = renewals.next();
      if (!more) return tl::unexpected(more.error());
      if (!*more) break;
      ArchiveVersion::Renewal renewal{time_of(renewals.integer(0)), {}};
      if (!renewals.is_null(1)) renewal.expires = time_of(renewals.integer(1));
      row.version.renewals.push_back(renewal);
    }
    if (auto done = writer->add(row.version); !done) return done;
    values.insert(row.version.value.digest);
    runs.insert(row.version.run);
    ++counts.versions;
  }
  ++counts.entries;
  return {};
}

ArchiveExport::ArchiveExport(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveExport::~ArchiveExport() = default;

Result<std::unique_ptr<ArchiveExport>> ArchiveExport::open(const std::filesystem::path& path,
                                                           std::shared_ptr<BlobStore> blobs,
                                                           ArchiveWriter& writer) {
  auto state = std::make_unique<State>();
  auto database = open_database(path);
  if (!database) return tl::unexpected(database.error());
  state->database = std::move(*database);
  auto view = Transaction::begin(*state->database, Transaction::Kind::read);
  if (!view) return tl::unexpected(view.error());
  state->view.emplace(std::move(*view));
  state->blobs = std::move(blobs);
  state->writer = &writer;
  return std::unique_ptr<ArchiveExport>(new ArchiveExport(std::move(state)));
}

Status ArchiveExport::add(const Selection& selection) {
  for (const Key& key : selection.keys)
    if (auto done = state_->add_key(key, selection); !done) return done;
  if (!selection.keys.empty()) return {};
  Statement select(*state_->database, "SELECT DISTINCT key FROM version ORDER BY key");
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return {};
    const auto digest = Digest::from_raw(select.bytes(0));
    if (!digest) continue;
    if (auto done = state_->add_key(Key{*digest}, selection); !done) return done;
  }
}

Result<bool> ArchiveExport::add_blob(ArchiveBlob::Kind kind, const Digest& digest) {
  return state_->write_blob(kind, digest);
}

Result<bool> ArchiveExport::add_value(const Payload& value) {
  return state_->write_value(value);
}

Status ArchiveExport::add_pins() {
  Statement select(*state_->database, "SELECT kind, id, at, why FROM pin ORDER BY at");
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return {};
    const Pin pin{static_cast<PinKind>(select.integer(0)), select.text(1),
                  time_of(select.integer(2)), select.text(3)};
    const auto digest = Digest::from_raw(pin.id);
    RunId run;
    if (pin.id.size() == run.bytes.size())
      std::memcpy(run.bytes.data(), pin.id.data(), pin.id.size());
    const bool is_ours =
        (pin.kind == PinKind::key && digest && state_->keys.contains(Key{*digest})) ||
        (pin.kind == PinKind::digest && digest && state_->values.contains(*digest)) ||
        (pin.kind == PinKind::run && state_->runs.contains(run));
    if (!is_ours) continue;
    if (auto done = state_->writer->add(pin); !done) return done;
    ++state_->counts.pins;
  }
}

const Exported& ArchiveExport::counts() const {
  return state_->counts;
}

}  // namespace reprise::cache
