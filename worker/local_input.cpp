#include "worker/local_input.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include <fmt/format.h>

#include "core/payload.hpp"
#include "core/text.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr int depth_max = 256;

tl::unexpected<Error> cannot(std::string_view what, const fs::path& path) {
  return tl::unexpected(
      system_error(fmt::format("{} \"{}\"", what, escape_for_terminal(path.string())), errno));
}

Result<std::string> link_text(const fs::path& path, const struct stat& info) {
  std::string text(static_cast<std::size_t>(info.st_size) + 1, '\0');
  const ssize_t count = ::readlink(path.c_str(), text.data(), text.size());
  if (count < 0) return cannot("read link", path);
  text.resize(static_cast<std::size_t>(count));
  return text;
}

Result<Digest> root_of(const fs::path& folder, FileHasher& files, int depth);

Result<DirectoryEntry> entry_of(const fs::path& path, FileHasher& files, int depth) {
  DirectoryEntry entry;
  entry.name = path.filename().string();
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return cannot("look at", path);
  if (S_ISLNK(info.st_mode)) {
    auto text = link_text(path, info);
    if (!text) return tl::unexpected(text.error());
    entry.kind = DirectoryEntry::Kind::link;
    entry.link_target = *std::move(text);
  } else if (S_ISDIR(info.st_mode)) {
    auto root = root_of(path, files, depth + 1);
    if (!root) return tl::unexpected(root.error());
    entry.kind = DirectoryEntry::Kind::directory;
    entry.content = *root;
  } else if (S_ISREG(info.st_mode)) {
    const auto file = files.hash(path);
    if (!file) return tl::unexpected(file.error());
    entry.content = file->content;
    entry.executable = file->executable;
  } else {
    return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is neither file, folder nor link",
                                                         escape_for_terminal(path.string())));
  }
  return entry;
}

Result<Digest> root_of(const fs::path& folder, FileHasher& files, int depth) {
  if (depth > depth_max)
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" lies more than {} folders deep",
                            escape_for_terminal(folder.string()), depth_max));
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), &::closedir);
  if (!open) return cannot("open folder", folder);
  std::vector<DirectoryEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* each = ::readdir(open.get());
    if (each == nullptr && errno != 0) return cannot("read folder", folder);
    if (each == nullptr) break;
    const std::string_view name = each->d_name;
    if (name == "." || name == "..") continue;
    auto entry = entry_of(folder / name, files, depth);
    if (!entry) return tl::unexpected(entry.error());
    entries.push_back(*std::move(entry));
  }
  return directory_root(std::move(entries));
}

}  // namespace

Result<Digest> folder_root(const fs::path& folder, FileHasher& files) {
  return root_of(folder, files, 0);
}

Result<Value> local_value(const fs::path& path, FileHasher& files) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    auto root = folder_root(path, files);
    if (!root) return tl::unexpected(root.error());
    return directory_value(*root);
  }
  const auto file = files.hash(path);
  if (!file) return tl::unexpected(file.error());
  return file->to_value();
}

bool is_unchanged(const LocalInput& input, FileHasher& files) {
  const auto value = local_value(input.path, files);
  if (!value) return false;
  const auto payload = Payload::of(*value);
  return payload && payload->digest == input.value;
}

}  // namespace reprise::worker
