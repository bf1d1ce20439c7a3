// A folder for one test case, and small things that tests of stores do with files.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <sys/mount.h>
#include <unistd.h>

namespace reprise::testing {

/// Made under $TMPDIR, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// A small file system of its own, mounted at `point` while this lives. Needs root: `works()` says
/// whether it is there.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path point, std::string_view options) : point_(std::move(point)) {
    std::filesystem::create_directories(point_);
    mounted_ = ::mount("tmpfs", point_.c_str(), "tmpfs", 0, std::string(options).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(point_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] bool works() const { return mounted_; }
  /// Nobody may write any more, not even root. True: it worked.
  [[nodiscard]] bool make_read_only() {
    return mounted_ &&
           ::mount("tmpfs", point_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  std::filesystem::path point_;
  bool mounted_ = false;
};

}  // namespace reprise::testing
