#include "journal/data_folder.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <fmt/format.h>

namespace reprise::journal {
namespace {

namespace fs = std::filesystem;

// Enough to notice a disk that has a few blocks left, which would only fail in the middle of a run.
constexpr std::size_t probe_bytes = 64 * 1024;

struct Descriptor {
  int value = -1;
  explicit Descriptor(int fd) : value(fd) {}
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

// Every trouble with the folder has the same way out. Something else in its place is neither a
// missing folder, in which nothing was run yet, nor a conflict.
tl::unexpected<Error> refused(const fs::path& folder, std::string_view what, int error) {
  const ErrorCode code = error_code_of(error);
  const bool is_told = code == ErrorCode::denied || code == ErrorCode::exhausted;
  return fail(is_told ? code : ErrorCode::io,
              fmt::format("cannot {} data folder \"{}\": {}; choose another one with --data DIR",
                          what, folder.string(), std::strerror(error)));
}

Result<bool> is_folder(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return true;
    return refused(path, "use", ENOTDIR);
  }
  if (errno == ENOENT) return false;
  return refused(path, "use", errno);
}

Status probe(const fs::path& folder) {
  const fs::path name = folder / fmt::format(".probe-{}", ::getpid());
  const Descriptor file(
      ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.value < 0) return refused(folder, "write to", errno);
  const std::string block(probe_bytes, '\0');
  const ssize_t written = ::write(file.value, block.data(), block.size());
  const int error = written < 0 ? errno : ENOSPC;
  ::unlink(name.c_str());
  if (written != static_cast<ssize_t>(block.size())) return refused(folder, "write to", error);
  return {};
}

std::optional<std::string_view> network_file_system(const fs::path& folder) {
  struct statfs status {};
  if (::statfs(folder.c_str(), &status) != 0) return std::nullopt;
  switch (static_cast<std::uint32_t>(status.f_type)) {  // statfs(2)
    case 0x6969:
      return "NFS";
    case 0x517b:
    case 0xff53'4d42:
    case 0xfe53'4d42:
      return "SMB";
    case 0x0102'1997:
      return "9P";
    case 0x00c3'6400:
      return "Ceph";
    case 0x0bd0'0bd0:
      return "Lustre";
    case 0x4750'4653:
      return "GPFS";
    case 0x5346'414f:
      return "AFS";
    default:
      return std::nullopt;
  }
}

// One lock per open file rather than per process (and, unlike flock, testable without taking it).
struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string owner_text(int file) {
  char text[64];
  const ssize_t size = ::pread(file, text, sizeof text, 0);
  if (size <= 0) return "another process";
  return "process " + std::string(text, static_cast<std::size_t>(size))
                          .substr(0, static_cast<std::size_t>(size) - 1);
}

}  // namespace

Status make_private_folders(const fs::path& path) {
  auto exists = is_folder(path);
  if (!exists) return tl::unexpected(exists.error());
  if (*exists) return {};
  if (path.has_parent_path() && path.parent_path() != path)
    if (auto parent = make_private_folders(path.parent_path()); !parent) return parent;
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return refused(path, "make", errno);
  return {};
}

RunLock::RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
RunLock& RunLock::operator=(RunLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
RunLock::~RunLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<fs::path> DataFolder::default_path() {
  const auto variable = [](const char* name) -> std::string_view {
    const char* value = std::getenv(name);
    return value ? value : "";
  };
  // A relative XDG_DATA_HOME is to be ignored (XDG Base Directory Specification).
  if (const auto data = variable("XDG_DATA_HOME"); data.starts_with('/'))
    return fs::path(data) / "reprise";
  if (const auto home = variable("HOME"); home.starts_with('/'))
    return fs::path(home) / ".local/share/reprise";
  return fail(
      ErrorCode::not_found,
      "no place for data: neither \"XDG_DATA_HOME\" nor \"HOME\" is set; name one with --data DIR");
}

Result<DataFolder> DataFolder::open(const Options& options) {
  DataFolder folder;
  if (options.path.empty()) {
    auto path = default_path();
    if (!path) return tl::unexpected(path.error());
    folder.path_ = std::move(*path);
  } else {
    std::error_code error;
    folder.path_ = fs::absolute(options.path, error).lexically_normal();
    if (error) return refused(options.path, "find", error.value());
    if (!folder.path_.has_filename()) folder.path_ = folder.path_.parent_path();  // "dir/"
  }
  if (options.create) {
    if (auto made = make_private_folders(folder.path_); !made) return tl::unexpected(made.error());
    if (auto writable = probe(folder.path_); !writable) return tl::unexpected(writable.error());
    if (::mkdir(folder.runs().c_str(), 0700) != 0 && errno != EEXIST)
      return refused(folder.path_, "write to", errno);
  } else {
    auto exists = is_folder(folder.path_);
    if (!exists) return tl::unexpected(exists.error());
    if (!*exists)
      return fail(
          ErrorCode::not_found,
          fmt::format("no data folder \"{}\"; nothing was run there yet", folder.path_.string()));
  }
  if (const auto kind = network_file_system(folder.path_))
    folder.warnings_.push_back(fmt::format(
        "data folder \"{}\" is on a network file system ({}): use it from one machine only",
        folder.path_.string(), *kind));
  struct stat status {};
  if (::stat(folder.path_.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) != 0 &&
      (status.st_mode & S_ISVTX) == 0)
    folder.warnings_.push_back(
        fmt::format("data folder \"{}\" can be written to by everybody", folder.path_.string()));
  return folder;
}

Result<fs::path> DataFolder::make_run_folder(const RunId& run) const {
  fs::path path = run_folder(run);
  for (const fs::path& each : {runs(), path})
    if (::mkdir(each.c_str(), 0700) != 0 && errno != EEXIST)
      return refused(path_, "write to", errno);
  return path;
}

Result<RunLock> DataFolder::own(const RunId& run) const {
  auto folder = make_run_folder(run);
  if (!folder) return tl::unexpected(folder.error());
  const fs::path name = *folder / "owner";
  RunLock lock(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.descriptor_ < 0) return refused(path_, "write to", errno);
  struct flock wanted = whole_file(F_WRLCK);
  if (::fcntl(lock.descriptor_, F_OFD_SETLK, &wanted) != 0) {
    if (errno != EAGAIN && errno != EACCES) return refused(path_, "lock a file in", errno);
    return fail(ErrorCode::conflict, fmt::format("run \"{}\" is being run by {}", run.text(),
                                                 owner_text(lock.descriptor_)));
  }
  const std::string text = fmt::format("{}\n", ::getpid());  // for people; the lock alone counts
  if (::ftruncate(lock.descriptor_, 0) != 0 ||
      ::pwrite(lock.descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return refused(path_, "write to", errno);
  return lock;
}

bool DataFolder::is_owned(const RunId& run) const {
  return owner_of(run) == Owner::alive;
}

bool DataFolder::was_abandoned(const RunId& run) const {
  return owner_of(run) == Owner::gone;
}

DataFolder::Owner DataFolder::owner_of(const RunId& run) const {
  const Descriptor file(
      ::open((run_folder(run) / "owner").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.value < 0) return Owner::never;
  struct flock holder = whole_file(F_RDLCK);
  if (::fcntl(file.value, F_OFD_GETLK, &holder) != 0) return Owner::never;
  return holder.l_type == F_UNLCK ? Owner::gone : Owner::alive;
}

RunState DataFolder::effective_state(const RunRow& row) const {
  switch (row.state) {
    case RunState::queued:
    case RunState::running:
    case RunState::cancelling:
      return is_owned(row.id) ? row.state : RunState::interrupted;
    case RunState::paused:
    case RunState::success:
    case RunState::failed:
    case RunState::cancelled:
    case RunState::interrupted:
      break;
  }
  return row.state;
}

Status DataFolder::remove_run_folder(const RunId& run) const {
  if (is_owned(run))
    return fail(ErrorCode::conflict, fmt::format("run \"{}\" is being run", run.text()));
  const fs::path folder = run_folder(run);
  std::error_code error;
  fs::remove_all(folder, error);  // works on descriptors, follows no link
  if (error == std::errc::permission_denied) {
    // A task may have left folders that even their owner may not write to.
    std::error_code ignored;
    const auto open_up = [](const fs::path& each) { ::chmod(each.c_str(), 0700); };
    open_up(folder);
    for (fs::recursive_directory_iterator each(folder, ignored), end; each != end;
         each.increment(ignored)) {
      if (!each->is_symlink(ignored) && each->is_directory(ignored)) open_up(each->path());
    }
    fs::remove_all(folder, error);
  }
  if (error)
    return fail(ErrorCode::io,
                fmt::format("cannot remove \"{}\": {}", folder.string(), error.message()));
  return {};
}

DataFolder::Usage DataFolder::usage(const RunId& run) const {
  Usage usage;
  std::error_code error;
  for (fs::recursive_directory_iterator
           each(run_folder(run), fs::directory_options::skip_permission_denied, error),
       end;
       !error && each != end; each.increment(error)) {
    struct stat status {};
    if (::lstat(each->path().c_str(), &status) != 0 || S_ISDIR(status.st_mode)) continue;
    ++usage.files;
    usage.bytes += static_cast<std::uint64_t>(status.st_size);
  }
  return usage;
}

}  // namespace reprise::journal
