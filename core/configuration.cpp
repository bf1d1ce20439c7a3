#include "core/configuration.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t file_bytes_max = 1 << 20;
constexpr const char* project_name = "reprise.toml";

std::string in_quotes(const fs::path& path) {
  return fmt::format("\"{}\"", escape_for_terminal(path.string()));
}

tl::unexpected<Error> cannot(std::string_view what, const fs::path& path, int error) {
  Error made = system_error(fmt::format("cannot {} {}", what, in_quotes(path)), error);
  made.code = error_code_of(error);
  return tl::unexpected(std::move(made));
}

std::optional<std::string> from_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error) || (error && error != std::errc::no_such_file_or_directory &&
                                     error != std::errc::not_a_directory);
}

/// In a folder where everybody may put files (/tmp), only our own and root's are trusted.
std::string why_ignored(const fs::path& file) {
  struct stat about {
  }, folder{};
  if (::stat(file.c_str(), &about) != 0 || ::stat(file.parent_path().c_str(), &folder) != 0)
    return {};
  if ((folder.st_mode & S_IWOTH) == 0 || about.st_uid == ::geteuid() || about.st_uid == 0)
    return {};
  return "another user's file in a folder that everybody may write to";
}

std::optional<SettingsFile> find_project_file(const fs::path& start) {
  std::error_code error;
  fs::path folder = fs::absolute(start.empty() ? "." : start, error).lexically_normal();
  if (error) return std::nullopt;
  if (!folder.has_filename()) folder = folder.parent_path();  // "dir/"
  for (;;) {
    const fs::path file = folder / project_name;
    if (is_there(file))
      return SettingsFile{SettingsFile::Role::project, file, true, why_ignored(file)};
    if (folder == folder.parent_path()) return std::nullopt;
    folder = folder.parent_path();
  }
}

fs::path user_file(const SettingsSearch& search) {
  // A relative XDG_CONFIG_HOME is to be ignored (XDG Base Directory Specification).
  if (const auto config = search.variable("XDG_CONFIG_HOME"); config && config->starts_with('/'))
    return fs::path(*config) / "reprise/config.toml";
  if (const auto home = search.variable("HOME"); home && home->starts_with('/'))
    return fs::path(*home) / ".config/reprise/config.toml";
  return {};
}

Result<std::string> read_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe: no waiting
  if (file < 0) return cannot("read", path, errno);
  struct stat about {};
  std::string text;
  int problem = ::fstat(file, &about) == 0 ? 0 : errno;
  if (problem == 0 && !S_ISREG(about.st_mode)) problem = S_ISDIR(about.st_mode) ? EISDIR : EINVAL;
  char buffer[16384];
  while (problem == 0 && text.size() <= file_bytes_max) {
    const ssize_t got = ::read(file, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) problem = errno;
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(file);
  if (problem != 0) return cannot("read", path, problem);
  if (text.size() > file_bytes_max)
    return fail(ErrorCode::exhausted, fmt::format("{} is larger than {}, too large for settings",
                                                  in_quotes(path), describe_bytes(file_bytes_max)));
  return text;
}

/// What others may read is no secret.
Status check_secret(const SettingValue& value) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" names {}, {}", value.key, in_quotes(value.text), why));
  };
  struct stat about {};
  if (::stat(value.text.c_str(), &about) != 0)
    return refuse(fmt::format("which cannot be read: {}", std::generic_category().message(errno)));
  if (!S_ISREG(about.st_mode)) return refuse("which is no file");
  if (about.st_uid != ::geteuid() && about.st_uid != 0)
    return refuse("which belongs to another user");
  if ((about.st_mode & 077) != 0)
    return refuse(
        fmt::format("which others may read (mode {:04o}); chmod 600 it", about.st_mode & 07777U));
  return {};
}

}  // namespace

std::string_view name(SettingsFile::Role role) {
  switch (role) {
    case SettingsFile::Role::chosen:
      return "chosen";
    case SettingsFile::Role::project:
      return "project";
    case SettingsFile::Role::user:
      return "user";
    case SettingsFile::Role::system:
      return "system";
  }
  return "unknown";
}

std::vector<SettingsFile> settings_files(const SettingsSearch& given) {
  SettingsSearch search = given;
  if (!search.variable) search.variable = from_environment;
  if (!search.chosen.empty()) {
    std::error_code error;
    const fs::path path = fs::absolute(search.chosen, error).lexically_normal();
    return {{SettingsFile::Role::chosen, path, is_there(path), {}}};
  }
  std::vector<SettingsFile> files;
  if (auto project = find_project_file(search.project_from)) files.push_back(std::move(*project));
  if (const fs::path user = user_file(search); !user.empty())
    files.push_back({SettingsFile::Role::user, user, is_there(user), {}});
  if (!search.system.empty())
    files.push_back({SettingsFile::Role::system, search.system, is_there(search.system), {}});
  return files;
}

tl::expected<Configuration, std::vector<SettingMistake>> Configuration::load(
    const SettingsSearch& given, std::span<const Setting> known) {
  SettingsSearch search = given;
  if (!search.variable) search.variable = from_environment;
  Configuration made;
  std::vector<SettingMistake> mistakes;
  const auto keep = [&](SettingValue value) {
    if (made.find(value.key) == nullptr) made.values_.push_back(std::move(value));
  };
  for (const Setting& setting : known) {
    const std::string variable = setting.variable();
    const auto text = search.variable(variable);
    if (!text || text->empty()) continue;  // as good as not set
    auto checked = check_setting(setting, *text);
    if (checked)
      keep({std::string(setting.key), std::move(*checked), variable, 0, 0});
    else
      mistakes.push_back(
          {checked.error().code, variable, 0, 0, std::move(checked.error().message)});
  }
  made.files_ = settings_files(search);
  for (const SettingsFile& file : made.files_) {
    const bool is_read =
        (file.exists || file.role == SettingsFile::Role::chosen) && file.ignored_because.empty();
    if (!is_read) continue;
    const auto text = read_file(file.path);
    if (!text) {
      mistakes.push_back({text.error().code, file.path.string(), 0, 0, text.error().message});
      continue;
    }
    DecodedSettings decoded = decode_settings(*text, file.path.string(), known);
    for (SettingValue& value : decoded.values) keep(std::move(value));
    std::ranges::move(decoded.mistakes, std::back_inserter(mistakes));
  }
  for (const SettingValue& value : made.values_) {
    const auto setting = std::ranges::find(known, std::string_view(value.key), &Setting::key);
    if (setting->kind != Setting::Kind::secret_file) continue;
    if (const Status good = check_secret(value); !good)
      mistakes.push_back(
          {good.error().code, value.source, value.line, value.column, good.error().message});
  }
  if (!mistakes.empty()) return tl::unexpected(std::move(mistakes));
  return made;
}

const SettingValue* Configuration::find(std::string_view key) const {
  const auto found = std::ranges::find(values_, key, &SettingValue::key);
  return found == values_.end() ? nullptr : &*found;
}

}  // namespace reprise
