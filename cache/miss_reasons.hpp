// Why look-ups missed, for counting: the reasons of cache/explain.hpp from what is remembered of
// the newest results of each name, so that a miss costs no question to the store but the first of
// its name.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/explain.hpp"
#include "cache/store.hpp"

namespace reprise::cache {

class MissReasons {
 public:
  /// Newest results of one name that are compared with; `cache explain` looks at more.
  static constexpr std::uint32_t neighbours = 16;
  static constexpr std::size_t names_most = 4096;

  explicit MissReasons(Store& store) : store_(store) {}

  /// Without what follows a colon: "arg", not "arg:reads".
  /// @param fate  what the store said. Blocks.
  [[nodiscard]] std::string of(const Material& now, const Key& key, std::string_view task,
                               Miss fate, Time at);
  /// A result with this material is kept from now on.
  void kept(std::string_view task, const std::string& material);

 private:
  Store& store_;
  std::unordered_map<std::string, std::vector<Neighbour>> by_name_;  // newest first
};

}  // namespace reprise::cache
