#include "actors/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cache/candidates.hpp"
#include "cache/horizon.hpp"
#include "cache/reading.hpp"
#include "cache/value_files.hpp"
#include "flow/file_parameters.hpp"
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
  const std::function<std::optional<bool>(const FileValue&)>& has_file;
  cache::CandidateSearch search;
  cache::Explainer explainer;
  std::map<TaskId, Prediction> predictions{};

  // Why a result is of no use: a file of it is damaged, or not here. What the shared store gives
  // can be had from there.
  [[nodiscard]] std::optional<cache::Miss> loss_of(const Payload& value, cache::Tier tier) const {
    if (!has_file) return std::nullopt;
    for (const FileValue& file : cache::files_in(value)) {
      const auto is_right = has_file(file);
      if (is_right && !*is_right) return cache::Miss::corrupt;
      if (!is_right && tier != cache::Tier::redis) return cache::Miss::evicted;
    }
    return std::nullopt;
  }
};

std::string shown_name(const Attempt& attempt) {
  const std::string& name = attempt.context->flow->nodes[attempt.node.value].name;
  if (attempt.map_index < 0) return name;
  return fmt::format("{}[{}]", name,
                     attempt.label.empty() ? std::to_string(attempt.map_index) : attempt.label);
}

// As the run finds it: what speaks of files that are gone is of no use, and as of a moment there is
// nothing else.
Result<std::vector<cache::Found>> look_up(Findings& findings,
                                          const std::vector<cache::Query>& queries) {
  if (!findings.as_of) {
    auto found = findings.store.search(queries, findings.at);
    if (!found) return found;
    for (cache::Found& each : *found)
      if (each.record)
        if (const auto loss = findings.loss_of(each.record->value, each.tier))
          each = {std::nullopt, each.tier, *loss};
    return found;
  }
  std::vector<Key> keys;
  for (const cache::Query& query : queries) keys.push_back(query.key);
  auto answers = findings.store.look_up_as_of(keys, *findings.as_of);
  if (!answers) return tl::unexpected(answers.error());
  std::vector<cache::Found> found;
  for (cache::PastAnswer& answer : *answers) {
    if (answer.horizon)
      return tl::unexpected(cache::past_horizon(*findings.as_of, *answer.horizon));
    if (answer.record && findings.loss_of(answer.record->value, cache::Tier::local))
      return fail(ErrorCode::not_found,
                  fmt::format("there was a result at {}, and a file of it is gone",
                              to_rfc3339(*findings.as_of)));
    found.push_back({std::move(answer.record)});
  }
  return found;
}

// What the store knows of a miss, and the history that it is explained with does not.
void correct(cache::MissExplanation& miss, cache::Miss fate) {
  if (fate == cache::Miss::corrupt) miss.reason = "corrupt";
  if (fate == cache::Miss::evicted) miss.reason = "evicted";
  if (fate == cache::Miss::invalidated && miss.last) miss.reason = "invalidated";
}

// With arguments, or where the key leaves them out.
Result<std::optional<Material>> material_of(const Attempt& attempt, Findings& findings,
                                            bool has_arguments) {
  if (!has_arguments) return worker::material_without_arguments(attempt, findings.space);
  auto material = worker::material_of(attempt, findings.hasher, findings.space);
  if (!material) return tl::unexpected(material.error());
  return std::optional(*std::move(material));
}

/// Keys of the attempts and their records; a task without a key is a miss.
/// @param has_arguments  false: nobody knows them yet, and only keys that leave them out are asked
Result<scheduler::LookedUp> answer(const std::vector<Attempt>& attempts, Findings& findings,
                                   bool has_arguments = true) {
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
    auto made = material_of(attempt, findings, has_arguments);
    if (!made) {
      prediction.reason = "uncacheable:" + made.error().message;
      continue;
    }
    if (!*made) {
      prediction.reason = "upstream";
      continue;
    }
    Material* const material = &**made;
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
    const cache::Query query = cache::query_of(policy, *each.key, attempt.context->run);
    if (cache::has_candidates(policy)) {
      auto record =
          findings.search.valid(worker::shared_name(attempt.context->flow->kind_of(attempt.node)),
                                *material, query, policy.validator);
      if (!record) return tl::unexpected(record.error());
      if (*record && !findings.loss_of((*record)->value, cache::Tier::local)) {
        prediction.outcome = Prediction::Outcome::hit;
        prediction.reason = "local";
        prediction.origin = (*record)->run;
        prediction.key = each.key = (*record)->key;
        each.value = std::move((*record)->value);
        continue;
      }
    }
    queries.push_back(query);
    policies.push_back(&policy);
    asked.emplace_back(event.answers.size() - 1, std::move(*material));
  }
  auto records = look_up(findings, queries);
  if (!records) return tl::unexpected(records.error());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    scheduler::Answer& each = event.answers[asked[i].first];
    Prediction& prediction = findings.predictions[each.attempt.task];
    const Time moment = findings.as_of.value_or(findings.at);
    auto& record = (*records)[i].record;
    if (!record && !findings.space.also_read.empty()) {
      std::vector<cache::Query> elsewhere;
      for (const Key& key : findings.space.keys_elsewhere(asked[i].second))
        elsewhere.push_back(cache::query_of(*policies[i], key, {}));
      auto others = look_up(findings, elsewhere);
      if (!others) return tl::unexpected(others.error());
      for (cache::Found& other : *others)
        if (other.record && cache::use_of(*policies[i], *other.record, moment) == cache::Use::hit) {
          prediction.key = each.key = other.record->key;
          record = std::move(other.record);
          (*records)[i].tier = other.tier;
          break;
        }
    }
    const auto use = record ? cache::use_of(*policies[i], *record, moment) : cache::Use::fallback;
    auto failure = use == cache::Use::failure ? KeptFailure::decode(record->value)
                                              : Result<KeptFailure>(KeptFailure{});
    if (use != cache::Use::fallback && failure) {
      prediction.outcome = Prediction::Outcome::hit;
      prediction.reason = use == cache::Use::stale                   ? "stale"
                          : (*records)[i].tier == cache::Tier::redis ? "redis"
                                                                     : "local";
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
    if (!record) correct(*miss, (*records)[i].miss);
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

// Tasks that wait for something that runs, and would be looked up once it is there, whatever it
// gives: nothing else decides about them.
std::vector<Attempt> waiting_only(const scheduler::Run& run,
                                  const std::shared_ptr<const RunContext>& context) {
  std::vector<Attempt> waiting;
  const FlowSpec& flow = *context->flow;
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n) {
    if (run.state(TaskId{n}) != TaskState::pending) continue;
    const TaskKind& kind = flow.kind_of(NodeId{n});
    const auto inputs = flow.inputs_of(NodeId{n});
    const bool is_alone =
        std::none_of(inputs.begin(), inputs.end(), [](const Input& input) { return input.mapped; });
    if (!kind.cache.enabled || !is_alone || kind.reduce_fanin > 0 || !kind.when.empty() ||
        !kind.hooks.empty() || !kind.target.text.empty() ||
        kind.trigger.kind != Trigger::Kind::all_successful)
      continue;
    Attempt& attempt = waiting.emplace_back();
    attempt.context = context;
    attempt.task = TaskId{n};
    attempt.node = NodeId{n};
    attempt.map_index = -1;
  }
  return waiting;
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
  const auto file_at = [&](const std::filesystem::path& path) -> Result<FileValue> {
    const auto place = place_of(*flow, path);
    if (!place) return tl::unexpected(place.error());
    return hasher.hash(*place);
  };
  if (Status put = put_files(*flow, *parameters, file_at); !put) return tl::unexpected(put.error());
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
                    request.has_file,
                    cache::CandidateSearch(store, moment, request.as_of.has_value()),
                    cache::Explainer(store, moment)};
  const auto& usual = request.usual;
  scheduler::Scheduler core{unlimited_slots};
  const scheduler::RunIndex index{0};
  scheduler::Effects effects =
      core.handle(scheduler::Submit{index, context, {}, false, false, {}}, at);
  // Dispatched attempts are never reported: what depends on them stays where it is.
  while (!effects.look_ups.empty()) {
    auto event = answer(effects.look_ups, findings);
    if (!event) return tl::unexpected(event.error());
    effects = core.handle(std::move(*event), at);
  }

  const scheduler::Run& run = *core.find(index);
  if (auto asked = answer(waiting_only(run, context), findings, false); !asked)
    return tl::unexpected(asked.error());

  Plan plan;
  plan.nodes.resize(flow->nodes.size());
  for (std::uint32_t n = 0; n < flow->nodes.size(); ++n) plan.nodes[n].node = NodeId{n};
  for (std::uint32_t t = 0; t < run.task_count(); ++t) {
    const TaskId task{t};
    const TaskState state = run.state(task);
    if (state == TaskState::mapped) continue;
    NodePlan& node = plan.nodes[run.node_of(task).value];
    const auto found = findings.predictions.find(task);
    // A remembered failure, or one of those that only wait.
    const bool is_hit = found != findings.predictions.end() &&
                        found->second.outcome == Prediction::Outcome::hit &&
                        (is_failed(state) || state == TaskState::pending);
    if (request.explain)
      plan.predictions.push_back(found != findings.predictions.end()
                                     ? std::move(found->second)
                                     : unasked(run, task, run.shown_name(task)));
    ++node.tasks;
    if (state == TaskState::cached || is_hit)
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
