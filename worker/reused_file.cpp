#include "worker/reused_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "core/text.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

namespace {

int open_to_write(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

/// Nobody has it but under this name.
bool is_ours_alone(int file) {
  struct stat info {};
  return ::fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1;
}

}  // namespace

Status write_over(const std::filesystem::path& path, std::string_view text) {
  const auto error = [&] {
    return tl::unexpected(
        system_error(fmt::format("write \"{}\"", escape_for_terminal(path.string())), errno));
  };
  FileDescriptor file(open_to_write(path));
  if (!file.is_open() || !is_ours_alone(file.get())) {
    std::error_code ignored;  // the next try tells
    std::filesystem::remove_all(path, ignored);
    file = FileDescriptor(open_to_write(path));
    if (!file.is_open()) return error();
  }
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t put = ::write(file.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return error();
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  return ::ftruncate(file.get(), static_cast<off_t>(text.size())) == 0 ? Status{} : error();
}

}  // namespace reprise::worker
