// How nodes tell each other that results they keep copies of are not to be used any more.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "core/cache_key.hpp"
#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cache {

class InvalidationLog {
 public:
  struct News {
    /// What was committed under a key at this moment or before is not to be used.
    std::unordered_map<Key, Time> until{};
    /// What was invalidated before this moment is not told any more: older copies have to be
    /// confirmed by the shared store. None: everything is told.
    std::optional<Time> horizon{};
    std::string position{};  // to go on from
  };

  virtual ~InvalidationLog() = default;

  /// From now on there is no result under these keys in the shared store, what is computed at the
  /// moment is not kept there, and all nodes are told. What was stays in the history.
  /// @error unavailable, denied, exhausted. Blocks.
  virtual Status invalidate(std::span<const Key> keys, Time now) = 0;
  /// What was told since `position`; empty = since the beginning.
  /// @error unavailable, denied, corrupt. Blocks.
  [[nodiscard]] virtual Result<News> read(const std::string& position) = 0;
};

}  // namespace reprise::cache
