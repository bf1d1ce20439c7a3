#include "worker/task_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

fs::path log_path(const fs::path& run_folder, TaskId task, std::uint32_t attempt, Stream stream) {
  return run_folder / "logs" /
         fmt::format("{}.{}.{}", task.value, attempt, stream == Stream::out ? "out" : "err");
}

std::uint64_t LogBudget::take(std::uint64_t bytes) {
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  std::uint64_t granted = 0;
  do {
    granted = std::min(bytes, limits_.run_bytes - std::min(used, limits_.run_bytes));
  } while (!used_.compare_exchange_weak(used, used + granted, std::memory_order_relaxed));
  return granted;
}

std::uint64_t logged_bytes(const fs::path& run_folder) {
  std::uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator entry(run_folder / "logs", error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code size_error;
    const auto size = entry->file_size(size_error);
    if (!size_error) total += size;
  }
  return total;
}

void LogWriter::write(std::string_view bytes) {
  if (is_truncated_ || !status_ || bytes.empty()) return;
  if (!file_.is_open() && !open()) return;
  const std::uint64_t room =
      budget_.limits().stream_bytes - std::min(written_, budget_.limits().stream_bytes);
  const std::uint64_t fits = budget_.take(std::min<std::uint64_t>(bytes.size(), room));
  append(bytes.substr(0, fits));
  if (fits < bytes.size()) truncate_here();
}

bool LogWriter::open() {
  // O_NOFOLLOW: a command that knows the folder could have put a link there.
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (appends_ ? O_APPEND : O_TRUNC);
  const fs::path file = path();
  file_ = FileDescriptor(::open(file.c_str(), flags, 0600));
  if (!file_.is_open() && errno == ENOENT) {
    std::error_code ignored;  // the next open tells
    fs::create_directories(file.parent_path(), ignored);
    file_ = FileDescriptor(::open(file.c_str(), flags, 0600));
  }
  if (!file_.is_open())
    status_ = tl::unexpected(system_error(fmt::format("open log \"{}\"", file.string()), errno));
  return file_.is_open();
}

void LogWriter::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(file_.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      status_ =
          tl::unexpected(system_error(fmt::format("write log \"{}\"", path().string()), errno));
      return;
    }
    const auto count = static_cast<std::size_t>(put);
    written_ += count;
    last_ = bytes[count - 1];
    bytes.remove_prefix(count);
  }
}

void LogWriter::truncate_here() {
  const LogLimits& limits = budget_.limits();
  const bool own = written_ >= limits.stream_bytes;
  append(fmt::format("{}… output truncated at {}{}\n", last_ == '\n' ? "" : "\n",
                     describe_bytes(own ? limits.stream_bytes : limits.run_bytes),
                     own ? "" : " for the whole run"));
  is_truncated_ = true;
  file_.close();
}

std::uint64_t LogReader::size() const {
  struct stat info {};
  return ::fstat(file_.get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

Result<std::string> LogReader::read(std::uint64_t offset, std::size_t limit) const {
  std::string bytes(std::min<std::uint64_t>(limit, size() - std::min(offset, size())), '\0');
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::pread(file_.get(), bytes.data() + have, bytes.size() - have,
                                static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(system_error("read log", errno));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

Result<std::string> LogReader::tail(std::size_t lines, std::size_t limit) const {
  const std::uint64_t end = size();
  const std::uint64_t from = end - std::min<std::uint64_t>(end, limit);
  auto bytes = read(from, limit);
  if (!bytes || lines == 0) return bytes ? std::string{} : bytes;
  std::size_t start = bytes->size();
  if (start > 0 && bytes->back() == '\n') --start;
  while (start > 0 && lines > 0) {
    const std::size_t line_end = bytes->rfind('\n', start - 1);
    if (line_end == std::string::npos) {
      start = 0;
      break;
    }
    start = line_end;
    --lines;
  }
  if (start > 0 || lines == 0) ++start;
  return bytes->substr(std::min(start, bytes->size()));
}

Result<LogReader> open_log(const fs::path& run_folder, TaskId task, std::uint32_t attempt,
                           Stream stream) {
  const fs::path path = log_path(run_folder, task, attempt, stream);
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.is_open()) return LogReader(std::move(file));
  if (errno == ENOENT) return fail(ErrorCode::not_found, "nothing was printed");
  return tl::unexpected(system_error(fmt::format("open log \"{}\"", path.string()), errno));
}

}  // namespace reprise::worker
