#include "worker/signal_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/signal.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

bool takes_value(TaskState state) {
  return state == TaskState::skipped || state == TaskState::failed || state == TaskState::success ||
         state == TaskState::looped;
}

bool takes_delay(TaskState state) {
  return state == TaskState::retrying || state == TaskState::paused;
}

std::string all_names() {
  std::string list;
  for (const std::string& name : signal_names()) list += (list.empty() ? "" : ", ") + name;
  return list;
}

Result<std::string> text_of(const Value& value, std::string_view key) {
  if (const auto* text = value.get_if<std::string>()) return *text;
  return fail(ErrorCode::invalid_argument,
              fmt::format("\"{}\" must be text, not {}", key, shorten(to_json(value), 40)));
}

}  // namespace

Result<TaskState> check(const SignalRequest& request) {
  const auto state = signal_from(request.name);
  if (!state)
    return fail(ErrorCode::invalid_argument,
                fmt::format("there is no signal \"{}\"{}; signals: {}",
                            shorten(escape_for_terminal(request.name), 40),
                            did_you_mean(request.name, signal_names()), all_names()));
  if (request.value && !takes_value(*state))
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("signal \"{}\" takes no value; skip, fail, success and loop do", request.name));
  if (request.in && !takes_delay(*state))
    return fail(ErrorCode::invalid_argument,
                fmt::format("signal \"{}\" takes no delay; only retry and pause do", request.name));
  if (!is_utf8(request.message))
    return fail(ErrorCode::invalid_argument, "the message is no UTF-8 text");
  if (request.message.size() > signal_message_bytes_max)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the message is {} bytes long, {} are allowed", request.message.size(),
                            signal_message_bytes_max));
  return *state;
}

std::string to_text(const SignalRequest& request) {
  Map map{{"signal", request.name}};
  if (!request.message.empty()) map.emplace_back("message", request.message);
  if (request.in)
    map.emplace_back(
        "in",
        fmt::format("{}ms", std::chrono::ceil<std::chrono::milliseconds>(*request.in).count()));
  if (request.value) map.emplace_back("value", *request.value);
  return to_json(Value(std::move(map))) + "\n";
}

Result<SignalRequest> parse_signal(std::string_view text) {
  const auto value = from_json(text);
  if (!value) return tl::unexpected(value.error());
  const Map* map = value->get_if<Map>();
  if (map == nullptr)
    return fail(ErrorCode::invalid_argument, "it is no object such as {\"signal\": \"skip\"}");
  SignalRequest request;
  for (const auto& [name, part] : *map) {
    const auto* key = name.get_if<std::string>();
    if (key != nullptr && *key == "value") {
      request.value = part;
      continue;
    }
    const bool is_known = key != nullptr && (*key == "signal" || *key == "message" || *key == "in");
    if (!is_known)
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" is none of signal, message, in, value",
                              key == nullptr ? "?" : shorten(escape_for_terminal(*key), 40)));
    auto given = text_of(part, *key);
    if (!given) return tl::unexpected(given.error());
    if (*key == "signal") request.name = *std::move(given);
    if (*key == "message") request.message = *std::move(given);
    if (*key != "in") continue;
    const auto delay = parse_duration(*given);
    if (!delay) return tl::unexpected(delay.error());
    request.in = *delay;
  }
  if (value->find("signal") == nullptr)
    return fail(ErrorCode::invalid_argument, "it has no \"signal\"; signals: " + all_names());
  if (const auto state = check(request); !state) return tl::unexpected(state.error());
  return request;
}

Status leave_signal(const fs::path& path, const SignalRequest& request) {
  if (const auto state = check(request); !state) return tl::unexpected(state.error());
  const std::string text = to_text(request);
  if (text.size() > signal_bytes_max)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the signal is {} long, {} are allowed; write large results to a file",
                            describe_bytes(text.size()), describe_bytes(signal_bytes_max)));
  std::string aside = path.string() + ".XXXXXX";
  const FileDescriptor file(::mkostemp(aside.data(), O_CLOEXEC));
  if (!file.is_open())
    return tl::unexpected(system_error(fmt::format("make file \"{}\"", aside), errno));
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t put = ::write(file.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const Error error = system_error(fmt::format("write file \"{}\"", aside), errno);
      ::unlink(aside.c_str());
      return tl::unexpected(error);
    }
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::rename(aside.c_str(), path.c_str()) != 0) {
    const Error error = system_error(fmt::format("rename to \"{}\"", path.string()), errno);
    ::unlink(aside.c_str());
    return tl::unexpected(error);
  }
  return {};
}

Result<std::optional<SignalRequest>> read_signal(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open()) {
    if (errno == ENOENT) return std::optional<SignalRequest>{};
    if (errno == ELOOP)
      return fail(ErrorCode::invalid_argument, "it is a symbolic link; write the file itself");
    return tl::unexpected(system_error("open it", errno));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return tl::unexpected(system_error("look at it", errno));
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::invalid_argument, "it is no file");
  std::string text(signal_bytes_max + 1, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(system_error("read it", errno));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have > signal_bytes_max)
    return fail(ErrorCode::invalid_argument,
                fmt::format("it is larger than {}", describe_bytes(signal_bytes_max)));
  text.resize(have);
  auto request = parse_signal(text);
  if (!request) return tl::unexpected(request.error());
  return std::optional(*std::move(request));
}

}  // namespace reprise::worker
