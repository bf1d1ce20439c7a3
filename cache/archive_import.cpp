#include "cache/archive_import.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cache/compression.hpp"
#include "cache/database.hpp"
#include "cache/files.hpp"
#include "cache/sqlite_store.hpp"
#include "core/text.hpp"

namespace reprise::cache {
namespace {

namespace fs = std::filesystem;
using sqlite::Blob;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::uint64_t spare_bytes = 16ull << 20;  // of the disk, left for others

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
std::optional<std::int64_t> number_of(const std::optional<Time>& time) {
  return time ? std::optional(nanoseconds(*time)) : std::nullopt;
}
std::string_view raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

/// Removes what imports left that died. A live one holds a lock on its folder.
void sweep(const fs::path& parent) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    const Descriptor folder(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::error_code ignored;
    if (folder.value >= 0 && ::flock(folder.value, LOCK_EX | LOCK_NB) == 0)
      fs::remove_all(entry.path(), ignored);
  }
}

/// A folder that this process alone uses.
struct Aside {
  fs::path path;
  Descriptor lock;

  ~Aside() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

Status make_aside(const fs::path& parent, Aside& aside) {
  if (::mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST)
    return file_error("make folder", parent, errno);
  for (int attempt = 0;; ++attempt) {
    std::uint64_t random = 0;
    (void)::getrandom(&random, sizeof random, 0);
    const fs::path path = parent / fmt::format("{}-{:016x}", ::getpid(), random);
    if (::mkdir(path.c_str(), 0700) != 0) return file_error("make folder", path, errno);
    aside.lock = Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (aside.lock.value >= 0 && ::flock(aside.lock.value, LOCK_EX | LOCK_NB) == 0) {
      aside.path = path;
      return {};
    }
    // Somebody swept it between two of our steps.
    if (attempt == 3) return file_error("lock", path, errno);
  }
}

/// Items in a file, by position.
class Spool {
 public:
  Status open(const fs::path& path) {
    path_ = path;
    file_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    return file_.value < 0 ? Status(file_error("make", path, errno)) : Status();
  }
  Result<std::uint64_t> add(const ArchiveItem& item) {
    const std::string bytes = encode_item(item);
    const std::uint64_t position = size_;
    const std::uint64_t length = bytes.size();
    std::string record(reinterpret_cast<const char*>(&length), sizeof length);
    record += bytes;
    if (auto done = write_all(file_.value, record, path_); !done)
      return tl::unexpected(done.error());
    size_ += record.size();
    return position;
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  Result<ArchiveItem> at(std::uint64_t position) const {
    std::uint64_t length = 0;
    if (auto done = read(&length, sizeof length, position); !done)
      return tl::unexpected(done.error());
    std::string bytes(length, '\0');
    if (auto done = read(bytes.data(), length, position + sizeof length); !done)
      return tl::unexpected(done.error());
    return decode_item(bytes);
  }

 private:
  Status read(void* to, std::size_t size, std::uint64_t position) const {
    auto* bytes = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t got = ::pread(file_.value, bytes, size, static_cast<off_t>(position));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return file_error("read", path_, got < 0 ? errno : EIO);
      bytes += got;
      size -= static_cast<std::size_t>(got);
      position += static_cast<std::uint64_t>(got);
    }
    return {};
  }

  fs::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

struct StagedBlob {
  ArchiveBlob blob;
  bool is_needed = false;
};
struct StagedVersion {
  Time committed;
  std::uint64_t position = 0;  // in the spool
  std::uint64_t entry = 0;     // position of its entry
};

}  // namespace

struct ArchiveImport::State {
  Options options;
  Aside aside;
  Spool spool;
  std::unordered_map<Digest, StagedBlob> blobs;
  std::vector<StagedVersion> versions;
  std::vector<std::uint64_t> pins, run_items;
  std::uint64_t total = 0;  // bytes, decompressed

  // While it is read:
  std::uint64_t entry = 0;
  std::optional<Descriptor> open_blob;
  fs::path open_path;
  std::uint64_t open_left = 0;
  std::vector<Digest> wanted;  // by small values, in any order

  [[nodiscard]] fs::path path_of(const Digest& digest) const { return aside.path / digest.hex(); }

  Status take(const ArchiveItem& item);
  Status begin_blob(const ArchiveBlob& blob);
  Status check_references();
  Status publish();
  Status publish(const StagedBlob& staged);
  Result<Imported> write_all_rows(bool dry_run);
  Status write_version(sqlite::Database& database, const StagedVersion& staged,
                       std::unordered_set<Key>& touched, Imported& imported);
  Status add_material(sqlite::Database& database, const ArchiveEntry& entry,
                      std::int64_t version_id);
};

Status ArchiveImport::State::begin_blob(const ArchiveBlob& blob) {
  if (!blobs.emplace(blob.digest, StagedBlob{blob, false}).second)
    return fail(ErrorCode::corrupt,
                fmt::format("the archive is damaged: \"{}\" is there twice", blob.digest.text()));
  struct statvfs disk {};
  if (::statvfs(aside.path.c_str(), &disk) == 0) {
    const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (blob.size > left || left - blob.size < spare_bytes)
      return fail(
          ErrorCode::exhausted,
          fmt::format("the archive holds a file of {}, and \"{}\" has room for {}",
                      describe_bytes(blob.size), options.folder.string(), describe_bytes(left)));
  }
  open_path = path_of(blob.digest);
  open_blob = Descriptor(::open(open_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (open_blob->value < 0) return file_error("make", open_path, errno);
  open_left = blob.size;
  return {};
}

Status ArchiveImport::State::take(const ArchiveItem& item) {
  if (const auto* blob = std::get_if<ArchiveBlob>(&item)) {
    total += std::min(blob->size, UINT64_MAX - total);
    if (total > options.bytes_max)
      return fail(ErrorCode::exhausted,
                  fmt::format("the archive holds more than {}", describe_bytes(options.bytes_max)));
    return begin_blob(*blob);
  }
  if (const auto* chunk = std::get_if<ArchiveChunk>(&item)) {
    if (auto done = write_all(open_blob->value, chunk->bytes, open_path); !done) return done;
    open_left -= chunk->bytes.size();
    if (open_left == 0) open_blob.reset();
    return {};
  }
  if (const auto* found = std::get_if<ArchiveEntry>(&item)) {
    const auto material = Material::decode(found->material);
    if (!found->material.empty() && material && Key::of(*material) != found->key)
      return fail(ErrorCode::corrupt,
                  fmt::format("the archive is damaged: entry {} is made of something else",
                              found->key.text().substr(0, 15)));
  }
  auto position = spool.add(item);
  if (!position) return tl::unexpected(position.error());
  total += spool.size() - *position;
  if (total > options.bytes_max)
    return fail(ErrorCode::exhausted,
                fmt::format("the archive holds more than {}", describe_bytes(options.bytes_max)));
  if (std::holds_alternative<ArchiveEntry>(item)) entry = *position;
  if (std::holds_alternative<Pin>(item)) pins.push_back(*position);
  if (std::holds_alternative<ArchiveRun>(item) || std::holds_alternative<ArchiveBatch>(item))
    run_items.push_back(*position);
  if (const auto* version = std::get_if<ArchiveVersion>(&item)) {
    versions.push_back({version->committed, *position, entry});
    const Payload& value = version->value;
    if (version->status != VersionStatus::ok && version->status != VersionStatus::negative)
      return {};
    if (!value.is_at_hand()) {
      wanted.push_back(value.digest);
    } else if (!value.is_none() && !value.is_nil()) {
      if (const auto decoded = value.value(); !decoded)
        return fail(ErrorCode::corrupt, "the archive is damaged: a value does not decode");
      const auto files = files_named_in(value.view());
      wanted.insert(wanted.end(), files.begin(), files.end());
    }
  }
  return {};
}

// What is not in the archive may be in the folder: then nothing is missing.
Status ArchiveImport::State::check_references() {
  std::unordered_set<Digest> seen;
  while (!wanted.empty()) {
    const Digest digest = wanted.back();
    wanted.pop_back();
    if (!seen.insert(digest).second) continue;
    const auto staged = blobs.find(digest);
    if (staged == blobs.end()) {
      if (options.blobs->contains(digest)) continue;
      return fail(ErrorCode::corrupt,
                  fmt::format("the archive is damaged: it lacks \"{}\", which a "
                              "result in it needs",
                              digest.text()));
    }
    staged->second.is_needed = true;
    if (staged->second.blob.kind != ArchiveBlob::Kind::value) continue;
    auto file = open_regular(path_of(digest));
    if (!file) return tl::unexpected(file.error());
    const auto named = files_named_in_file(*file);
    wanted.insert(wanted.end(), named.begin(), named.end());
  }
  return {};
}

Status ArchiveImport::State::publish(const StagedBlob& staged) {
  const ArchiveBlob& blob = staged.blob;
  const fs::path path = path_of(blob.digest);
  if (blob.kind == ArchiveBlob::Kind::value && blob.size <= most_compressed_bytes) {
    std::ifstream stream(path, std::ios::binary);
    const Payload value = Payload::of({std::istreambuf_iterator<char>(stream), {}});
    if (value.digest != blob.digest) return file_error("read", path, EIO);
    return options.blobs->put_value(value);
  }
  return options.blobs->adopt(path, blob.digest, blob.kind == ArchiveBlob::Kind::value);
}

Status ArchiveImport::State::publish() {
  for (const auto& [digest, staged] : blobs)
    if (staged.is_needed && staged.blob.kind != ArchiveBlob::Kind::flow)
      if (auto done = publish(staged); !done) return done;
  return {};
}

Status ArchiveImport::State::add_material(sqlite::Database& database, const ArchiveEntry& from,
                                          std::int64_t version_id) {
  Statement keep(database, "INSERT INTO material(id, bytes) VALUES(?1, ?2)");
  if (auto done = keep.run(version_id, Blob{from.material}); !done) return done;
  Statement refer(database, "UPDATE version SET material = id WHERE id = ?1");
  return refer.run(version_id);
}

Status ArchiveImport::State::write_version(sqlite::Database& database, const StagedVersion& staged,
                                           std::unordered_set<Key>& touched, Imported& imported) {
  auto item = spool.at(staged.position);
  if (!item) return tl::unexpected(item.error());
  const auto version = std::get<ArchiveVersion>(*std::move(item));
  item = spool.at(staged.entry);
  if (!item) return tl::unexpected(item.error());
  const auto from = std::get<ArchiveEntry>(*std::move(item));
  const std::string_view key = from.key.digest.raw();
  std::optional<Blob> bytes;
  if (version.value.is_at_hand() && !version.value.is_none() && !version.value.is_nil() &&
      version.value.size <= inline_value_bytes)
    bytes = Blob{version.value.view()};

  Statement same(
      database, "SELECT id, status FROM version WHERE key = ?1 AND committed = ?2 AND digest = ?3");
  same.start(Blob{key}, nanoseconds(version.committed), Blob{version.value.digest.raw()});
  auto found = same.next();
  if (!found) return tl::unexpected(found.error());
  if (*found) {
    const bool is_damaged = static_cast<VersionStatus>(same.integer(1)) == VersionStatus::damaged;
    if (!is_damaged || version.status != VersionStatus::ok) {
      ++imported.known;
      return {};
    }
    ++imported.repaired;
    Statement repair(database,
                     "UPDATE version SET status = 0, size = ?2, value = ?3 WHERE id = ?1");
    return repair.run(same.integer(0), version.value.size, bytes);
  }
  same.reset();

  Statement head(database,
                 "SELECT number, committed, status, digest, expires, material FROM version WHERE "
                 "key = ?1 ORDER BY number DESC LIMIT 1");
  head.start(Blob{key});
  found = head.next();
  if (!found) return tl::unexpected(found.error());
  std::int64_t number = version.number;
  std::optional<std::int64_t> material;
  if (*found) {
    const auto status = static_cast<VersionStatus>(head.integer(2));
    if (nanoseconds(version.committed) <= head.integer(1)) {
      ++imported.older;
      return {};
    }
    const bool lasts =
        head.is_null(4) || (version.expires && head.integer(4) >= nanoseconds(*version.expires));
    if (status == VersionStatus::ok && version.status == VersionStatus::ok && lasts &&
        head.bytes(3) == version.value.digest.raw()) {
      ++imported.known;
      return {};
    }
    number = std::max(number, head.integer(0) + 1);
    if (!head.is_null(5)) material = head.integer(5);
  }
  head.reset();

  Statement name(database, "INSERT OR IGNORE INTO name(text) VALUES(?1)");
  if (auto done = name.run(Blob{from.name}); !done) return done;
  Statement add(database,
                "INSERT INTO version(key, number, name, status, generation, committed, expires, "
                "digest, size, run, task, cost, material, value) VALUES(?1, ?2, (SELECT id FROM "
                "name WHERE text = ?3), ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
  if (auto done = add.run(
          Blob{key}, number, Blob{from.name}, version.status, nanoseconds(version.committed),
          number_of(version.expires), Blob{version.value.digest.raw()}, version.value.size,
          Blob{raw(version.run)}, version.task, version.cost.count(), material, bytes);
      !done)
    return done;
  const std::int64_t id = database.last_row_id();
  if (!material && !from.material.empty())
    if (auto done = add_material(database, from, id); !done) return done;
  for (const ArchiveVersion::Renewal& renewal : version.renewals) {
    Statement note(database,
                   "INSERT OR IGNORE INTO renewal(version, at, expires) VALUES(?1, ?2, ?3)");
    if (auto done = note.run(id, nanoseconds(renewal.at), number_of(renewal.expires)); !done)
      return done;
  }
  if (from.horizon) {
    Statement set(database,
                  "INSERT INTO horizon(key, at) VALUES(?1, ?2) "
                  "ON CONFLICT(key) DO UPDATE SET at = max(at, excluded.at)");
    if (auto done = set.run(Blob{key}, nanoseconds(*from.horizon)); !done) return done;
  }
  ++imported.versions;
  if (touched.insert(from.key).second) ++imported.entries;
  return {};
}

// In the order in which the versions were made, so that rows say the same about which is newer.
Result<Imported> ArchiveImport::State::write_all_rows(bool dry_run) {
  Imported imported;
  auto database = open_database(options.folder / "cache.db");
  if (!database) return tl::unexpected(database.error());
  auto transaction = Transaction::begin(**database);
  if (!transaction) return tl::unexpected(transaction.error());
  std::stable_sort(versions.begin(), versions.end(),
                   [](const auto& a, const auto& b) { return a.committed < b.committed; });
  std::unordered_set<Key> touched;
  for (const StagedVersion& staged : versions)
    if (auto done = write_version(**database, staged, touched, imported); !done)
      return tl::unexpected(done.error());
  for (const std::uint64_t position : pins) {
    auto item = spool.at(position);
    if (!item) return tl::unexpected(item.error());
    const auto& pin = std::get<Pin>(*item);
    Statement add(**database,
                  "INSERT OR IGNORE INTO pin(kind, id, at, why) VALUES(?1, ?2, ?3, ?4)");
    if (auto done = add.run(pin.kind, Blob{pin.id}, nanoseconds(pin.at), pin.why); !done)
      return tl::unexpected(done.error());
    imported.pins += static_cast<std::uint64_t>((*database)->changes());
  }
  if (auto done = recount(**database); !done) return tl::unexpected(done.error());
  for (const auto& [digest, staged] : blobs) {
    if (staged.blob.kind == ArchiveBlob::Kind::flow) continue;
    ++imported.blobs;
    imported.blob_bytes += staged.blob.size;
  }
  if (!dry_run)
    if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  return imported;
}

ArchiveImport::ArchiveImport(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveImport::~ArchiveImport() = default;

Result<std::unique_ptr<ArchiveImport>> ArchiveImport::open(Options options) {
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  const fs::path parent = state->options.folder / "importing";
  sweep(parent);
  if (auto made = make_aside(parent, state->aside); !made) return tl::unexpected(made.error());
  if (auto made = state->spool.open(state->aside.path / "items"); !made)
    return tl::unexpected(made.error());
  return std::unique_ptr<ArchiveImport>(new ArchiveImport(std::move(state)));
}

Status ArchiveImport::read(ArchiveReader::Source source, ArchiveContent content) {
  auto reader = ArchiveReader::begin(std::move(source));
  if (!reader) return tl::unexpected(reader.error());
  if ((*reader)->content() != content)
    return fail(ErrorCode::invalid_argument,
                content == ArchiveContent::results
                    ? "this archive holds runs; `reprise runs import` takes it"
                    : "this archive holds results; `reprise cache import` takes it");
  for (;;) {
    auto item = (*reader)->next();
    if (!item) return tl::unexpected(item.error());
    if (!*item) break;
    if (auto taken = state_->take(**item); !taken) return taken;
  }
  return state_->check_references();
}

Result<std::optional<ArchiveItem>> ArchiveImport::run_item(std::size_t position) const {
  if (position >= state_->run_items.size()) return std::optional<ArchiveItem>();
  auto item = state_->spool.at(state_->run_items[position]);
  if (!item) return tl::unexpected(item.error());
  return std::optional(*std::move(item));
}

bool ArchiveImport::has_blob(const Digest& digest) const {
  return state_->blobs.contains(digest);
}

Result<std::string> ArchiveImport::flow(const Digest& digest) {
  const auto staged = state_->blobs.find(digest);
  if (staged == state_->blobs.end() || staged->second.blob.kind != ArchiveBlob::Kind::flow)
    return fail(ErrorCode::not_found,
                fmt::format("the archive is damaged: it lacks flow \"{}\"", digest.text()));
  std::ifstream stream(state_->path_of(digest), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  if (bytes.size() != staged->second.blob.size)
    return file_error("read", state_->path_of(digest), EIO);
  return bytes;
}

void ArchiveImport::need(const Digest& digest) {
  state_->wanted.push_back(digest);
}

Result<Imported> ArchiveImport::apply(bool dry_run) {
  if (auto complete = state_->check_references(); !complete)
    return tl::unexpected(complete.error());
  if (!dry_run)
    if (auto done = state_->publish(); !done) return tl::unexpected(done.error());
  return state_->write_all_rows(dry_run);
}

}  // namespace reprise::cache
