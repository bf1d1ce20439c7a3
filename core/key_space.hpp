// What an installation adds to every key of the cache: whose results these are, and the salts with
// which an operator disowns results without deleting them.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/cache_key.hpp"
#include "core/result.hpp"

namespace reprise {

struct KeySpace {
  std::string account = "default";
  std::string salt{};                          // of all tasks; empty = none
  std::map<std::string, std::string> salts{};  // by the task's name in the key

  /// From settings. @param salts  "align=2026-11, fetch=b"; the last '=' of a pair parts it
  /// @error invalid_argument: no account, no UTF-8, or no pair of that form
  [[nodiscard]] static Result<KeySpace> parse(std::string account, std::string salt,
                                              std::string_view salts);

  /// Puts the account and the salts into a material that is otherwise done; its own salt stays in
  /// it. Without salts of an operator, this only sets the account.
  void apply_to(Material& material) const;

  bool operator==(const KeySpace&) const = default;
};

/// A material's salt for people: text as it is, several of them one after the other with whose
/// they are.
[[nodiscard]] std::string shown_salt(std::string_view salt);

}  // namespace reprise
