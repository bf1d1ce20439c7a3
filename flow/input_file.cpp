#include "flow/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{256} << 10;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd, bool owned) : fd_(fd), owned_(owned) {}
  ~FileDescriptor() {
    if (owned_ && fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
  bool owned_;
};

std::string shown(const std::string& path) {
  return path == "-" ? "standard input" : fmt::format("\"{}\"", escape_for_terminal(path));
}

tl::unexpected<Error> cannot_read(const std::string& path, int errno_value) {
  switch (errno_value) {
    case ENOENT:
      return fail(ErrorCode::not_found, fmt::format("cannot read {}: no such file", shown(path)));
    case EACCES:
      return fail(ErrorCode::denied, fmt::format("cannot read {}: permission denied", shown(path)));
    case EISDIR:
      return fail(ErrorCode::invalid_argument,
                  fmt::format("cannot read {}: it is a directory, not a file", shown(path)));
    default:
      return tl::unexpected<Error>(
          system_error(fmt::format("cannot read {}", shown(path)), errno_value));
  }
}

Result<std::string> read_all(int fd, const std::string& path, std::uint64_t bytes_max) {
  std::string content;
  struct stat info {};
  if (::fstat(fd, &info) != 0) return cannot_read(path, errno);
  if (S_ISDIR(info.st_mode)) return cannot_read(path, EISDIR);
  const auto too_large = [&] {
    return fail(ErrorCode::exhausted, fmt::format("{} is larger than {}, the most that is read",
                                                  shown(path), describe_bytes(bytes_max)));
  };
  if (S_ISREG(info.st_mode) && info.st_size > 0) {
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size > bytes_max) return too_large();
    content.reserve(static_cast<std::size_t>(size) +
                    chunk_bytes);  // the read that finds the end needs room, too
  }
  for (;;) {  // the size may be unknown (a pipe, /proc) or change while we read
    const std::size_t old_size = content.size();
    content.resize(old_size +
                   chunk_bytes);  // small steps: every byte is zeroed before it is read into
    const ssize_t count = ::read(fd, content.data() + old_size, content.size() - old_size);
    const int error = errno;
    content.resize(old_size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && error == EINTR) continue;
    if (count < 0) return cannot_read(path, error);
    if (count == 0) return content;
    if (content.size() > bytes_max) return too_large();
  }
}

class Inflater {
 public:
  Inflater() { is_ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK; }  // 16: gzip headers only
  ~Inflater() {
    if (is_ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  [[nodiscard]] bool is_ready() const { return is_ready_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool is_ready_ = false;
};

// What the last member says about its size (RFC 1952, ISIZE). It may lie, so it is believed only as
// far as it is cheap.
std::size_t expected_size(std::string_view bytes, const InputLimits& limits) {
  if (bytes.size() < 18) return 0;  // no whole member
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    size |= std::uint64_t{static_cast<unsigned char>(bytes[bytes.size() - 4 + i])} << (8 * i);
  }
  const std::uint64_t cheap = std::min(limits.inflated_bytes_max, std::uint64_t{bytes.size()} * 32);
  return static_cast<std::size_t>(std::min(size, cheap) + chunk_bytes);
}

std::string_view reason_of(const z_stream& stream, int status) {
  if (stream.msg != nullptr) return stream.msg;  // "incorrect data check", "invalid block type" …
  return status == Z_NEED_DICT ? "it needs a preset dictionary" : "invalid data";
}

}  // namespace

bool is_gzip(std::string_view bytes) {
  return bytes.starts_with("\x1f\x8b");
}

Result<std::string> gunzip(std::string_view bytes, const InputLimits& limits) {
  Inflater inflater;
  if (!inflater.is_ready()) return fail(ErrorCode::exhausted, "no memory to inflate gzip data");
  z_stream& stream = inflater.stream();
  std::string content;
  content.reserve(expected_size(bytes, limits));
  std::size_t consumed = 0;
  bool in_member = true;
  while (in_member) {
    if (stream.avail_in == 0 && consumed < bytes.size()) {  // avail_in has 32 bits: feed in pieces
      const std::size_t piece =
          std::min<std::size_t>(bytes.size() - consumed, std::size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + consumed));
      stream.avail_in = static_cast<uInt>(piece);
    }
    const std::size_t old_size = content.size();
    const std::size_t room =
        std::clamp<std::size_t>(content.capacity() - old_size, chunk_bytes, std::size_t{1} << 20);
    content.resize(old_size + room);
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + old_size);
    stream.avail_out = static_cast<uInt>(room);
    const uInt available = stream.avail_in;
    const int status = inflate(&stream, Z_NO_FLUSH);
    consumed += available - stream.avail_in;
    content.resize(old_size + room - stream.avail_out);

    if (content.size() > limits.inflated_bytes_max) {
      return fail(ErrorCode::exhausted,
                  fmt::format("gzip content is larger than {}, the most that is read",
                              describe_bytes(limits.inflated_bytes_max)));
    }
    if (content.size() > limits.ratio_free_bytes &&
        content.size() / limits.ratio_max > bytes.size()) {
      return fail(
          ErrorCode::exhausted,
          fmt::format("gzip data of {} inflates to more than {} times its size; refused as harmful",
                      describe_bytes(bytes.size()), limits.ratio_max));
    }
    if (status == Z_STREAM_END) {
      const std::string_view rest = bytes.substr(consumed);
      if (is_gzip(rest)) {
        if (inflateReset(&stream) != Z_OK) return fail(ErrorCode::internal, "zlib cannot be reset");
        stream.avail_in = 0;  // the next round points it at the rest
      } else if (rest.find_first_not_of('\0') == std::string_view::npos) {
        in_member = false;
      } else {
        return fail(ErrorCode::corrupt,
                    fmt::format("{} bytes that are not gzip follow the gzip data", rest.size()));
      }
    } else if (status == Z_BUF_ERROR ||
               (status == Z_OK && stream.avail_in == 0 && stream.avail_out > 0)) {
      if (consumed == bytes.size()) {
        return fail(
            ErrorCode::corrupt,
            fmt::format(
                "gzip data is truncated: it ends after {} bytes, in the middle of the content",
                bytes.size()));
      }
    } else if (status != Z_OK) {
      return fail(ErrorCode::corrupt, fmt::format("gzip data is damaged near byte {}: {}", consumed,
                                                  reason_of(stream, status)));
    }
  }
  return content;
}

Result<std::string> read_input(const std::string& path, const InputLimits& limits) {
  Result<std::string> content;
  {
    const bool is_standard_input = path == "-";
    if (path.find('\0') != std::string::npos) return cannot_read(path, ENOENT);
    const FileDescriptor file(
        is_standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC),
        !is_standard_input);
    if (file.get() < 0) return cannot_read(path, errno);
    content = read_all(file.get(), path, limits.raw_bytes_max);
  }
  if (!content || !is_gzip(*content)) return content;
  Result<std::string> inflated = gunzip(*content, limits);
  if (!inflated) {
    inflated.error().message =
        fmt::format("cannot read {}: {}", shown(path), inflated.error().message);
  }
  return inflated;
}

}  // namespace reprise
