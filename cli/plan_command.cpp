// `reprise plan`: what would come from the cache, run, or wait; without a trace of having asked.
#include <fmt/format.h>

#include "actors/file_hasher.hpp"
#include "actors/plan.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/flow_picture.hpp"
#include "cli/flow_source.hpp"
#include "cli/moment.hpp"
#include "cli/plan_line.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "journal/history.hpp"

namespace reprise::cli {

namespace {

constexpr std::size_t planned_groups_max = 60;  // without -v

std::string_view word(Prediction::Outcome outcome) {
  switch (outcome) {
    case Prediction::Outcome::hit:
      return "hit";
    case Prediction::Outcome::run:
      return "run";
    case Prediction::Outcome::skip:
      return "skip";
  }
  return "run";
}

Json prediction_json(const Prediction& prediction) {
  return {{"task", prediction.task},
          {"outcome", word(prediction.outcome)},
          {"reason", prediction.reason.empty() ? Json(nullptr) : Json(prediction.reason)},
          {"key", prediction.key ? Json(prediction.key->text()) : Json(nullptr)},
          {"origin", prediction.origin ? Json(prediction.origin->text()) : Json(nullptr)},
          {"differs", differences_json(prediction.miss.differences)}};
}

/// Why the tasks of each group would run: "arg:x", or "arg:x, first_seen 3".
std::map<NodeId, std::string> reasons_by_node(const Plan& plan) {
  std::map<NodeId, std::map<std::string, std::uint64_t>> counts;
  for (const Prediction& prediction : plan.predictions)
    if (prediction.outcome == Prediction::Outcome::run)
      ++counts[prediction.node][prediction.reason];
  std::map<NodeId, std::string> texts;
  for (const auto& [node, reasons] : counts)
    for (const auto& [reason, count] : reasons) {
      std::string& text = texts[node];
      if (!text.empty()) text += ", ";
      text += escape_for_terminal(reason);
      if (reasons.size() > 1) text += fmt::format(" {}", count);
    }
  return texts;
}

Json document(const FlowSpec& flow, const Plan& plan) {
  Json groups = Json::array();
  for (const NodePlan& node : plan.nodes) {
    groups.push_back({{"group", flow.nodes[node.node.value].name},
                      {"tasks", node.tasks},
                      {"cached", node.cached},
                      {"run", node.run},
                      {"skipped", node.skipped},
                      {"width_unknown", node.width_unknown}});
  }
  Json predictions = Json::array();
  for (const Prediction& prediction : plan.predictions)
    predictions.push_back(prediction_json(prediction));
  return {{"schema", "reprise.plan/1"},
          {"flow", flow.name},
          {"summary",
           {{"tasks", plan.tasks},
            {"cached", plan.cached},
            {"run", plan.run},
            {"skipped", plan.skipped},
            {"estimated_saving_s", seconds_json(plan.saving)},
            {"critical_path_s", seconds_json(plan.critical_path)}}},
          {"groups", std::move(groups)},
          {"predictions", std::move(predictions)}};
}

void print(const FlowSpec& flow, const Plan& plan, bool all, Console& console) {
  console.out(plan_line(plan));
  Table table;
  table.heads = {"GROUP", "TASKS", "CACHED", "RUN", "SKIPPED", "REASON", "NOTE"};
  const auto reasons = reasons_by_node(plan);
  table.right = {false, true, true, true, true};
  for (const NodePlan& node : plan.nodes) {
    if (!all && table.rows.size() >= planned_groups_max) break;
    table.rows.push_back({escape_for_terminal(flow.nodes[node.node.value].name),
                          std::to_string(node.tasks), std::to_string(node.cached),
                          std::to_string(node.run), std::to_string(node.skipped),
                          reasons.contains(node.node) ? reasons.at(node.node) : "",
                          node.width_unknown ? "at least; its list is made in the run" : ""});
  }
  for (const std::string& row : table.lines(console.out_columns(), console.out_style()))
    console.out(row);
  if (table.rows.size() < plan.nodes.size())
    console.out(
        fmt::format("… {} more groups (-v shows all)", plan.nodes.size() - table.rows.size()));
}

/// The flow with what would become of its tasks: those that would run are waiting.
FlowPicture planned_picture(const FlowSpec& flow, const Plan& plan) {
  FlowPicture picture = picture_of(flow);
  for (const NodePlan& node : plan.nodes) {
    StateColumns& states = picture.boxes[node.node.value].states.emplace();
    states.cached = node.cached;
    states.waiting = node.run;
    states.skipped = node.skipped;
  }
  return picture;
}

}  // namespace

int plan_command(const PlanOptions& options, Console& console) {
  auto functions = plugin_functions(options.plugins);
  if (!functions) return console.fail(functions.error(), exit_invalid);
  const auto source =
      load_source({options.flow, options.mode, options.scale, options.touches,
                   *std::move(functions), FlowFileOptions::Missing::elsewhere, options.only},
                  console);
  if (!source) return source.error();
  const auto parameters =
      read_parameters(source->flow, options.parameters, options.parameter_files);
  if (!parameters) return console.fail(parameters.error(), exit_invalid);

  const auto asked =
      plan_source(console.options(), [&console](std::string line) { console.warn(line); });
  if (!asked) return console.fail(asked.error());
  std::map<std::string, Duration> usual;
  if (auto reading = open_for_reading(console.options()))
    usual = journal::usual_durations(*reading->journal, source->flow.name);
  actors::RememberingHasher hasher(*cache::FileDigests::open({}));
  const auto flow = std::make_shared<const FlowSpec>(source->flow);
  std::optional<Time> as_of;
  if (!options.as_of.empty()) {
    const auto moment = moment_of(options.as_of, console.options());
    if (!moment) return console.fail(moment.error());
    as_of = *moment;
  }
  auto space = key_space(console.options());
  if (!space) return console.fail(space.error(), exit_invalid);
  const auto plan = make_plan(flow, *parameters, *asked->store, hasher,
                              {.usual = usual,
                               .as_of = as_of,
                               .explain = true,
                               .space = *std::move(space),
                               .has_file = asked->file_check(hasher)});
  if (!plan) return console.fail(plan.error());
  const int code = options.exit_code && plan->run > 0 ? exit_differences : exit_ok;
  if (console.is_json()) return console.document(document(*flow, *plan), code, "groups");
  if (!options.graph.empty()) {
    const FlowPicture picture = planned_picture(*flow, *plan);
    console.out(options.graph == "json"  ? to_line(graph_json(picture, nullptr, nullptr))
                : options.graph == "svg" ? to_svg(picture)
                                         : to_dot(picture));
    return code;
  }
  print(*flow, *plan, console.options().verbosity > 0, console);
  return code;
}

}  // namespace reprise::cli
