#include "actors/commit.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "flow/cache_life.hpp"
#include "worker/material.hpp"

namespace reprise::actors {

std::string display_name(const RunContext& context, NodeId node, std::string_view label,
                         std::int32_t map_index) {
  std::string task = context.flow->nodes[node.value].name;
  if (map_index >= 0)
    task += fmt::format("[{}]", label.empty() ? std::to_string(map_index) : std::string(label));
  return task;
}

cache::Commit commit_of(const RunContext& context, NodeId node, std::string_view label,
                        std::int32_t map_index, const Key& key, Payload value, Duration cost) {
  const TaskKind& kind = context.flow->kind_of(node);
  cache::Commit commit;
  commit.key = key;
  commit.name = worker::shared_name(kind);
  commit.value = std::move(value);
  commit.expires_after = lifetime(kind.cache, key, context.run);
  commit.anew = kind.cache.life.max_age.has_value();
  commit.run = context.run;
  commit.task = display_name(context, node, label, map_index);
  commit.cost = cost;
  return commit;
}

cache::Commit commit_of(const scheduler::Keep& keep) {
  cache::Commit commit = commit_of(*keep.context, keep.node, keep.label, keep.map_index, keep.key,
                                   keep.value, keep.cost);
  if (!keep.is_failure) return commit;
  const std::optional<FailureCaching>& failures =
      keep.context->flow->kind_of(keep.node).cache.life.failures;
  commit.status = cache::VersionStatus::negative;
  commit.expires_after = failures ? failures->lasts : Duration{0};
  commit.anew = false;
  return commit;
}

}  // namespace reprise::actors
