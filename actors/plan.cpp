#include "actors/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cache/candidates.hpp"
#include "cache/horizon.hpp"
#include "cache/reading.hpp"
#include "scheduler/scheduler.hpp"
#include "worker/target.hpp"

namespace reprise {

namespace {

constexpr std::uint32_t unlimited_slots = 1u << 30;

// What is found out on the way, by task.
struct Findings {
  cache::Store& store;
  worker::FileHasher& hasher;
  Time at;
  std::optional<Time> as_of;
  bool explain = false;
  const KeySpace& space;
  cache::CandidateSearch search;
  cache::Explainer explainer;
  std::map<TaskId, Prediction> predictions{};
};

std::string shown_name(const Attempt& attempt) {
  const std::string& name = attempt.context->flow->nodes[attempt.node.value].name;
  if (attempt.map_index < 0) return name;
  return fmt::format("{}[{}]", name,
                     attempt.label.empty() ? std::to_string(attempt.map_index) : attempt.label);
}

Result<std::vector<std::optional<cache::Record>>> look_up(
    Findings& findings, const std::vector<cache::Query>& queries) {
  if (!findings.as_of) return findings.store.find(queries, findings.at);
  std::vector<Key> keys;
  for (const cache::Query& query : queries) keys.push_back(query.key);
  auto answers = findings.store.look_up_as_of(keys, *findings.as_of);
  if (!answers) return tl::unexpected(answers.error());
  std::vector<std::optional<cache::Record>> records;
  for (cache::PastAnswer& answer : *answers) {
    if (answer.horizon)
      return tl::unexpected(cache::past_horizon(*findings.as_of, *answer.horizon));
    records.push_back(std::move(answer.record));
  }
  return records;
}

/// Keys of the attempts and their records; a task without a key is a miss.
Result<scheduler::LookedUp> answer(const std::vector<Attempt>& attempts, Findings& findings) {
  scheduler::LookedUp event;
  std::vector<cache::Query> queries;
  std::vector<const CachePolicy*> policies;             // of the queries
  std::vector<std::pair<std::size_t, Material>> asked;  // position in answers
  for (const Attempt& attempt : attempts) {
    scheduler::Answer& each = event.answers.emplace_back();
    each.attempt = {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
    Prediction& prediction = findings.predictions[attempt.task];
    prediction.task = shown_name(attempt);
    prediction.node = attempt.node;
    if (worker::has_target(attempt)) {
      const auto path = worker::target_path(attempt);
      auto found = path ? worker::read_target(attempt, *path,
                                              [&](const std::filesystem::path& file) {
                                                return findings.hasher.hash(file);
                                              })
                        : Result<std::optional<Payload>>(tl::unexpected(path.error()));
      if (found && *found) {
        prediction.reason = "target";
        prediction.outcome = Prediction::Outcome::hit;
        each.value = **std::move(found);
      }
      continue;
    }
    Result<Material> material = worker::material_of(attempt, findings.hasher, findings.space);
    if (!material) {
      prediction.reason = "uncacheable:" + material.error().message;
      continue;
    }
    each.key = prediction.key = Key::of(*material);
    const CachePolicy& policy = attempt.context->flow->kind_of(attempt.node).cache;
    if (!worker::looks_up(attempt.context->cache, policy)) {
      prediction.reason = "refresh";
      continue;
    }
    if (policy.validator == Validator::custom) {
      prediction.reason = "validator";  // user code, which nobody asks for a plan
      continue;
    }
    if (cache::has_candidates(policy)) {
      auto record =
          findings.search.valid(worker::shared_name(attempt.context->flow->kind_of(attempt.node)),
                                *material, *each.key, policy);
      if (!record) return tl::unexpected(record.error());
      if (*record) {
        prediction.outcome = Prediction::Outcome::hit;
        prediction.reason = "local";
        prediction.origin = (*record)->run;
        prediction.key = each.key = (*record)->key;
        each.value = std::move((*record)->value);
        continue;
      }
    }
    queries.push_back(cache::query_of(policy, *each.key));
    policies.push_back(&policy);
    asked.emplace_back(event.answers.size() - 1, *std::move(material));
  }
  auto records = look_up(findings, queries);
  if (!records) return tl::unexpected(records.error());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    scheduler::Answer& each = event.answers[asked[i].first];
    Prediction& prediction = findings.predictions[each.attempt.task];
    const Time moment = findings.as_of.value_or(findings.at);
    auto& record = (*records)[i];
    if (!record && !findings.space.also_read.empty()) {
      std::vector<cache::Query> elsewhere;
      for (const Key& key : findings.space.keys_elsewhere(asked[i].second))
        elsewhere.push_back(cache::query_of(*policies[i], key));
      auto others = look_up(findings, elsewhere);
      if (!others) return tl::unexpected(others.error());
      for (auto& other : *others)
        if (other && cache::use_of(*policies[i], *other, moment) == cache::Use::hit) {
          prediction.key = each.key = other->key;
          record = std::move(other);
          break;
        }
    }
    const auto use = record ? cache::use_of(*policies[i], *record, moment) : cache::Use::fallback;
    auto failure = use == cache::Use::failure ? KeptFailure::decode(record->value)
                                              : Result<KeptFailure>(KeptFailure{});
    if (use != cache::Use::fallback && failure) {
      prediction.outcome = Prediction::Outcome::hit;
      prediction.reason = use == cache::Use::stale ? "stale" : "local";
      prediction.origin = record->run;
      if (use == cache::Use::failure)
        each.failure = scheduler::RememberedFailure{*std::move(failure), record->expires};
      else
        each.value = std::move(record->value);
      continue;
    }
    if (!findings.explain) continue;
    auto miss = findings.explainer.miss(asked[i].second, queries[i].key, prediction.task,
                                        queries[i].max_age);
    if (!miss) return tl::unexpected(miss.error());
    prediction.reason = miss->reason;
    prediction.miss = *std::move(miss);
  }
  return event;
}

// What is told of a task that was not looked up.
Prediction unasked(const scheduler::Run& run, TaskId task, const std::string& name) {
  const TaskKind& kind = run.context().flow->kind_of(run.node_of(task));
  Prediction prediction;
  prediction.task = name;
  prediction.node = run.node_of(task);
  const TaskState state = run.state(task);
  if (state == TaskState::skipped)
    prediction.outcome = Prediction::Outcome::skip;
  else if (is_failed(state))
    return prediction;  // it fails before anything is looked up
  else if (!kind.cache.enabled)
    prediction.reason = "off";
  else
    prediction.reason = "upstream";
  return prediction;
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
                       const PlanRequest& request) {
  if (const Status good = check(*flow); !good) return tl::unexpected(good.error());
  auto parameters = bind_parameters(*flow, given);
  if (!parameters) return tl::unexpected(parameters.error());
  auto context = std::make_shared<RunContext>();
  context->flow = flow;
  context->parameters = std::move(*parameters);
  context->cache = CacheMode::read_only;

  const Time at = now();
  const Time moment = request.as_of.value_or(at);
  Findings findings{store,
                    hasher,
                    at,
                    request.as_of,
                    request.explain,
                    request.space,
                    cache::CandidateSearch(store, moment, request.as_of.has_value()),
                    cache::Explainer(store, moment)};
  const auto& usual = request.usual;
  scheduler::Scheduler core{unlimited_slots};
  const scheduler::RunIndex index{0};
  scheduler::Effects effects =
      core.handle(scheduler::Submit{index, std::move(context), {}, false, false, {}}, at);
  // Dispatched attempts are never reported: what depends on them stays where it is.
  while (!effects.look_ups.empty()) {
    auto event = answer(effects.look_ups, findings);
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
    const auto found = findings.predictions.find(task);
    const bool is_remembered_failure = is_failed(state) && found != findings.predictions.end() &&
                                       found->second.outcome == Prediction::Outcome::hit;
    if (request.explain)
      plan.predictions.push_back(found != findings.predictions.end()
                                     ? std::move(found->second)
                                     : unasked(run, task, run.shown_name(task)));
    ++node.tasks;
    if (state == TaskState::cached || is_remembered_failure)
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
