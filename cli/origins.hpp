// Who made what a run took from the cache.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/cache_key.hpp"
#include "journal/journal.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

/// Reads each run that is asked about once.
class Origins {
 public:
  explicit Origins(journal::Journal& journal) : journal_(journal) {}

  struct Producer {
    TaskId task;
    std::uint32_t attempt = 0;
    Duration duration{0};
  };
  /// Of a hit. nullptr: the run is gone, or knows nothing of it.
  [[nodiscard]] const Producer* find(const journal::ChangeDetail& hit);

 private:
  using ByKey = std::unordered_map<Key, Producer>;
  [[nodiscard]] ByKey load(const RunId& run);

  journal::Journal& journal_;
  std::map<RunId, ByKey> known_;
};

}  // namespace reprise::cli
