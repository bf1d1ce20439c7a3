#include "cache/files.hpp"

#include <cerrno>
#include <memory>
#include <system_error>

#include <fcntl.h>

#include <fmt/format.h>

namespace reprise::cache {
namespace {

constexpr std::size_t buffer_bytes = 128 * 1024;

std::int64_t nanoseconds(const struct timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileStamp FileStamp::of(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

tl::unexpected<Error> file_error(std::string_view what, const std::filesystem::path& path,
                                 int error) {
  return fail(error_code_of(error), fmt::format("cannot {} \"{}\": {}", what, path.string(),
                                                std::generic_category().message(error)));
}

Result<OpenFile> open_regular(const std::filesystem::path& path) {
  OpenFile file;
  file.descriptor =
      Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.descriptor.value < 0) {
    if (errno == ELOOP)
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" is a symbolic link, not a file", path.string()));
    if (errno == ENXIO)  // a socket
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" is not a regular file", path.string()));
    return file_error("open", path, errno);
  }
  if (::fstat(file.descriptor.value, &file.status) != 0) return file_error("look at", path, errno);
  if (S_ISDIR(file.status.st_mode))
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is a folder, not a file", path.string()));
  if (!S_ISREG(file.status.st_mode))
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is not a regular file", path.string()));
  return file;
}

Status write_all(int out, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(out, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error("write", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::uint64_t> pass_through(int in, const std::filesystem::path& in_path, Sha256& hash,
                                   int out, const std::filesystem::path& out_path) {
  thread_local const auto buffer = std::make_unique<char[]>(buffer_bytes);
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t got = ::read(in, buffer.get(), buffer_bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error("read", in_path, errno);
    if (got == 0) return total;
    const std::string_view bytes(buffer.get(), static_cast<std::size_t>(got));
    hash.update(bytes);
    if (out >= 0)
      if (auto written = write_all(out, bytes, out_path); !written)
        return tl::unexpected(written.error());
    total += bytes.size();
  }
}

}  // namespace reprise::cache
