#include "worker/attempt_folders.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "worker/reused_file.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr mode_t folder_mode = 0700;

std::int64_t to_ns(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

timespec coarse_now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &time);  // the clock of file times
  return time;
}

// File times stand still for up to a tick of the kernel; what is older than that cannot have been
// written unseen.
constexpr std::int64_t settled_ns = 20'000'000;

enum class Look { untouched, may_have_changed, not_as_made };

// One call, for this is all that most commands need. A command may have moved its folder away and
// put another in its place, or changed its mode.
Look look_at(const AttemptFolders::Folder& folder) {
  struct stat info {};
  if (::lstat(folder.path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      info.st_ino != folder.inode || (info.st_mode & 07777) != folder_mode) {
    return Look::not_as_made;
  }
  const bool is_settled = to_ns(folder.taken) - to_ns(folder.changed) > settled_ns;
  return is_settled && to_ns(info.st_mtim) == to_ns(folder.changed) ? Look::untouched
                                                                    : Look::may_have_changed;
}

bool note_empty(AttemptFolders::Folder& folder) {
  struct stat info {};
  if (::lstat(folder.path.c_str(), &info) != 0) return false;
  folder.inode = info.st_ino;
  folder.changed = info.st_mtim;
  return true;
}

void open_up(const fs::path& folder) {
  std::error_code ignored;
  fs::permissions(folder, fs::perms::owner_all, fs::perm_options::add | fs::perm_options::nofollow,
                  ignored);
}

// A folder without permission to write keeps its entries; give it back to its owner, before the
// iterator enters it.
void open_up_tree(const fs::path& folder) {
  open_up(folder);
  std::error_code error;
  for (fs::recursive_directory_iterator
           entry(folder, fs::directory_options::skip_permission_denied, error),
       end;
       !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (fs::is_directory(entry->symlink_status(ignored))) open_up(entry->path());
  }
}

bool remove_contents(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error) return false;
  for (const fs::path& entry : entries) {
    fs::remove_all(entry, error);
    if (error) return false;
  }
  return true;
}

// Signals that were being written when their commands were killed, "0.signal.x7Yz2q", and values
// that a process left that was killed, "0.value1.json".
void remove_left_beside(const fs::path& parent) {
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    const std::string name = entry->path().filename().string();
    if (name.find(".signal.") != std::string::npos || name.find(".value") != std::string::npos)
      fs::remove_all(entry->path(), ignored);
  }
}

}  // namespace

fs::path value_file(const fs::path& folder, std::size_t n) {
  return fmt::format("{}.value{}.json", folder.string(), n);
}

Status AttemptFolders::Lease::put_values(const std::vector<std::string>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    folder_.values = std::max(folder_.values, i + 1);
    if (auto put = write_over(value_file(folder_.path, i), values[i]); !put) return put;
  }
  return {};
}

AttemptFolders::~AttemptFolders() {
  tidy();
  for (const Folder& folder : free_) {
    ::rmdir(folder.path.c_str());
    ::unlink(folder.context.c_str());
    for (std::size_t i = 0; i < folder.values; ++i) ::unlink(value_file(folder.path, i).c_str());
  }
  if (made_ == 0 || ::rmdir(parent_.c_str()) == 0) return;
  remove_left_beside(parent_);
  ::rmdir(parent_.c_str());
}

Result<AttemptFolders::Lease> AttemptFolders::take() {
  const auto one_of = [this](std::vector<Folder>& folders) -> std::optional<Folder> {
    const std::scoped_lock lock(mutex_);
    if (folders.empty()) return std::nullopt;
    Folder folder = std::move(folders.back());
    folders.pop_back();
    return folder;
  };
  auto folder_again = one_of(free_);
  while (!folder_again) {
    folder_again = one_of(used_);
    if (!folder_again) break;
    if (!make_empty(*folder_again)) folder_again.reset();
  }
  if (folder_again) {
    folder_again->taken = coarse_now();
    return Lease(*this, *std::move(folder_again));
  }
  fs::path path;
  {
    const std::scoped_lock lock(mutex_);
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
  Folder folder(std::move(path));
  ::unlink(folder.signal.c_str());  // of a process that was killed
  folder.taken = coarse_now();
  static_cast<void>(note_empty(folder));
  return Lease(*this, std::move(folder));
}

void AttemptFolders::give_back(Folder folder) {
  const std::scoped_lock lock(mutex_);
  used_.push_back(std::move(folder));
}

void AttemptFolders::tidy() {
  std::vector<Folder> used;
  {
    const std::scoped_lock lock(mutex_);
    used = std::exchange(used_, {});
  }
  for (Folder& folder : used) {
    if (!make_empty(folder)) continue;
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(folder));
  }
}

// False: the folder is of no more use.
bool AttemptFolders::make_empty(Folder& folder) {
  ::unlink(folder.signal.c_str());
  const Look look = look_at(folder);
  if (look == Look::not_as_made ||
      (look == Look::may_have_changed && !remove_contents(folder.path))) {
    remove_tree(folder.path);
    if (::mkdir(folder.path.c_str(), folder_mode) != 0) return false;
  }
  return look == Look::untouched || note_empty(folder);
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
