// `secret://NAME`: a value that is looked up where a command runs, and written down nowhere.
#pragma once

#include <optional>
#include <string_view>

namespace reprise {

inline constexpr std::string_view secret_prefix = "secret://";

/// What follows `secret://`, which may be no name; nullopt: the text is no reference.
[[nodiscard]] inline std::optional<std::string_view> secret_reference(std::string_view text) {
  if (!text.starts_with(secret_prefix)) return std::nullopt;
  return text.substr(secret_prefix.size());
}

/// A name is one of a file without a path: letters, digits, '.', '_' and '-', not beginning with
/// '.', at most 128 bytes.
[[nodiscard]] inline bool is_secret_name(std::string_view name) {
  if (name.empty() || name.size() > 128 || name.front() == '.') return false;
  for (const char c : name) {
    const bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!is_fine) return false;
  }
  return true;
}

}  // namespace reprise
