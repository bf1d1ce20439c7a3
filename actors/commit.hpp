// What the cache keeps of an attempt's result.
#pragma once

#include "cache/store.hpp"
#include "flow/attempt.hpp"

namespace reprise::actors {

/// @param map_index  of an element of a mapped task; -1: none
[[nodiscard]] cache::Commit commit_of(const RunContext& context, NodeId node,
                                      std::int32_t map_index, const Key& key, Payload value,
                                      Duration cost);

}  // namespace reprise::actors
