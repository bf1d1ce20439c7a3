// What the cache keeps of an attempt's result.
#pragma once

#include <string>
#include <string_view>

#include "cache/store.hpp"
#include "flow/attempt.hpp"
#include "scheduler/events.hpp"

namespace reprise::actors {

/// @param label  name of the element of a mapped task; empty: its index
/// @param map_index  -1: no element
[[nodiscard]] cache::Commit commit_of(const RunContext& context, NodeId node,
                                      std::string_view label, std::int32_t map_index,
                                      const Key& key, Payload value, Duration cost);

[[nodiscard]] cache::Commit commit_of(const scheduler::Keep& keep);

/// The task as shown, and as commits name it: "align", "align[s1]".
[[nodiscard]] std::string display_name(const RunContext& context, NodeId node,
                                       std::string_view label, std::int32_t map_index);

}  // namespace reprise::actors
