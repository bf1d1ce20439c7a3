#include "actors/commit.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>

namespace reprise::actors {

cache::Commit commit_of(const RunContext& context, NodeId node, std::string_view label,
                        std::int32_t map_index, const Key& key, Payload value, Duration cost) {
  const TaskKind& kind = context.flow->kind_of(node);
  cache::Commit commit;
  commit.key = key;
  commit.name = kind.cache_name;
  commit.value = std::move(value);
  commit.expires_after = kind.cache.expires_after;
  commit.run = context.run;
  commit.task = context.flow->nodes[node.value].name;
  if (map_index >= 0)
    commit.task +=
        fmt::format("[{}]", label.empty() ? std::to_string(map_index) : std::string(label));
  commit.cost = cost;
  return commit;
}

}  // namespace reprise::actors
