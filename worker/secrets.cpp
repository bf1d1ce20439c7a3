#include "worker/secrets.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/secret_reference.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view stars = "***";

// The secret that begins earliest in `text`, the longest of those; nothing: none is in it.
struct Found {
  std::size_t at = std::string_view::npos;
  std::size_t size = 0;
};
Found first_secret(std::string_view text, const std::vector<std::string>& secrets) {
  Found found;
  for (const std::string& secret : secrets) {
    const std::size_t at = text.find(secret);
    if (at < found.at ||
        (at == found.at && at != std::string_view::npos && secret.size() > found.size))
      found = {at, secret.size()};
  }
  return found;
}

// How many of the last bytes of `text` may be the beginning of a secret.
std::size_t open_end(std::string_view text, const std::vector<std::string>& secrets) {
  std::size_t longest = 0;
  for (const std::string& secret : secrets) {
    for (std::size_t size = std::min(text.size(), secret.size() - 1); size > longest; --size) {
      if (text.substr(text.size() - size) == std::string_view(secret).substr(0, size)) {
        longest = size;
        break;
      }
    }
  }
  return longest;
}

Result<std::string> read_all(const FileDescriptor& file, const std::string& shown) {
  std::string text(secret_bytes_max + 2, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(system_error(fmt::format("read {}", shown), errno));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  if (text.ends_with('\n')) text.pop_back();
  if (text.size() > secret_bytes_max)
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is larger than {}", shown, describe_bytes(secret_bytes_max)));
  if (text.empty()) return fail(ErrorCode::invalid_argument, fmt::format("{} is empty", shown));
  if (text.find('\0') != std::string::npos)
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} holds a NUL character, which no variable can", shown));
  return text;
}

// nullopt: no such file.
Result<std::optional<std::string>> read_file(const fs::path& path) {
  const std::string shown = fmt::format("secret \"{}\"", escape_for_terminal(path.string()));
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::string>{};
    return tl::unexpected(system_error(fmt::format("open {}", shown), errno));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return tl::unexpected(system_error(fmt::format("look at {}", shown), errno));
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::invalid_argument, fmt::format("{} is no file", shown));
  if ((info.st_mode & 077) != 0)
    return fail(ErrorCode::denied,
                fmt::format("{} has the mode {:04o}, so others can get at it; chmod 600 it", shown,
                            info.st_mode & 07777));
  auto text = read_all(file, shown);
  if (!text) return tl::unexpected(text.error());
  return std::optional(*std::move(text));
}

}  // namespace

std::vector<fs::path> secret_folders(const fs::path& given, const Environment& environment) {
  std::vector<fs::path> folders;
  if (!given.empty()) folders.push_back(given);
  const auto credentials = environment.find("CREDENTIALS_DIRECTORY");
  if (credentials != environment.end() && !credentials->second.empty())
    folders.emplace_back(credentials->second);
  return folders;
}

Result<std::string> read_secret(const std::vector<fs::path>& folders, std::string_view name) {
  if (!is_secret_name(name))
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"secret://{}\" names no secret: letters, digits, '.', '_' and '-', "
                            "not beginning with '.'",
                            escape_for_terminal(name)));
  std::string places;
  for (const fs::path& folder : folders) {
    auto text = read_file(folder / name);
    if (!text) return tl::unexpected(text.error());
    if (*text) return **std::move(text);
    places += fmt::format("{}\"{}\"", places.empty() ? "" : " and ",
                          escape_for_terminal(folder.string()));
  }
  return fail(
      ErrorCode::not_found,
      places.empty()
          ? fmt::format("secret \"{}\": no folder of secrets is known; give --secrets DIR", name)
          : fmt::format("there is no secret \"{}\" in {}", name, places));
}

std::string redact(std::string text, const std::vector<std::string>& secrets) {
  if (secrets.empty()) return text;
  std::string kept;
  std::string_view rest = text;
  for (Found found = first_secret(rest, secrets); found.size > 0;
       found = first_secret(rest, secrets)) {
    kept += rest.substr(0, found.at);
    kept += stars;
    rest.remove_prefix(found.at + found.size);
  }
  return kept += rest;
}

Value redact(Value value, const std::vector<std::string>& secrets) {
  if (secrets.empty()) return value;
  if (auto* text = std::get_if<std::string>(&value.data)) *text = redact(std::move(*text), secrets);
  if (auto* list = std::get_if<List>(&value.data))
    for (Value& item : *list) item = redact(std::move(item), secrets);
  if (auto* map = std::get_if<Map>(&value.data)) {
    for (auto& [key, item] : *map) {
      key = redact(std::move(key), secrets);
      item = redact(std::move(item), secrets);
    }
  }
  return value;
}

void RedactingSink::write(std::string_view bytes) {
  if (secrets_.empty()) return next_.write(bytes);
  held_ += bytes;
  std::string_view rest = held_;
  for (;;) {
    const Found found = first_secret(rest, secrets_);
    // A longer secret may begin before one that is already complete, or at the same place.
    const std::size_t open = open_end(rest, secrets_);
    if (found.size == 0 || found.at >= rest.size() - open) {
      if (rest.size() > open) next_.write(rest.substr(0, rest.size() - open));
      held_ = std::string(rest.substr(rest.size() - open));
      return;
    }
    if (found.at > 0) next_.write(rest.substr(0, found.at));
    next_.write(stars);
    rest.remove_prefix(found.at + found.size);
  }
}

void RedactingSink::finish() {
  if (held_.empty()) return;
  next_.write(redact(std::exchange(held_, {}), secrets_));
}

}  // namespace reprise::worker
