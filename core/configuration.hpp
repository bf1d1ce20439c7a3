// Where settings come from below the flags of the command line: variables of the environment, then
// files; the first to set one wins.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/setting.hpp"

namespace reprise {

/// A file that may hold settings.
struct SettingsFile {
  enum class Role { chosen, project, user, system };
  Role role = Role::project;
  std::filesystem::path path;
  bool exists = false;
  std::string ignored_because;  // not empty: it is there but not read
};
[[nodiscard]] std::string_view name(SettingsFile::Role role);

/// Where to look.
struct SettingsSearch {
  /// Folder of the flow, or the current one: reprise.toml is looked for here and above.
  std::filesystem::path project_from{};
  std::filesystem::path chosen{};  // the one file to read instead of all others; empty = none
  std::filesystem::path system = "/etc/reprise/reprise.toml";
  /// The environment; empty: this process's.
  std::function<std::optional<std::string>(const std::string& name)> variable{};
};

/// The files that are read, the strongest first; those that do not exist as well.
[[nodiscard]] std::vector<SettingsFile> settings_files(const SettingsSearch& search);

class Configuration {
 public:
  /// Reads the variables and files. Blocks for as long as the file system does.
  /// @return all mistakes otherwise: invalid_argument, among them unknown keys and secret files
  /// that others may read; not_found, denied, io: a file that is there or was chosen cannot be read
  [[nodiscard]] static tl::expected<Configuration, std::vector<SettingMistake>> load(
      const SettingsSearch& search, std::span<const Setting> known = known_settings());

  /// Who sets it and to what; null: nobody, the default holds. A relative path from a variable
  /// stays relative to the current folder.
  [[nodiscard]] const SettingValue* find(std::string_view key) const;
  /// One per setting that is set.
  [[nodiscard]] const std::vector<SettingValue>& values() const { return values_; }
  [[nodiscard]] const std::vector<SettingsFile>& files() const { return files_; }

 private:
  std::vector<SettingValue> values_;
  std::vector<SettingsFile> files_;
};

}  // namespace reprise
