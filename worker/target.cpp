#include "worker/target.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "core/text.hpp"
#include "core/value.hpp"
#include "flow/argument_scope.hpp"
#include "flow/template.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

bool has_parent_part(const fs::path& path) {
  return std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

std::string shown(const fs::path& path) {
  return escape_for_terminal(path.string());
}

Error with_path(const fs::path& path, const Error& error) {
  return {error.code, fmt::format("target \"{}\": {}", shown(path), error.message)};
}

const CommandBody* command_of(const Attempt& attempt) {
  return std::get_if<CommandBody>(&attempt.context->flow->kind_of(attempt.node).body);
}

Result<std::string> read_text(const FileDescriptor& file, std::uint64_t size) {
  if (size > target_json_bytes_max)
    return fail(ErrorCode::exhausted,
                fmt::format("it is larger than {}", describe_bytes(target_json_bytes_max)));
  std::string text;
  char buffer[64 << 10];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(system_error("read it", errno));
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > target_json_bytes_max)
      return fail(ErrorCode::exhausted, "it grows while it is read");
  }
}

Status write_all(const FileDescriptor& file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(file.get(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return tl::unexpected(system_error("write it", errno));
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

// The file that the command made, aside.
Status make_file(const CommandBody& body, const Value& value, const fs::path& aside,
                 cache::BlobStore* blobs) {
  const Value* outputs = value.find("outputs");
  const Value* output =
      outputs != nullptr && body.outputs.size() == 1 ? outputs->find(body.outputs[0]) : nullptr;
  if (output == nullptr)
    return fail(ErrorCode::invalid_argument,
                "a command with a target declares exactly one output, which is kept there");
  const auto file = as_file(*output);
  if (!file) return tl::unexpected(file.error());
  if (blobs == nullptr)
    return fail(ErrorCode::unavailable, "there is no blob store to take the output from");
  return blobs->restore(*file, aside, false);
}

Status make_json(const Value& value, const fs::path& aside) {
  const std::string text = to_json(value);
  const auto back = from_json(text);
  if (!back || *back != value)
    return fail(
        ErrorCode::invalid_argument,
        "the result has no JSON form that could be read back; a target takes nil, booleans, "
        "numbers, texts, lists and maps with texts as keys");
  const FileDescriptor file(
      ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file.is_open()) return tl::unexpected(system_error("make a file beside it", errno));
  if (auto written = write_all(file, text + "\n"); !written) return written;
  if (::fsync(file.get()) != 0) return tl::unexpected(system_error("sync it", errno));
  return {};
}

}  // namespace

Result<fs::path> target_path(const Attempt& attempt) {
  const std::string& text = attempt.context->flow->kind_of(attempt.node).target.text;
  const ArgumentScope scope(attempt.arguments, attempt.context->parameters);
  auto evaluated = evaluate_text(text, scope);
  if (!evaluated) return fail(ErrorCode::invalid_argument, "target: " + evaluated.error().message);
  const fs::path path(*evaluated);
  const bool is_usable = !evaluated->empty() && evaluated->find('\0') == std::string::npos &&
                         !evaluated->ends_with('/');
  // The author may point anywhere, data may not lead elsewhere.
  if (!is_usable || (has_parent_part(path) && !has_parent_part(fs::path(text))) ||
      (path.is_absolute() && !text.starts_with('/')))
    return fail(ErrorCode::invalid_argument,
                fmt::format("target \"{}\" is not the path of a file where the task's author meant "
                            "it to be",
                            shown(path)));
  if (path.is_absolute()) return path.lexically_normal();
  std::error_code error;
  const fs::path& folder = attempt.context->flow->folder;
  const fs::path whole = folder.empty() ? fs::absolute(path, error) : folder / path;
  if (error) return fail(ErrorCode::io, "the current directory cannot be told: " + error.message());
  return whole.lexically_normal();
}

Result<std::optional<Payload>> read_target(
    const Attempt& attempt, const fs::path& path,
    const std::function<Result<FileValue>(const fs::path&)>& take_file) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<Payload>{};
    return tl::unexpected(with_path(path, system_error("open it", errno)));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return tl::unexpected(with_path(path, system_error("look at it", errno)));
  if (!S_ISREG(info.st_mode))
    return tl::unexpected(with_path(path, {ErrorCode::invalid_argument, "it is no file"}));
  const auto value = [&]() -> Result<Value> {
    const CommandBody* body = command_of(attempt);
    if (body == nullptr) {
      auto text = read_text(file, static_cast<std::uint64_t>(info.st_size));
      return text ? from_json(*text) : Result<Value>(tl::unexpected(text.error()));
    }
    if (body->outputs.size() != 1)
      return fail(ErrorCode::invalid_argument, "the command does not declare exactly one output");
    std::error_code error;
    const fs::path real = fs::canonical(path, error);  // a target may well be a symbolic link
    auto kept = take_file(error ? path : real);
    if (!kept) return tl::unexpected(kept.error());
    return Value(Map{{"exit", 0},
                     {"outputs", Map{{Value(body->outputs[0]), kept->to_value()}}},
                     {"stdout", ""}});
  }();
  if (!value) return tl::unexpected(with_path(path, value.error()));
  auto payload = Payload::of(*value);
  if (!payload) return tl::unexpected(with_path(path, payload.error()));
  return std::optional(*std::move(payload));
}

Status write_target(const Attempt& attempt, const fs::path& path, const Payload& value,
                    cache::BlobStore* blobs) {
  const auto decoded = value.is_none() ? Result<Value>(Value{}) : value.value();
  if (!decoded) return tl::unexpected(with_path(path, decoded.error()));
  if (decoded->is_nil()) return {};
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  // Another attempt, also of another process, may be writing the same target.
  const fs::path aside = fmt::format("{}.{}.{}.{}", path.string(), attempt.context->run.text(),
                                     attempt.task.value, attempt.number);
  ::unlink(aside.c_str());
  const CommandBody* body = command_of(attempt);
  Status made =
      body != nullptr ? make_file(*body, *decoded, aside, blobs) : make_json(*decoded, aside);
  if (made && ::rename(aside.c_str(), path.c_str()) != 0)
    made = tl::unexpected(system_error("put it there", errno));
  if (!made) {
    ::unlink(aside.c_str());
    return tl::unexpected(with_path(path, made.error()));
  }
  return {};
}

}  // namespace reprise::worker
