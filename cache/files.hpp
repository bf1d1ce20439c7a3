// Small things that blob store and file digests need from the operating system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "core/digest.hpp"
#include "core/result.hpp"

namespace reprise::cache {

/// An open file; -1: none.
struct Descriptor {
  int value = -1;

  Descriptor() = default;
  explicit Descriptor(int fd) : value(fd) {}
  Descriptor(Descriptor&& other) noexcept : value(std::exchange(other.value, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value, other.value);
    return *this;
  }
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

/// What tells one state of a file's content from another without reading it.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;

  [[nodiscard]] static FileStamp of(const struct stat& status);
  bool operator==(const FileStamp&) const = default;
};

/// "cannot <what> "<path>": No space left on device", with the code that fits the number.
[[nodiscard]] tl::unexpected<Error> file_error(std::string_view what,
                                               const std::filesystem::path& path, int error);

/// Opens a regular file for reading; the last component is not followed when it is a link, and a
/// pipe does not block.
/// @error not_found, invalid_argument: not a regular file; denied, io
struct OpenFile {
  Descriptor descriptor;
  struct stat status {};
};
[[nodiscard]] Result<OpenFile> open_regular(const std::filesystem::path& path);

/// Reads `in` to its end, through `hash` and, when it is ≥ 0, on to `out`. @return the number of
/// bytes
[[nodiscard]] Result<std::uint64_t> pass_through(int in, const std::filesystem::path& in_path,
                                                 Sha256& hash, int out = -1,
                                                 const std::filesystem::path& out_path = {});
[[nodiscard]] Status write_all(int out, std::string_view bytes, const std::filesystem::path& path);

}  // namespace reprise::cache
