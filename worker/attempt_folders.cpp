#include "worker/attempt_folders.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr mode_t folder_mode = 0700;

FileDescriptor open_folder(const fs::path& path) {
  return FileDescriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

// Few and cheap calls, for this is all that most commands need.
bool is_empty_folder(const FileDescriptor& folder) {
  alignas(dirent64) char buffer[4096];
  if (::lseek(folder.get(), 0, SEEK_SET) != 0) return false;
  const ssize_t size = ::getdents64(folder.get(), buffer, sizeof buffer);
  for (ssize_t at = 0; at < size;) {
    const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
    at += entry->d_reclen;
  }
  return size > 0;
}

// A command may have moved its folder away and put another in its place, or changed its mode.
bool is_as_made(const AttemptFolders::Folder& folder) {
  struct stat by_path {};
  struct stat by_handle {};
  return folder.handle.is_open() && ::lstat(folder.path.c_str(), &by_path) == 0 &&
         ::fstat(folder.handle.get(), &by_handle) == 0 && by_path.st_dev == by_handle.st_dev &&
         by_path.st_ino == by_handle.st_ino && (by_path.st_mode & 07777) == folder_mode;
}

void open_up(const fs::path& folder) {
  std::error_code ignored;
  fs::permissions(folder, fs::perms::owner_all, fs::perm_options::add | fs::perm_options::nofollow, ignored);
}

// A folder without permission to write keeps its entries; give it back to its owner, before the iterator enters it.
void open_up_tree(const fs::path& folder) {
  open_up(folder);
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (fs::is_directory(entry->symlink_status(ignored))) open_up(entry->path());
  }
}

bool remove_contents(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error) return false;
  for (const fs::path& entry : entries) {
    fs::remove_all(entry, error);
    if (error) return false;
  }
  return true;
}

}  // namespace

AttemptFolders::~AttemptFolders() {
  for (const Folder& folder : free_) ::rmdir(folder.path.c_str());
  if (made_ > 0) ::rmdir(parent_.c_str());
}

Result<AttemptFolders::Lease> AttemptFolders::take() {
  fs::path path;
  {
    const std::scoped_lock lock(mutex_);
    if (!free_.empty()) {
      Folder folder = std::move(free_.back());
      free_.pop_back();
      return Lease(*this, std::move(folder));
    }
    path = parent_ / std::to_string(made_++);
  }
  if (::mkdir(path.c_str(), folder_mode) != 0) {
    if (errno == EEXIST) {
      remove_tree(path);  // of a process that was killed
    } else if (errno == ENOENT) {
      std::error_code ignored;  // the next try tells
      fs::create_directories(parent_, ignored);
    }
    if (::mkdir(path.c_str(), folder_mode) != 0) {
      return tl::unexpected(system_error(fmt::format("make folder \"{}\"", path.string()), errno));
    }
  }
  FileDescriptor handle = open_folder(path);
  return Lease(*this, Folder{std::move(path), std::move(handle)});
}

void AttemptFolders::give_back(Folder folder) {
  const bool is_kept =
      is_as_made(folder) && (is_empty_folder(folder.handle) || remove_contents(folder.path));
  if (!is_kept) {
    remove_tree(folder.path);
    if (::mkdir(folder.path.c_str(), folder_mode) != 0) return;
    folder.handle = open_folder(folder.path);
  }
  const std::scoped_lock lock(mutex_);
  free_.push_back(std::move(folder));
}

void remove_tree(const fs::path& folder) {
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return;
  std::error_code error;
  fs::remove_all(folder, error);
  if (!error) return;
  open_up_tree(folder);
  fs::remove_all(folder, error);
}

}  // namespace reprise::worker
