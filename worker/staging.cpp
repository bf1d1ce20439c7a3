#include "worker/staging.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "core/text.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t copied_bytes_max = 4ull << 20;
constexpr std::size_t name_bytes_max = 255;  // NAME_MAX

Status fail_io(std::string_view what, const fs::path& path) {
  return tl::unexpected(
      system_error(fmt::format("{} \"{}\"", what, escape_for_terminal(path.string())), errno));
}

std::string last_part(std::string_view name) {
  const std::string_view part = name.substr(name.rfind('/') + 1);
  return is_inner_path(part) ? std::string(part) : "file";
}

Status copy_local(const FileDescriptor& from, const struct stat& info, const fs::path& to) {
  const FileDescriptor target(
      ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!target.is_open()) return fail_io("make", to);
  if (::ioctl(target.get(), FICLONE, from.get()) != 0) {
    for (;;) {
      const ssize_t moved = ::sendfile(target.get(), from.get(), nullptr, 1 << 20);
      if (moved < 0 && errno == EINTR) continue;
      if (moved < 0) return fail_io("copy to", to);
      if (moved == 0) break;
    }
  }
  if (::fchmod(target.get(), (info.st_mode & S_IXUSR) != 0 ? 0555 : 0444) != 0)
    return fail_io("change mode of", to);
  return {};
}

bool lies_below(const fs::path& path, const fs::path& folder) {
  std::error_code ignored;
  const fs::path inner = fs::weakly_canonical(path, ignored);
  const fs::path outer = fs::canonical(folder, ignored);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

Status copy_folder(const fs::path& from, const fs::path& to);
Status make_one(const Staging::Place::Local& local, const fs::path& to, cache::BlobStore*);

// One entry of a folder: links are copied as they are; what is neither file nor folder is refused.
Status copy_entry(const fs::path& from, const fs::path& to) {
  struct stat info {};
  if (::lstat(from.c_str(), &info) != 0) return fail_io("look at", from);
  if (S_ISDIR(info.st_mode)) return copy_folder(from, to);
  if (S_ISLNK(info.st_mode)) {
    std::error_code error;
    fs::copy_symlink(from, to, error);
    errno = error.value();
    return error ? fail_io("copy link", from) : Status{};
  }
  return make_one(Staging::Place::Local{from}, to, nullptr);
}

// Files come as single ones do; the folders are read-only once they are full.
Status copy_folder(const fs::path& from, const fs::path& to) {
  if (::mkdir(to.c_str(), 0755) != 0) return fail_io("make folder", to);
  std::error_code error;
  for (fs::directory_iterator each(from, error), end; !error && each != end; each.increment(error))
    if (auto copied = copy_entry(each->path(), to / each->path().filename()); !copied)
      return copied;
  errno = error.value();
  if (error) return fail_io("read folder", from);
  return ::chmod(to.c_str(), 0555) == 0 ? Status{} : fail_io("change mode of", to);
}

Status make_one(const Staging::Place::Local& local, const fs::path& to, cache::BlobStore*) {
  const FileDescriptor from(::open(local.from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!from.is_open() || ::fstat(from.get(), &info) != 0) return fail_io("input file", local.from);
  if (S_ISDIR(info.st_mode)) {
    if (lies_below(to, local.from))
      return fail(ErrorCode::invalid_argument,
                  fmt::format("input \"{}\" holds the data directory, and so itself",
                              escape_for_terminal(local.from.string())));
    return copy_folder(local.from, to);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_argument, fmt::format("input \"{}\" is no regular file",
                                                         escape_for_terminal(local.from.string())));
  }
  if (static_cast<std::uint64_t>(info.st_size) <= copied_bytes_max)
    return copy_local(from, info, to);
  if (::symlink(local.from.c_str(), to.c_str()) != 0) return fail_io("link", to);
  return {};
}

Status make_one(const FileValue& file, const fs::path& to, cache::BlobStore* blobs) {
  if (blobs == nullptr)
    return fail(ErrorCode::unavailable, "there is no blob store to take input files from");
  const bool is_link = file.size > copied_bytes_max;
  if (auto restored = blobs->restore(file, to, is_link); !restored) return restored;
  if (!is_link && ::chmod(to.c_str(), file.executable ? 0555 : 0444) != 0)
    return fail_io("change mode of", to);
  return {};
}

}  // namespace

bool is_inner_path(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos) return false;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == ".." || part.size() > name_bytes_max) return false;
    at = end + 1;
  }
  return true;
}

std::string Staging::add_file(const FileValue& file, std::string_view name) {
  std::string base = last_part(name);
  auto& known = known_[{file.content, file.executable, base}];
  if (known.empty()) {
    known = next_folder() + "/" + base;
    places_.push_back({known, file});
  }
  return known;
}

std::string Staging::add_folder(const std::vector<std::pair<std::string, FileValue>>& files) {
  const std::string folder = next_folder();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& [name, file] = files[i];
    places_.push_back({folder + "/" + (is_inner_path(name) ? name : std::to_string(i)), file});
  }
  return folder;
}

Status Staging::add_at(std::string path, std::variant<FileValue, Place::Local> source) {
  if (!is_inner_path(path)) {
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("input \"{}\" is no path below the task's folder", escape_for_terminal(path)));
  }
  Place place{path, std::move(source)};
  if (const auto [taken, is_new] = taken_.emplace(path, places_.size()); !is_new) {
    if (places_[taken->second] == place) return {};
    return fail(ErrorCode::invalid_argument,
                fmt::format("two input files are both called \"{}\"", escape_for_terminal(path)));
  }
  places_.push_back(std::move(place));
  return {};
}

Status Staging::make(const fs::path& folder, cache::BlobStore* blobs) const {
  fs::path last_parent;
  for (const Place& place : places_) {
    const fs::path to = folder / place.path;
    if (fs::path parent = to.parent_path(); parent != last_parent) {
      std::error_code error;
      fs::create_directories(parent, error);
      if (error) {
        errno = error.value();
        return fail_io("make folder", parent);
      }
      last_parent = std::move(parent);
    }
    auto made =
        std::visit([&](const auto& source) { return make_one(source, to, blobs); }, place.source);
    if (!made) return made;
  }
  return {};
}

}  // namespace reprise::worker
