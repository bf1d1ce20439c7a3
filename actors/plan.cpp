#include "actors/plan.hpp"

#include <algorithm>

#include "scheduler/scheduler.hpp"

namespace reprise {

namespace {

constexpr std::uint32_t unlimited_slots = 1u << 30;

/// Keys of the attempts and their records; a task without a key is a miss.
Result<scheduler::LookedUp> answer(const std::vector<Attempt>& attempts, cache::Store& store,
                                   worker::FileHasher& hasher, Time at) {
  scheduler::LookedUp event;
  std::vector<Key> keys;
  std::vector<std::size_t> positions;
  for (const Attempt& attempt : attempts) {
    scheduler::Answer& each = event.answers.emplace_back();
    each.attempt = {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
    const Result<Material> material = worker::material_of(attempt, hasher);
    if (!material) continue;
    each.key = Key::of(*material);
    keys.push_back(*each.key);
    positions.push_back(event.answers.size() - 1);
  }
  auto records = store.look_up(keys, at);
  if (!records) return tl::unexpected(records.error());
  for (std::size_t i = 0; i < keys.size(); ++i)
    if ((*records)[i]) event.answers[positions[i]].value = std::move((*records)[i]->value);
  return event;
}

// Longest way through the nodes that would run.
Duration critical_path(const FlowSpec& flow, const std::vector<NodePlan>& nodes,
                       const std::map<std::string, Duration>& usual) {
  std::vector<Duration> ending(flow.nodes.size());
  const scheduler::FlowGraph graph(flow);
  std::vector<std::uint32_t> waiting(flow.nodes.size());
  std::vector<std::uint32_t> order;
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n)
    if ((waiting[n] = graph.indegree(NodeId{n})) == 0) order.push_back(n);
  Duration longest{0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t n = order[i];
    if (nodes[n].run > 0)
      if (const auto known = usual.find(flow.nodes[n].name); known != usual.end())
        ending[n] += known->second;
    longest = std::max(longest, ending[n]);
    for (const scheduler::Edge& edge : graph.downstream(NodeId{n})) {
      ending[edge.to.value] = std::max(ending[edge.to.value], ending[n]);
      if (--waiting[edge.to.value] == 0) order.push_back(edge.to.value);
    }
  }
  return longest;
}

}  // namespace

Result<Plan> make_plan(std::shared_ptr<const FlowSpec> flow, const Parameters& given,
                       cache::Store& store, worker::FileHasher& hasher,
                       const std::map<std::string, Duration>& usual) {
  if (const Status good = check(*flow); !good) return tl::unexpected(good.error());
  auto parameters = bind_parameters(*flow, given);
  if (!parameters) return tl::unexpected(parameters.error());
  auto context = std::make_shared<RunContext>();
  context->flow = flow;
  context->parameters = std::move(*parameters);
  context->cache = CacheMode::read_only;

  const Time at = now();
  scheduler::Scheduler core{unlimited_slots};
  const scheduler::RunIndex index{0};
  scheduler::Effects effects =
      core.handle(scheduler::Submit{index, std::move(context), {}, false, false, {}}, at);
  // Dispatched attempts are never reported: what depends on them stays where it is.
  while (!effects.look_ups.empty()) {
    auto event = answer(effects.look_ups, store, hasher, at);
    if (!event) return tl::unexpected(event.error());
    effects = core.handle(std::move(*event), at);
  }

  Plan plan;
  plan.nodes.resize(flow->nodes.size());
  for (std::uint32_t n = 0; n < flow->nodes.size(); ++n) plan.nodes[n].node = NodeId{n};
  const scheduler::Run& run = *core.find(index);
  for (std::uint32_t t = 0; t < run.task_count(); ++t) {
    const TaskId task{t};
    const TaskState state = run.state(task);
    if (state == TaskState::mapped) continue;
    NodePlan& node = plan.nodes[run.node_of(task).value];
    ++node.tasks;
    if (state == TaskState::cached)
      ++node.cached;
    else if (state == TaskState::skipped)
      ++node.skipped;
    else
      ++node.run;
    if (state != TaskState::cached) {
      const auto inputs = flow->inputs_of(node.node);
      node.width_unknown =
          t < flow->nodes.size() && !is_finished(state) &&
          std::any_of(inputs.begin(), inputs.end(), [](const Input& i) { return i.mapped; });
    }
  }
  for (const NodePlan& node : plan.nodes) {
    plan.tasks += node.tasks;
    plan.cached += node.cached;
    plan.run += node.run;
    plan.skipped += node.skipped;
    if (const auto known = usual.find(flow->nodes[node.node.value].name); known != usual.end())
      plan.saving += known->second * node.cached;
  }
  plan.critical_path = critical_path(*flow, plan.nodes, usual);
  return plan;
}

}  // namespace reprise
