// What a reader's policy makes of what is kept under a key. Pure.
#pragma once

#include <optional>

#include "cache/store.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::cache {

/// What a task with this policy asks the store for.
/// @param reader  the run that it is in
[[nodiscard]] Query query_of(const CachePolicy& policy, const Key& key, const RunId& reader);

/// What becomes of a record that the store gave to such a query.
enum class Use : std::uint8_t {
  hit,
  stale,     // serve it at once, and compute it anew behind it
  fallback,  // compute it anew, and serve it if that fails
  failure,   // a remembered failure: fail like that
};
[[nodiscard]] Use use_of(const CachePolicy& policy, const Record& record, Time now);

/// Until when a result may stand in for one that cannot be computed anew.
[[nodiscard]] Time fallback_until(const CachePolicy& policy, const Record& record);

/// Where hits prolong a result's life (`sliding`): what to commit for this hit. None where that
/// would gain less than a 64th of its life, so that hits in a row are not as many writes.
[[nodiscard]] std::optional<Commit> prolonged(const CachePolicy& policy, const Record& record,
                                              Time now);

}  // namespace reprise::cache
