#include "bench/flows.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/assert.hpp"

namespace reprise::bench {

std::shared_ptr<const FlowSpec> finish(FlowBuilder builder) {
  auto flow = std::move(builder).finish();
  REPRISE_ASSERT(flow.has_value(), flow.error().message);
  flow->nodes.shrink_to_fit();
  flow->inputs.shrink_to_fit();
  return std::make_shared<const FlowSpec>(*std::move(flow));
}

TaskKind no_op() {
  TaskKind kind;
  kind.cache_name = "trace.noop";
  kind.body = FunctionBody{"trace.noop@1"};
  return kind;
}

std::shared_ptr<const FlowSpec> no_ops(std::size_t count, bool chained) {
  FlowBuilder builder("no-ops");
  const std::uint32_t index = builder.add_kind(no_op());
  NodeId last;
  for (std::size_t i = 0; i < count; ++i) {
    const NodeId node = builder.add_node(fmt::format("n{}", i), index);
    if (chained && i > 0) builder.add_state_only(last);
    last = node;
  }
  return finish(std::move(builder));
}

std::shared_ptr<const FlowSpec> mapped(std::size_t count, bool texts) {
  FlowBuilder builder("mapped");
  const auto kind = builder.add_kind(no_op());
  List list;
  for (std::size_t i = 0; i < count; ++i)
    list.push_back(texts ? Value{fmt::format("s{}", i)} : Value{static_cast<std::int64_t>(i)});
  builder.add_node("all", kind);
  builder.add_constant("x", *Payload::of(Value{std::move(list)}), {.mapped = true});
  return finish(std::move(builder));
}

std::shared_ptr<const FlowSpec> sleeps_and_tree(std::size_t count) {
  constexpr std::size_t fan_in = 4;
  FlowBuilder builder("sleep-and-sum");
  TaskKind sleep;
  sleep.cache_name = "trace.sleep";
  sleep.body = FunctionBody{"trace.sleep@1"};
  sleep.signature = {{{"seconds", "f64"}}, {{"result", "nil"}}};
  const auto sleeping = builder.add_kind(std::move(sleep));
  const auto summing = builder.add_kind(no_op());
  const Payload millisecond = *Payload::of(Value{1e-3});
  std::vector<NodeId> level;
  for (std::size_t i = 0; i < count; ++i) {
    level.push_back(builder.add_node(fmt::format("s{}", i), sleeping));
    builder.add_constant("seconds", millisecond);
  }
  for (int depth = 0; level.size() > 1; ++depth) {
    std::vector<NodeId> above;
    for (std::size_t i = 0; i < level.size(); i += fan_in) {
      above.push_back(builder.add_node(fmt::format("r{}.{}", depth, i / fan_in), summing));
      for (std::size_t j = i; j < std::min(i + fan_in, level.size()); ++j)
        builder.add_upstream("values", level[j], {.gathered = true});
    }
    level = std::move(above);
  }
  return finish(std::move(builder));
}

}  // namespace reprise::bench
