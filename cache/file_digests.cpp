#include "cache/file_digests.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>

#include <fmt/format.h>

#include "cache/database.hpp"

namespace reprise::cache {
namespace {

constexpr std::int64_t youngest_trusted_ns = 2'000'000'000;
constexpr int attempts = 3;
constexpr std::int64_t days_kept = 90;
constexpr std::size_t written_at_once = 4096;

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

// The clock that file systems stamp with; another one could be ahead of them.
std::int64_t file_clock_ns() {
  struct timespec time {};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

bool is_old_enough(const FileStamp& stamp, std::int64_t read_at_ns) {
  return std::max(stamp.mtime_ns, stamp.ctime_ns) <= read_at_ns - youngest_trusted_ns;
}

Result<struct stat> look_at(int file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file, &status) != 0) return file_error("look at", path, errno);
  return status;
}

}  // namespace

std::size_t FileDigests::HashFileId::operator()(const FileId& id) const noexcept {
  return std::hash<std::uint64_t>{}(id.inode * 0x9e37'79b9'7f4a'7c15 ^ id.device);
}

Result<std::unique_ptr<FileDigests>> FileDigests::open(Options options) {
  if (options.path.empty()) return std::unique_ptr<FileDigests>(new FileDigests(nullptr));
  auto database = open_database(options.path);
  if (!database) return tl::unexpected(database.error());
  return std::unique_ptr<FileDigests>(new FileDigests(std::move(*database)));
}

FileDigests::~FileDigests() {
  (void)flush();
}

std::optional<Digest> FileDigests::remembered(const FileStamp& stamp) {
  const std::lock_guard guard(mutex_);
  if (const auto known = known_.find({stamp.device, stamp.inode}); known != known_.end()) {
    if (known->second.stamp == stamp) return known->second.digest;
    return std::nullopt;
  }
  if (!database_) return std::nullopt;
  if (!find_)
    find_.emplace(
        *database_,
        "SELECT size, mtime, ctime, digest FROM file_digest WHERE device = ?1 AND inode = ?2");
  sqlite::ResetAtEnd reset(*find_);
  find_->start(signed_of(stamp.device), signed_of(stamp.inode));
  const auto found = find_->next();
  if (!found || !*found)
    return std::nullopt;  // a memo that cannot be read is a file read once more
  const FileStamp stored{stamp.device, stamp.inode, static_cast<std::uint64_t>(find_->integer(0)),
                         find_->integer(1), find_->integer(2)};
  const auto digest = Digest::from_raw(find_->bytes(3));
  if (!digest || !(stored == stamp)) return std::nullopt;
  known_[{stamp.device, stamp.inode}] = {stamp, *digest};
  return *digest;
}

void FileDigests::remember(const FileStamp& stamp, const Digest& digest) {
  const std::lock_guard guard(mutex_);
  known_[{stamp.device, stamp.inode}] = {stamp, digest};
  if (!database_) return;
  unwritten_.push_back({stamp.device, stamp.inode});
  if (unwritten_.size() >= written_at_once) (void)flush_locked();
}

Result<FileValue> FileDigests::digest(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.value < 0) return file_error("open", path, errno);
  auto before = look_at(file.value, path);
  if (!before) return tl::unexpected(before.error());
  if (!S_ISREG(before->st_mode))
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is {}, not a file", path.string(),
                            S_ISDIR(before->st_mode) ? "a folder" : "not a regular file"));
  FileValue value;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const FileStamp stamp = FileStamp::of(*before);
    value.size = stamp.size;
    value.executable = (before->st_mode & 0111) != 0;
    if (auto known = remembered(stamp)) {
      value.content = *known;
      return value;
    }
    const std::int64_t read_at = file_clock_ns();
    if (::lseek(file.value, 0, SEEK_SET) < 0) return file_error("read", path, errno);
    Sha256 hash;
    auto size = pass_through(file.value, path, hash);
    if (!size) return tl::unexpected(size.error());
    {
      const std::lock_guard guard(mutex_);
      ++files_read_;
    }
    auto after = look_at(file.value, path);
    if (!after) return tl::unexpected(after.error());
    if (FileStamp::of(*after) == stamp && *size == stamp.size) {
      value.content = hash.finish();
      if (is_old_enough(stamp, read_at)) remember(stamp, value.content);
      return value;
    }
    before = after;  // it changed meanwhile
  }
  return fail(ErrorCode::conflict, fmt::format("\"{}\" changes while it is read", path.string()));
}

Status FileDigests::flush() {
  const std::lock_guard guard(mutex_);
  return flush_locked();
}

Status FileDigests::flush_locked() {
  if (!database_ || unwritten_.empty()) return {};
  const std::int64_t today = file_clock_ns() / 86'400'000'000'000;
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return tl::unexpected(transaction.error());
  sqlite::Statement insert(
      *database_,
      "INSERT OR REPLACE INTO file_digest(device, inode, size, mtime, ctime, digest, day) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
  for (const FileId& id : unwritten_) {
    const Known& known = known_.at(id);
    if (auto done = insert.run(signed_of(id.device), signed_of(id.inode), known.stamp.size,
                               known.stamp.mtime_ns, known.stamp.ctime_ns,
                               sqlite::Blob{known.digest.raw()}, today);
        !done)
      return done;
  }
  // Of files that are gone nobody tells us; what is old is read once more.
  sqlite::Statement forget(*database_, "DELETE FROM file_digest WHERE day < ?1");
  if (auto done = forget.run(today - days_kept); !done) return done;
  if (auto done = transaction->commit(); !done) return done;
  unwritten_.clear();
  return {};
}

std::uint64_t FileDigests::files_read() const {
  const std::lock_guard guard(mutex_);
  return files_read_;
}

}  // namespace reprise::cache
