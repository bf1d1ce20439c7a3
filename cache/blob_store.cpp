#include "cache/blob_store.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include <fmt/format.h>

#include "cache/compression.hpp"
#include "core/fail_point.hpp"

namespace reprise::cache {

namespace fs = std::filesystem;

namespace {

constexpr auto leftovers_age = std::chrono::hours{1};
constexpr std::uint64_t largest_value =
    1ull << 32;  // bytes; keeps a broken file from asking for the whole memory

Status make_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return file_error("make folder", path, errno);
}

Status sync_folder(const fs::path& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.value < 0 || ::fsync(folder.value) != 0) return file_error("sync", path, errno);
  return {};
}

// Renames unless the target exists.
int rename_new(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // Old or odd file systems: a link fails when the name is taken, too.
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  ::unlink(from.c_str());
  return 0;
}

// In the kernel, as blocks shared or at least without passing through this process. False: not
// between these two.
Result<bool> copy_inside(int from, int to, std::uint64_t size, const fs::path& path) {
  if (::ioctl(to, FICLONE, from) == 0) return true;
  loff_t read_at = 0;
  while (static_cast<std::uint64_t>(read_at) < size) {
    const ssize_t copied = ::copy_file_range(from, &read_at, to, nullptr,
                                             size - static_cast<std::uint64_t>(read_at), 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied > 0) continue;
    if (copied == 0 || read_at > 0) return file_error("write", path, copied == 0 ? EIO : errno);
    if (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
    return file_error("write", path, errno);
  }
  return true;
}

}  // namespace

/// A file under a name of its own that disappears unless it was kept.
struct BlobStore::Draft {
  fs::path path;
  Descriptor descriptor;

  Draft(fs::path where, Descriptor file) : path(std::move(where)), descriptor(std::move(file)) {}
  Draft(Draft&& other) noexcept
      : path(std::exchange(other.path, {})), descriptor(std::move(other.descriptor)) {}
  Draft& operator=(Draft&&) = delete;
  ~Draft() {
    if (!path.empty()) ::unlink(path.c_str());
  }
};

Result<std::unique_ptr<BlobStore>> BlobStore::open(Options options) {
  std::error_code ignored;
  fs::create_directories(options.folder.parent_path(),
                         ignored);  // make_folder reports what matters
  for (const fs::path& each :
       {options.folder, options.folder / "tmp", options.folder / "quarantine"})
    if (auto made = make_folder(each); !made) return tl::unexpected(made.error());
  std::unique_ptr<BlobStore> store(new BlobStore(std::move(options)));
  store->sweep();
  return store;
}

void BlobStore::sweep() const {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::directory_iterator(options_.folder / "tmp", error)) {
    const auto written = entry.last_write_time(error);
    if (!error && now - written > leftovers_age) ::unlink(entry.path().c_str());
  }
}

fs::path BlobStore::path_of(const Digest& digest) const {
  return path_of(digest, Kind::file);
}

fs::path BlobStore::path_of(const Digest& digest, Kind kind) const {
  const std::string hex = digest.hex();
  std::string path = options_.folder.native();
  path.append("/").append(hex, 0, 2).append("/").append(hex, 2);
  if (kind != Kind::file) path += ".value";
  if (kind == Kind::packed_value) path += ".zst";
  return path;
}

// Unique over processes that share the folder, also when their ids are those of different machines
// or name spaces.
std::string BlobStore::unique_name() {
  std::uint64_t random = 0;
  (void)::getrandom(&random, sizeof random, 0);
  return fmt::format("{}-{}-{:016x}", ::getpid(), counter_.fetch_add(1), random);
}

Result<BlobStore::Draft> BlobStore::draft(const fs::path& folder, unsigned mode) {
  fs::path path = folder / (".reprise-" + unique_name());
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (file.value < 0) return file_error("make", path, errno);
  return Draft(std::move(path), std::move(file));
}

// Seen by this process to be right, in the state in which it is: nothing else is trusted, for it
// may be why it is made again. It is young from here on, so that whoever collects what nobody needs
// leaves it alone until it is referred to.
bool BlobStore::has_good(const Digest& digest, Kind kind) {
  const fs::path path = path_of(digest, kind);
  struct stat kept {};
  if (::lstat(path.c_str(), &kept) != 0 || !is_verified(digest, FileStamp::of(kept))) return false;
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) != 0 || ::lstat(path.c_str(), &kept) != 0)
    return false;
  remember_verified(digest, FileStamp::of(kept));
  return true;
}

// Gives a finished draft its name. Whoever comes second with the same content replaces the same by
// the same.
Status BlobStore::keep(Draft& draft, const Digest& digest, Kind kind) {
  if (::fchmod(draft.descriptor.value, 0400) != 0) return file_error("protect", draft.path, errno);
  if (options_.sync && ::fdatasync(draft.descriptor.value) != 0)
    return file_error("sync", draft.path, errno);
  const fs::path path = path_of(digest, kind);
  if (const int error = fail_at(FailPoint::before_blob))
    return file_error("write", draft.path, error);
  if (::rename(draft.path.c_str(), path.c_str()) != 0) {
    if (errno != ENOENT) return file_error("make", path, errno);
    if (auto made = make_folder(path.parent_path()); !made) return made;
    if (options_.sync)
      if (auto synced = sync_folder(options_.folder); !synced) return synced;
    if (::rename(draft.path.c_str(), path.c_str()) != 0) return file_error("make", path, errno);
  }
  draft.path.clear();
  if (options_.sync)
    if (auto synced = sync_folder(path.parent_path()); !synced) return synced;
  if (const int error = fail_at(FailPoint::after_blob)) return file_error("sync", path, error);
  struct stat status {};
  if (::fstat(draft.descriptor.value, &status) == 0)
    remember_verified(digest, FileStamp::of(status));
  return {};
}

Result<FileValue> BlobStore::put_file(const fs::path& path) {
  auto source = open_regular(path);
  if (!source) return tl::unexpected(source.error());
  auto made = draft(options_.folder / "tmp", 0600);
  if (!made) return tl::unexpected(made.error());
  Sha256 hash;
  auto size =
      pass_through(source->descriptor.value, path, hash, made->descriptor.value, made->path);
  if (!size) return tl::unexpected(size.error());
  struct stat after {};
  if (::fstat(source->descriptor.value, &after) != 0) return file_error("look at", path, errno);
  if (!(FileStamp::of(after) == FileStamp::of(source->status)) ||
      *size != static_cast<std::uint64_t>(after.st_size))
    return fail(ErrorCode::conflict,
                fmt::format("\"{}\" changed while it was read", path.string()));
  FileValue file;
  file.content = hash.finish();
  file.size = *size;
  file.executable = (after.st_mode & 0111) != 0;
  if (!has_good(file.content, Kind::file))
    if (auto done = keep(*made, file.content, Kind::file); !done)
      return tl::unexpected(done.error());
  return file;
}

Status BlobStore::put_bytes(std::string_view bytes, const Digest& digest, Kind kind) {
  if (has_good(digest, kind)) return {};
  auto made = draft(options_.folder / "tmp", 0600);
  if (!made) return tl::unexpected(made.error());
  if (auto written = write_all(made->descriptor.value, bytes, made->path); !written) return written;
  return keep(*made, digest, kind);
}

Status BlobStore::adopt(const fs::path& path, const Digest& digest, bool is_value) {
  const Kind kind = is_value ? Kind::value : Kind::file;
  Draft taken(path, Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)));
  struct stat ours {};
  if (taken.descriptor.value < 0 || ::fstat(taken.descriptor.value, &ours) != 0) {
    taken.path.clear();
    return file_error("open", path, errno);
  }
  struct stat kept {};
  const fs::path known = path_of(digest, kind);
  if (::lstat(known.c_str(), &kept) == 0 && S_ISREG(kept.st_mode) && kept.st_size == ours.st_size) {
    ::utimensat(AT_FDCWD, known.c_str(), nullptr, 0);  // young again, as in put_bytes()
    return {};
  }
  return keep(taken, digest, kind);
}

Result<Digest> BlobStore::put(std::string_view bytes) {
  const Digest digest = sha256(bytes);
  if (auto done = put_bytes(bytes, digest, Kind::file); !done) return tl::unexpected(done.error());
  return digest;
}

Status BlobStore::put_value(const Payload& value) {
  if (value.is_none() || !value.is_at_hand())
    return fail(ErrorCode::invalid_argument,
                fmt::format("the bytes of value \"{}\" are not at hand", value.digest.text()));
  if (value.is_nil()) return {};
  if (const auto packed = compress(value.view()))
    return put_bytes(*packed, value.digest, Kind::packed_value);
  return put_bytes(value.view(), value.digest, Kind::value);
}

Result<OpenFile> BlobStore::open_blob(const Digest& digest, Kind kind) {
  const fs::path path = path_of(digest, kind);
  if (const int error = fail_at(FailPoint::on_read)) return file_error("read", path, error);
  auto blob = open_regular(path);
  if (blob) return blob;
  if (blob.error().code == ErrorCode::not_found)
    return fail(ErrorCode::not_found, fmt::format("no blob \"{}\"", digest.text()));
  if (blob.error().code == ErrorCode::invalid_argument)
    return quarantine(digest, kind, "is not a regular file");
  return blob;
}

tl::unexpected<Error> BlobStore::quarantine(const Digest& digest, Kind kind, std::string_view why) {
  {
    const std::lock_guard guard(mutex_);
    verified_.erase(digest);
  }
  const fs::path aside = options_.folder / "quarantine" / (digest.hex() + "." + unique_name());
  (void)::rename(path_of(digest, kind).c_str(), aside.c_str());
  return fail(ErrorCode::corrupt,
              fmt::format("blob \"{}\" {}; moved to \"{}\"", digest.text(), why, aside.string()));
}

bool BlobStore::is_verified(const Digest& digest, const FileStamp& stamp) const {
  const std::lock_guard guard(mutex_);
  const auto known = verified_.find(digest);
  return known != verified_.end() && known->second == stamp;
}

void BlobStore::remember_verified(const Digest& digest, const FileStamp& stamp) {
  const std::lock_guard guard(mutex_);
  verified_[digest] = stamp;
}

Result<std::string> BlobStore::read_blob(const Digest& digest, Kind kind, std::uint64_t limit) {
  auto blob = open_blob(digest, kind);
  if (!blob) return tl::unexpected(blob.error());
  const auto size = static_cast<std::uint64_t>(blob->status.st_size);
  if (size > limit)
    return fail(ErrorCode::exhausted,
                fmt::format("blob \"{}\" has {} bytes, more than {}", digest.text(), size, limit));
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got =
        ::read(blob->descriptor.value, bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error("read", path_of(digest, kind), errno);
    if (got == 0) break;  // cut short by somebody: the digest will not match
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

Result<std::string> BlobStore::get(const Digest& digest, std::uint64_t limit) {
  auto bytes = read_blob(digest, Kind::file, limit);
  if (!bytes) return bytes;
  if (sha256(*bytes) != digest) return quarantine(digest, Kind::file, "does not match its digest");
  return bytes;
}

Result<Payload> BlobStore::get_packed(const Digest& digest) {
  auto packed = read_blob(digest, Kind::packed_value, most_compressed_bytes);
  if (!packed) return tl::unexpected(packed.error());
  auto bytes = decompress(*packed, size_in(*packed));
  if (!bytes) return quarantine(digest, Kind::packed_value, "does not decompress");
  Payload value = Payload::of(std::move(*bytes));
  if (value.digest != digest)
    return quarantine(digest, Kind::packed_value, "does not match its digest");
  return value;
}

Result<Payload> BlobStore::get_value(const Digest& digest) {
  if (digest == Payload::nil().digest) return Payload::nil();
  auto bytes = read_blob(digest, Kind::value, largest_value);
  if (!bytes && bytes.error().code == ErrorCode::not_found) return get_packed(digest);
  if (!bytes) return tl::unexpected(bytes.error());
  Payload value = Payload::of(std::move(*bytes));
  if (value.digest != digest) return quarantine(digest, Kind::value, "does not match its digest");
  return value;
}

// Reads the blob once, hashing and, when asked, copying it on the way.
Status BlobStore::verify(OpenFile& blob, const Digest& digest, int copy_to,
                         const fs::path& copy_path) {
  Sha256 hash;
  auto size = pass_through(blob.descriptor.value, path_of(digest), hash, copy_to, copy_path);
  if (!size) return tl::unexpected(size.error());
  if (hash.finish() != digest) return quarantine(digest, Kind::file, "does not match its digest");
  remember_verified(digest, FileStamp::of(blob.status));
  return {};
}

Status BlobStore::check(const FileValue& file) {
  auto blob = open_blob(file.content, Kind::file);
  if (!blob) return tl::unexpected(blob.error());
  if (static_cast<std::uint64_t>(blob->status.st_size) != file.size)
    return quarantine(file.content, Kind::file, "has the wrong size");
  if (is_verified(file.content, FileStamp::of(blob->status))) return {};
  return verify(*blob, file.content, -1, {});
}

Status BlobStore::restore_link(const OpenFile& blob, const Digest& digest,
                               const fs::path& destination) {
  if (::link(path_of(digest).c_str(), destination.c_str()) != 0)
    return file_error("make", destination, errno);
  // The link changed the blob's ctime; only that may differ from the state that was verified.
  struct stat after {};
  FileStamp expected = FileStamp::of(blob.status);
  if (::fstat(blob.descriptor.value, &after) == 0) {
    expected.ctime_ns = FileStamp::of(after).ctime_ns;
    if (expected == FileStamp::of(after)) remember_verified(digest, expected);
  }
  return {};
}

// The file gets its name when it is complete, so that a crash leaves no half of it under a name
// that people trust.
Status BlobStore::restore_copy(OpenFile& blob, const FileValue& file, const fs::path& destination,
                               bool read_only, Existing existing) {
  const unsigned execute = file.executable ? 0111 : 0;
  // The kernel takes away what the user's umask forbids.
  auto made = draft(destination.parent_path(), (read_only ? 0444u : 0666u) | execute);
  if (!made) return tl::unexpected(made.error());
  bool copied = false;
  if (is_verified(file.content, FileStamp::of(blob.status))) {
    auto inside = copy_inside(blob.descriptor.value, made->descriptor.value, file.size, made->path);
    if (!inside) return tl::unexpected(inside.error());
    copied = *inside;
  }
  if (!copied)
    if (auto good = verify(blob, file.content, made->descriptor.value, made->path); !good)
      return good;
  const bool replaces = existing == Existing::replace;
  const int error = !replaces ? rename_new(made->path, destination)
                    : ::rename(made->path.c_str(), destination.c_str()) == 0 ? 0
                                                                             : errno;
  if (error != 0) return file_error("make", destination, error);
  made->path.clear();
  return {};
}

Status BlobStore::restore(const FileValue& file, const fs::path& destination, bool read_only) {
  return place(file, destination, read_only, Existing::refuse);
}

Status BlobStore::replace(const FileValue& file, const fs::path& destination) {
  return place(file, destination, false, Existing::replace);
}

Status BlobStore::place(const FileValue& file, const fs::path& destination, bool read_only,
                        Existing existing) {
  auto blob = open_blob(file.content, Kind::file);
  if (!blob) return tl::unexpected(blob.error());
  if (static_cast<std::uint64_t>(blob->status.st_size) != file.size)
    return quarantine(file.content, Kind::file, "has the wrong size");
  const fs::path target = destination.has_parent_path() ? destination : "." / destination;

  // A link shares the blob's mode, in which nothing is executable.
  const auto attempt = [&]() -> Status {
    if (read_only && !file.executable) {
      if (!is_verified(file.content, FileStamp::of(blob->status)))
        if (auto good = verify(*blob, file.content, -1, {}); !good) return good;
      auto linked = restore_link(*blob, file.content, target);
      // Another file system, too many links, or no links at all: then a copy.
      if (linked || linked.error().code == ErrorCode::conflict ||
          linked.error().code == ErrorCode::not_found ||
          linked.error().code == ErrorCode::exhausted)
        return linked;
      if (::lseek(blob->descriptor.value, 0, SEEK_SET) < 0)
        return file_error("read", path_of(file.content), errno);
    }
    return restore_copy(*blob, file, target, read_only, existing);
  };
  Status done = attempt();
  if (done || done.error().code != ErrorCode::not_found) return done;
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (error) return file_error("make folder", target.parent_path(), error.value());
  if (::lseek(blob->descriptor.value, 0, SEEK_SET) < 0)
    return file_error("read", path_of(file.content), errno);
  return attempt();
}

bool BlobStore::contains(const Digest& digest) const {
  struct stat status {};
  return ::lstat(path_of(digest, Kind::file).c_str(), &status) == 0 ||
         ::lstat(path_of(digest, Kind::value).c_str(), &status) == 0 ||
         ::lstat(path_of(digest, Kind::packed_value).c_str(), &status) == 0;
}

std::pair<std::uint64_t, std::uint64_t> BlobStore::usage() const {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(options_.folder, error)) {
    if (folder.path().filename().native().size() != 2) continue;  // tmp, quarantine
    std::error_code gone;
    for (const auto& blob : fs::directory_iterator(folder.path(), gone)) {
      struct stat status {};
      if (::lstat(blob.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
      ++files;
      bytes += static_cast<std::uint64_t>(status.st_size);
    }
  }
  return {files, bytes};
}

}  // namespace reprise::cache
