#include "worker/reused_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "core/text.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

namespace {

int open_to_write(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

/// Its size; nullopt: somebody has it under another name, or it is no file at all.
std::optional<off_t> size_if_ours_alone(int file) {
  struct stat info {};
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1)
    return std::nullopt;
  return info.st_size;
}

}  // namespace

Status write_over(const std::filesystem::path& path, std::string_view text) {
  const auto error = [&] {
    return tl::unexpected(
        system_error(fmt::format("write \"{}\"", escape_for_terminal(path.string())), errno));
  };
  FileDescriptor file(open_to_write(path));
  auto size = file.is_open() ? size_if_ours_alone(file.get()) : std::nullopt;
  if (!size) {
    std::error_code ignored;  // the next try tells
    std::filesystem::remove_all(path, ignored);
    file = FileDescriptor(open_to_write(path));
    if (!file.is_open()) return error();
    size = 0;
  }
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t put = ::write(file.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return error();
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  const auto end = static_cast<off_t>(text.size());
  return *size <= end || ::ftruncate(file.get(), end) == 0 ? Status{} : error();
}

}  // namespace reprise::worker
