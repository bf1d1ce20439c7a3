#include "cli/document_out.hpp"

#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "core/text.hpp"

namespace reprise::cli {

Result<std::unique_ptr<DocumentOut>> DocumentOut::open(const std::string& path, Console& console) {
  const bool to_stdout = path.empty() || path == "-";
  if (to_stdout && console.is_json())
    return fail(ErrorCode::invalid_argument,
                "this goes to stdout, where --json has its document: name a file with -o FILE");
  std::unique_ptr<DocumentOut> out(new DocumentOut(to_stdout ? "" : path, console));
  if (to_stdout) return out;
  std::error_code error;
  const auto there = std::filesystem::status(path, error);
  std::filesystem::path target = path;
  if (!std::filesystem::exists(there) || std::filesystem::is_regular_file(there)) {
    out->temporary_ = path;
    out->temporary_.replace_filename(
        fmt::format(".{}.{}.tmp", out->path_.filename().string().substr(0, 100), ::getpid()));
    target = out->temporary_;
  }
  errno = 0;
  out->stream_.open(target, std::ios::binary | std::ios::trunc);
  if (!out->stream_)
    return tl::unexpected(
        system_error(fmt::format("write \"{}\"", escape_for_terminal(path)), errno));
  return out;
}

DocumentOut::~DocumentOut() {
  if (temporary_.empty()) return;
  stream_.close();
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void DocumentOut::write(std::string_view bytes) {
  bytes_ += bytes.size();
  if (path_.empty())
    console_.raw(bytes);
  else
    stream_ << bytes;
}

bool DocumentOut::is_open() const {
  return path_.empty() ? console_.is_open() : stream_.good();
}

Status DocumentOut::finish() {
  if (path_.empty()) {
    console_.flush();
    return {};
  }
  const std::string what = fmt::format("write \"{}\"", escape_for_terminal(path_.string()));
  stream_.close();
  if (!stream_) return tl::unexpected(system_error(what, errno));
  if (temporary_.empty()) return {};
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  if (error) return tl::unexpected(system_error(what, error.value()));
  temporary_.clear();
  return {};
}

int DocumentOut::finish_and_tell(const std::string& run, std::string_view format) {
  if (const Status finished = finish(); !finished) return console_.fail(finished.error());
  if (console_.is_json())
    return console_.document({{"schema", "reprise.written/1"},
                              {"run", run.empty() ? Json(nullptr) : Json(run)},
                              {"format", format},
                              {"file", path_.string()},
                              {"size_bytes", bytes_}});
  if (!path_.empty())
    console_.say(
        fmt::format("{} → {}", describe_bytes(bytes_), escape_for_terminal(path_.string())));
  return exit_ok;
}

}  // namespace reprise::cli
