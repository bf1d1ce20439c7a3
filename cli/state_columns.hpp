// Where the tasks of a group are, in the columns that people see.
#pragma once

#include <cstdint>

#include "cli/console.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

struct StateColumns {
  std::uint64_t success = 0;  // without those from the cache
  std::uint64_t cached = 0, failed = 0, running = 0, waiting = 0, cancelled = 0, skipped = 0;

  [[nodiscard]] std::uint64_t total() const {
    return success + cached + failed + running + waiting + cancelled + skipped;
  }
};

/// @param cached  how many of the successes came from the cache
[[nodiscard]] StateColumns columns_of(const journal::StateCounts& states, std::uint64_t cached);
[[nodiscard]] Json columns_json(const StateColumns& columns);

}  // namespace reprise::cli
