// The command line: which commands and flags there are, and what a mistyped one was meant to be.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/console.hpp"
#include "cli/options.hpp"
#include "core/configuration.hpp"

namespace reprise::cli {

enum class SettingsUse {
  none,      // works whatever the files say
  if_sound,  // goes on with the defaults when they are wrong
  required,  // wrong settings are an error
};

/// What the command line asks for.
struct Invocation {
  GlobalOptions globals;
  std::function<int(Console&)> action;  // empty: only `text` is to be printed
  std::string text;                     // help that was asked for
  std::string path{};                   // of the command: "reprise cache ls"
  bool waits = false;                   // takes as long as a run does: no server waits for others
  SettingsUse settings = SettingsUse::none;
  std::function<GlobalOptions(const Configuration&)> apply{};  // settings for flags not given
};

struct UsageError {
  Error error;
  std::string hint;  // the way out, a second line for people; may be empty
  bool wants_json = false;
};

/// @param arguments without the program's name
[[nodiscard]] tl::expected<Invocation, UsageError> parse_command_line(
    std::vector<std::string> arguments);

/// All of main(): parses, acts, and turns every way out into an exit code.
[[nodiscard]] int main_program(int argc, char** argv);

}  // namespace reprise::cli
