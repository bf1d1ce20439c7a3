// Keys that only those have who may publish results to others: what was written by somebody else,
// or moved from another key, is told by its message authentication code.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reprise::cache {

/// HMAC-SHA256. Several keys, so that they can be changed while nodes run: the first one signs, and
/// what any of them signed is good.
class MacKeys {
 public:
  /// Of a key's name, 8 bytes of H("mac-key", key), and the code.
  static constexpr std::size_t mac_bytes = 8 + 32;

  /// One key per line, 64 hex digits or more; empty lines and what follows a '#' do not count.
  /// @error invalid_argument: anything else, or no key
  [[nodiscard]] static Result<MacKeys> parse(std::string_view text);
  /// @error not_found, denied, io; invalid_argument: as parse(), or others may read the file
  [[nodiscard]] static Result<MacKeys> read(const std::filesystem::path& file);

  [[nodiscard]] std::string sign(std::string_view message) const;
  /// Takes as long for every wrong one.
  [[nodiscard]] bool is_good(std::string_view mac, std::string_view message) const;

 private:
  struct Key {
    std::string name;
    std::string bytes;
  };
  std::vector<Key> keys_;
};

}  // namespace reprise::cache
