// The settings of one invocation of the program.
#pragma once

#include <vector>

#include "cli/console.hpp"
#include "core/configuration.hpp"

namespace reprise::cli {

/// Where this invocation looks for settings.
[[nodiscard]] SettingsSearch settings_search(const GlobalOptions& options);

/// @error as Configuration::load()
[[nodiscard]] tl::expected<Configuration, std::vector<SettingMistake>> load_configuration(
    const GlobalOptions& options);

/// Says all that is wrong with the settings. @return the exit code, 2
int fail_for_settings(const std::vector<SettingMistake>& mistakes, Console& console);

}  // namespace reprise::cli
