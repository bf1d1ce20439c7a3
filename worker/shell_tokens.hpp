// What counts of a shell script when comments and blanks do not: its words, in order.
//
// Two scripts with equal tokens do the same. The other way round nothing is promised: where a
// script goes beyond what is understood here (here-documents, command substitutions with quotes in
// quotes, backquotes, $'…'), everything from there on counts byte by byte.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reprise::worker {

struct ShellTokens {
  std::vector<std::string> words;  // with their quotes; "\n" stands for the end of a command line
  std::string rest;                // what was not taken apart

  bool operator==(const ShellTokens&) const = default;
};

/// Linear in the size of the script. A first line `#!…` counts as a word.
[[nodiscard]] ShellTokens shell_tokens(std::string_view script);

/// Begins with `#!` and the name of a shell whose language this is, also behind `env`.
[[nodiscard]] bool is_shell_script(std::string_view content);
/// sh, bash, dash, ash, ksh, wherever they lie.
[[nodiscard]] bool is_shell(std::string_view program);

}  // namespace reprise::worker
