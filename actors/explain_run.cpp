#include "actors/explain_run.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "core/value.hpp"
#include "flow/parameter_uses.hpp"
#include "scheduler/scheduler.hpp"

namespace reprise {

namespace {

using journal::CacheOutcome;
using journal::RunRow;
using journal::RunView;

constexpr std::size_t small_value_bytes = 64;
constexpr std::size_t elements_named = 5;

// ---- the attempt as it was --------------------------------------------------------------------

/// The run's changes without those of `task`, with every value at hand.
Result<std::vector<journal::Batch>> past_without(const ExplainSources& sources, const RunRow& row,
                                                 TaskId task) {
  auto entries = sources.journal.read(row.id, 0);
  if (!entries) return tl::unexpected(entries.error());
  std::vector<journal::Batch> past;
  for (journal::Journal::Entry& entry : *entries) {
    entry.batch.change.reset();
    std::erase_if(entry.batch.tasks, [&](const auto& change) { return change.task == task; });
    for (journal::TaskChange& change : entry.batch.tasks) {
      if (change.result.is_none() || change.result.is_at_hand()) continue;
      if (sources.blobs == nullptr) return fail(ErrorCode::not_found, "a value is not at hand");
      auto value = sources.blobs->get_value(change.result.digest);
      if (!value) return tl::unexpected(value.error());
      change.result = *std::move(value);
    }
    past.push_back(std::move(entry.batch));
  }
  return past;
}

/// What the key of the task is made of, worked out anew by the same scheduler as in the run.
Result<Material> material_anew(const ExplainSources& sources, const RunRow& row,
                               const RunView& view, TaskId task) {
  auto past = past_without(sources, row, task);
  if (!past) return tl::unexpected(past.error());
  auto options = actors::decode_options(row.options);
  if (!options) return tl::unexpected(options.error());
  auto context = std::make_shared<RunContext>();
  context->run = row.id;
  context->flow = view.shared_flow();
  context->parameters = row.parameters;
  context->cache = CacheMode::read_only;
  context->started = row.submitted;
  context->context = options->context;
  context->files = options->files;
  scheduler::Scheduler core{1u << 30};
  options->shape.start_at.reset();
  const auto effects = core.handle(scheduler::Submit{scheduler::RunIndex{0},
                                                     std::move(context),
                                                     std::move(*past),
                                                     true,
                                                     false,
                                                     {},
                                                     std::move(options->shape)},
                                   now());
  for (const Attempt& attempt : effects.look_ups)
    if (attempt.task == task) return worker::material_of(attempt, sources.hasher, sources.space);
  return fail(ErrorCode::not_found, "the task cannot be worked out again");
}

Result<std::optional<Material>> material_kept(cache::Store& store, const Key& key) {
  auto versions = store.versions(key.text());
  if (!versions) return tl::unexpected(versions.error());
  for (const cache::Record& record : *versions) {
    if (record.material.empty()) continue;
    if (auto material = Material::decode(record.material)) return *material;
  }
  return std::optional<Material>();
}

// ---- causes -----------------------------------------------------------------------------------

/// Everything known of one of two runs.
struct Side {
  const FlowSpec& flow;
  const Parameters& parameters;
  const RunView* view;  // null: a run that is only planned
};

std::string element_label(const std::string& node, const std::string& task) {
  return task.size() > node.size() ? task.substr(node.size()) : std::string();  // "[s3]"
}

/// The results of an upstream that count for the element: its own one, or all of them.
std::vector<std::pair<std::string, Payload>> results_of(const RunView& view, NodeId upstream,
                                                        const std::string& label) {
  std::vector<std::pair<std::string, Payload>> results;
  const std::string& name = view.flow().nodes[upstream.value].name;
  const RunView::Elements* elements = view.elements_of(upstream);
  if (elements == nullptr) {
    results.emplace_back(name, view.result(TaskId{upstream.value}));
    return results;
  }
  if (!label.empty())
    if (const auto own = view.find_task(name + label)) {
      results.emplace_back(name + label, view.result(*own));
      return results;
    }
  for (std::uint32_t i = 0; i < elements->width; ++i) {
    const TaskId element{elements->first.value + i};
    results.emplace_back(view.task_name(element), view.result(element));
  }
  return results;
}

class CauseFinder {
 public:
  CauseFinder(Side before, Side now, NodeId node, const std::string& task)
      : before_(before),
        now_(now),
        node_(node),
        label_(element_label(now.flow.nodes[node.value].name, task)) {
    const std::string& name = now.flow.nodes[node.value].name;
    for (std::uint32_t n = 0; n < before.flow.nodes.size(); ++n)
      if (before.flow.nodes[n].name == name) old_node_ = NodeId{n};
  }

  void parameters(bool only_for_elements) {
    for (const ParameterUse& use : parameters_read(now_.flow, node_))
      if (use.only_for_elements == only_for_elements) parameter(use.parameter);
  }

  void parameter(std::uint32_t index) {
    const Parameter& parameter = now_.flow.parameters[index];
    const Payload* old = value_of(before_.parameters, parameter.name);
    const Payload* fresh = value_of(now_.parameters, parameter.name);
    if (old != nullptr && fresh != nullptr && *old == *fresh) return;
    add({Cause::Kind::parameter, parameter.name, old ? small_value(*old) : std::string(),
         fresh ? small_value(*fresh) : std::string(), parameter.span});
  }

  void upstreams() {
    for (const Input& input : now_.flow.inputs_of(node_)) {
      if (input.source == Input::Source::upstream || input.source == Input::Source::state_only)
        upstream(NodeId{input.index});
      if (input.source == Input::Source::expression)
        for (NodeId read : now_.flow.expressions[input.index].reads) upstream(read);
    }
  }

  void upstream(NodeId node) {
    if (now_.view == nullptr || before_.view == nullptr) return;
    const std::string& name = now_.flow.nodes[node.value].name;
    std::map<std::string, Payload> old;
    for (std::uint32_t n = 0; n < before_.flow.nodes.size(); ++n)
      if (before_.flow.nodes[n].name == name)
        for (auto& [task, value] : results_of(*before_.view, NodeId{n}, label_))
          old.emplace(task, value);
    std::size_t named = 0;
    for (const auto& [task, value] : results_of(*now_.view, node, label_)) {
      const auto known = old.find(task);
      if (known != old.end() && known->second == value) continue;
      if (++named > elements_named) return;
      add({Cause::Kind::upstream, task,
           known == old.end() ? std::string() : small_value(known->second), small_value(value),
           now_.flow.nodes[node.value].span});
    }
  }

  /// What the flow's author changed in a command.
  void texts() {
    if (old_node_.is_none()) return;
    const auto* old = std::get_if<CommandBody>(&before_.flow.kind_of(old_node_).body);
    const auto* fresh = std::get_if<CommandBody>(&now_.flow.kind_of(node_).body);
    if (old == nullptr || fresh == nullptr) return;
    const auto changed = [&](const std::string& name, const Template& was, const Template& is) {
      if (was.text != is.text) add({Cause::Kind::text, name, was.text, is.text, is.span});
    };
    changed("shell", old->script, fresh->script);
    for (std::size_t i = 0; i < std::max(old->argv.size(), fresh->argv.size()); ++i)
      changed(fmt::format("run[{}]", i), i < old->argv.size() ? old->argv[i] : Template{},
              i < fresh->argv.size() ? fresh->argv[i] : Template{});
  }

  /// The one argument of a function.
  void argument(std::string_view name) {
    for (const Input& input : now_.flow.inputs_of(node_)) {
      if (now_.flow.names[input.name] != name) continue;
      switch (input.source) {
        case Input::Source::parameter:
          parameter(input.index);
          break;
        case Input::Source::upstream:
          upstream(NodeId{input.index});
          break;
        case Input::Source::expression:
          parameters(input.mapped);
          for (NodeId read : now_.flow.expressions[input.index].reads) upstream(read);
          break;
        case Input::Source::constant:
          constant(name, input);
          break;
        case Input::Source::state_only:
          break;
      }
    }
  }

  [[nodiscard]] bool is_empty() const { return causes_.empty(); }
  [[nodiscard]] std::vector<Cause> take() { return std::move(causes_); }

 private:
  static const Payload* value_of(const Parameters& parameters, const std::string& name) {
    const auto found = parameters.find(name);
    return found == parameters.end() ? nullptr : &found->second;
  }

  void constant(std::string_view name, const Input& input) {
    std::string old;
    if (!old_node_.is_none())
      for (const Input& was : before_.flow.inputs_of(old_node_))
        if (was.source == Input::Source::constant && before_.flow.names[was.name] == name)
          old = small_value(before_.flow.constants[was.index]);
    const std::string fresh = small_value(now_.flow.constants[input.index]);
    if (old != fresh)
      add({Cause::Kind::text, std::string(name), old, fresh, now_.flow.nodes[node_.value].span});
  }

  void add(Cause cause) {
    if (std::ranges::find(causes_, cause) == causes_.end()) causes_.push_back(std::move(cause));
  }

  Side before_;
  Side now_;
  NodeId node_;
  NodeId old_node_ = NodeId::none();
  std::string label_;
  std::vector<Cause> causes_;
};

std::optional<RunRow> row_of(journal::Journal& journal, const RunId& run) {
  journal::RunQuery query;
  query.id_prefix = run.text();
  auto rows = journal.runs(query);
  if (!rows || rows->empty()) return std::nullopt;
  return std::move(rows->front());
}

TaskExplanation::Outcome outcome_of(CacheOutcome cache) {
  switch (cache) {
    case CacheOutcome::hit:
      return TaskExplanation::Outcome::hit;
    case CacheOutcome::stored:
    case CacheOutcome::miss:
      return TaskExplanation::Outcome::miss;
    case CacheOutcome::bypass:
      return TaskExplanation::Outcome::bypass;
    case CacheOutcome::none:
      break;
  }
  return TaskExplanation::Outcome::unknown;
}

/// Where a hit came from: what is not said came from the store of the folder.
std::string tier_of(std::string_view message) {
  return std::string(message.starts_with("hit: ") ? message.substr(5) : "local");
}

/// "uncacheable: text is not UTF-8" → "uncacheable:text is not UTF-8", as in the closed list.
std::string bypass_reason(std::string_view message) {
  for (const std::string_view kind : {"uncacheable", "tier_down", "wait_timeout", "oom"}) {
    if (!message.starts_with(kind)) continue;
    const std::size_t colon = message.find(": ");
    if (kind != "uncacheable" || colon == std::string_view::npos) return std::string(kind);
    return fmt::format("{}:{}", kind, message.substr(colon + 2));
  }
  return fmt::format("uncacheable:{}", message);
}

// What the run itself saw: "miss: corrupt: …" → "corrupt".
constexpr std::string_view miss_mark = "miss: ";
std::string lost_as(std::string_view message) {
  if (!message.starts_with(miss_mark)) return {};
  message.remove_prefix(miss_mark.size());
  return std::string(message.substr(0, message.find(':')));
}

Status explain_miss_of(const ExplainSources& sources, const RunRow& row, const RunView& view,
                       TaskId task, Time moment, TaskExplanation& explanation) {
  auto kept = material_kept(sources.store, *explanation.key);
  if (!kept) return tl::unexpected(kept.error());
  std::optional<Material> material = *std::move(kept);
  if (!material) {
    // Its result was not kept, because the task failed, or is not kept any more.
    auto anew = material_anew(sources, row, view, task);
    if (anew) {
      if (Key::of(*anew) != *explanation.key)
        explanation.note = "its inputs have changed since the run";
      material = *std::move(anew);
    } else {
      explanation.note = "what its key was made of is not known any more: " + anew.error().message;
      auto past = sources.store.past_of(*explanation.key, moment);
      if (!past) return tl::unexpected(past.error());
      if (!past->versions.empty() || past->horizon)
        explanation.miss = cache::explain_miss(Material{}, *past, explanation.task, {});
      explanation.reason = explanation.miss.reason;
      return {};
    }
  }
  explanation.parts = cache::part_count(*material);
  cache::Explainer explainer(sources.store, moment);
  auto miss = explainer.miss(*material, *explanation.key, explanation.task,
                             view.flow().kind_of(view.node_of(task)).cache.life.max_age);
  if (!miss) return tl::unexpected(miss.error());
  explanation.miss = *std::move(miss);
  explanation.reason = explanation.miss.reason;
  if (const std::string known = lost_as(view.message(task)); !known.empty()) {
    explanation.reason = known;
    explanation.note = std::string(view.message(task).substr(miss_mark.size()));
  }
  explanation.causes = causes_of(sources.journal, view.flow(), row.parameters, &view,
                                 view.node_of(task), explanation.task, explanation.miss);
  return {};
}

}  // namespace

std::string small_value(const Payload& value) {
  if (value.is_none()) return {};
  if (value.is_at_hand() && value.size <= small_value_bytes)
    if (const auto decoded = value.value()) {
      std::string text = to_json(*decoded);
      if (text.size() <= 2 * small_value_bytes) return text;
    }
  return value.digest.text();
}

std::vector<Cause> causes_of(journal::Journal& journal, const FlowSpec& flow,
                             const Parameters& parameters, const RunView* view, NodeId node,
                             const std::string& task, const cache::MissExplanation& miss) {
  if (!miss.nearest || miss.differences.empty()) return {};
  const auto row = row_of(journal, miss.nearest->record.run);
  if (!row) return {};
  const auto before = journal::load_run(journal, *row);
  if (!before) return {};
  CauseFinder finder({before->flow(), row->parameters, &*before}, {flow, parameters, view}, node,
                     task);
  for (const cache::Difference& difference : miss.differences) {
    const std::string_view reason = difference.reason;
    if (reason.starts_with("param:")) {
      for (std::uint32_t p = 0; p < flow.parameters.size(); ++p)
        if (flow.parameters[p].name == reason.substr(6)) finder.parameter(p);
    } else if (reason == "command" || reason.starts_with("env:") || reason.starts_with("arg:in:") ||
               reason.starts_with("arg:file:")) {
      finder.parameters(false);
      finder.upstreams();
      if (reason == "command") finder.texts();
      if (finder.is_empty()) finder.parameters(true);
    } else if (reason.starts_with("arg:")) {
      finder.argument(reason.substr(4));
    }
  }
  return finder.take();
}

Result<TaskExplanation> explain_task(const ExplainSources& sources, const RunRow& row,
                                     const RunView& view, TaskId task) {
  TaskExplanation explanation;
  explanation.task = view.task_name(task);
  const NodeId node = view.node_of(task);
  if (node.is_none()) return explanation;
  explanation.span = view.flow().nodes[node.value].span;
  explanation.outcome = outcome_of(view.cache(task));
  const journal::ChangeDetail* detail = view.detail(task);
  if (detail != nullptr) explanation.key = detail->key;
  auto options = actors::decode_options(row.options);
  if (!options) return tl::unexpected(options.error());
  const CachePolicy& policy = view.flow().kind_of(node).cache;

  const auto given = options->shape.initial.find(view.flow().nodes[node.value].name);
  const bool is_given = given != options->shape.initial.end() && view.run_count(task) == 0 &&
                        is_success(view.state(task));
  if (is_given && explanation.outcome == TaskExplanation::Outcome::unknown) {
    explanation.outcome = TaskExplanation::Outcome::hit;
    explanation.reason = "pinned";
    explanation.note = std::string(view.message(task));
    return explanation;
  }
  if (explanation.outcome == TaskExplanation::Outcome::hit) {
    explanation.reason =
        detail != nullptr && detail->expired ? "stale" : tier_of(view.message(task));
    if (detail != nullptr) explanation.origin = detail->origin;
    // What happened besides: it was computed anew, in vain or behind it; a failure is remembered.
    if (explanation.reason == "stale" || is_failed(view.state(task)))
      explanation.note = std::string(view.message(task));
    if (!explanation.key) return explanation;
    auto past = sources.store.past_of(*explanation.key, view.changed(task).value_or(now()));
    if (!past) return tl::unexpected(past.error());
    for (const cache::KeyPast::Version& version : past->versions)
      if (explanation.origin && version.record.run == *explanation.origin) {
        explanation.record = version.record;
        break;
      }
    return explanation;
  }
  if (!policy.enabled || options->cache == CacheMode::off) {
    explanation.outcome = TaskExplanation::Outcome::bypass;
    explanation.reason = "off";
    return explanation;
  }
  // That a part of the cache could not be asked says more than what the rest of it did not have.
  if (explanation.outcome == TaskExplanation::Outcome::miss &&
      (view.message(task).starts_with("tier_down") || view.message(task).starts_with("oom")))
    explanation.outcome = TaskExplanation::Outcome::bypass;
  if (explanation.outcome == TaskExplanation::Outcome::bypass) {
    explanation.reason = bypass_reason(view.message(task));
    return explanation;
  }
  if (!explanation.key) {
    explanation.note = fmt::format("the task is {}; it was not looked up", name(view.state(task)));
    return explanation;
  }
  explanation.outcome = TaskExplanation::Outcome::miss;
  if (!worker::looks_up(options->cache, policy)) {
    explanation.outcome = TaskExplanation::Outcome::bypass;
    explanation.reason = "refresh";
    return explanation;
  }
  const Time moment = options->as_of.value_or(row.submitted);
  if (options->as_of) {
    auto past = sources.store.look_up_as_of({&*explanation.key, 1}, moment);
    if (!past) return tl::unexpected(past.error());
    if (past->front().horizon) {
      explanation.reason = "history_horizon";
      explanation.note = std::string(view.message(task));
      return explanation;
    }
  }
  if (auto done = explain_miss_of(sources, row, view, task, moment, explanation); !done)
    return tl::unexpected(done.error());
  if (view.message(task).starts_with("not cached: "))
    explanation.note = std::string(view.message(task));
  return explanation;
}

}  // namespace reprise
