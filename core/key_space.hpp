// What an installation adds to every key of the cache: whose results these are, and the salts with
// which an operator disowns results without deleting them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/cache_key.hpp"
#include "core/result.hpp"

namespace reprise {

struct KeySpace {
  std::string account = "default";
  std::string salt{};                          // of all tasks; empty = none
  std::map<std::string, std::string> salts{};  // by the task's name in the key
  // Accounts whose results are taken, too, where the own one has none, in this order. Nothing is
  // ever kept for them.
  std::vector<std::string> also_read{};

  /// From settings. @param salts  "align=2026-11, fetch=b"; the last '=' of a pair parts it
  /// @param also_read  "acme/main, acme"
  /// @error invalid_argument: no account, no UTF-8, no pair of that form, or more than 8 accounts
  [[nodiscard]] static Result<KeySpace> parse(std::string account, std::string salt,
                                              std::string_view salts,
                                              std::string_view also_read = {});

  /// The keys of the same work in the accounts that are read, too, in their order. The material is
  /// done, for the own account.
  [[nodiscard]] std::vector<Key> keys_elsewhere(Material material) const;

  /// Puts the account and the salts into a material that is otherwise done; its own salt stays in
  /// it. Without salts of an operator, this only sets the account.
  void apply_to(Material& material) const;

  bool operator==(const KeySpace&) const = default;
};

/// A material's salt for people: text as it is, several of them one after the other with whose
/// they are.
[[nodiscard]] std::string shown_salt(std::string_view salt);

}  // namespace reprise
