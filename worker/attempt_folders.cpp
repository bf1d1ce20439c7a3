#include "worker/attempt_folders.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr mode_t folder_mode = 0700;

bool is_as_made(const fs::path& folder) {
  struct stat info {};
  return ::lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && (info.st_mode & 07777) == folder_mode &&
         info.st_uid == ::geteuid();
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
  for (const fs::path& folder : free_) ::rmdir(folder.c_str());
  if (made_ > 0) ::rmdir(parent_.c_str());
}

Result<AttemptFolders::Lease> AttemptFolders::take() {
  fs::path path;
  {
    const std::scoped_lock lock(mutex_);
    if (!free_.empty()) {
      path = std::move(free_.back());
      free_.pop_back();
      return Lease(*this, std::move(path));
    }
    path = parent_ / std::to_string(made_++);
  }
  if (::mkdir(path.c_str(), folder_mode) == 0) return Lease(*this, std::move(path));
  if (errno == EEXIST) {
    remove_tree(path);  // of a process that was killed
  } else if (errno == ENOENT) {
    std::error_code ignored;  // the next try tells
    fs::create_directories(parent_, ignored);
  }
  if (::mkdir(path.c_str(), folder_mode) == 0) return Lease(*this, std::move(path));
  return tl::unexpected(system_error(fmt::format("make folder \"{}\"", path.string()), errno));
}

void AttemptFolders::give_back(const fs::path& path) {
  if (!is_as_made(path) || !remove_contents(path)) {
    remove_tree(path);
    if (::mkdir(path.c_str(), folder_mode) != 0) return;
  }
  const std::scoped_lock lock(mutex_);
  free_.push_back(path);
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
