// `reprise plan`: what would come from the cache, run, or wait; without a trace of having asked.
#include <fmt/format.h>

#include "actors/file_hasher.hpp"
#include "actors/plan.hpp"
#include "cache/memory_store.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/flow_source.hpp"
#include "cli/plan_line.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "journal/history.hpp"

namespace reprise::cli {

namespace {

constexpr std::size_t groups_shown_max = 60;  // without -v

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
  return {{"schema", "reprise.plan/1"},
          {"flow", flow.name},
          {"summary",
           {{"tasks", plan.tasks},
            {"cached", plan.cached},
            {"run", plan.run},
            {"skipped", plan.skipped},
            {"estimated_saving_s", seconds_json(plan.saving)},
            {"critical_path_s", seconds_json(plan.critical_path)}}},
          {"groups", std::move(groups)}};
}

void print(const FlowSpec& flow, const Plan& plan, bool all, Console& console) {
  console.out(plan_line(plan));
  Table table;
  table.heads = {"GROUP", "TASKS", "CACHED", "RUN", "SKIPPED", "NOTE"};
  table.right = {false, true, true, true, true};
  for (const NodePlan& node : plan.nodes) {
    if (!all && table.rows.size() >= groups_shown_max) break;
    table.rows.push_back({escape_for_terminal(flow.nodes[node.node.value].name),
                          std::to_string(node.tasks), std::to_string(node.cached),
                          std::to_string(node.run), std::to_string(node.skipped),
                          node.width_unknown ? "at least; its list is made in the run" : ""});
  }
  for (const std::string& row : table.lines(console.out_columns(), console.out_style()))
    console.out(row);
  if (table.rows.size() < plan.nodes.size())
    console.out(
        fmt::format("… {} more groups (-v shows all)", plan.nodes.size() - table.rows.size()));
}

}  // namespace

int plan_command(const PlanOptions& options, Console& console) {
  const auto source =
      load_source({options.flow, options.mode, options.scale, options.touches}, console);
  if (!source) return source.error();
  const auto parameters =
      read_parameters(source->flow, options.parameters, options.parameter_files);
  if (!parameters) return console.fail(parameters.error(), exit_invalid);

  // Where nothing was ever run, nothing is cached and nothing is known.
  std::unique_ptr<cache::Store> store = std::make_unique<cache::MemoryStore>();
  auto opened = open_cache(console.options());
  if (opened)
    store = std::move(*opened);
  else if (opened.error().code != ErrorCode::not_found)
    return console.fail(opened.error());
  std::map<std::string, Duration> usual;
  if (auto reading = open_for_reading(console.options()))
    usual = journal::usual_durations(*reading->journal, source->flow.name);
  actors::RememberingHasher hasher(*cache::FileDigests::open({}));
  const auto flow = std::make_shared<const FlowSpec>(source->flow);
  const auto plan = make_plan(flow, *parameters, *store, hasher, usual);
  if (!plan) return console.fail(plan.error());
  const int code = options.exit_code && plan->run > 0 ? exit_differences : exit_ok;
  if (console.is_json()) return console.document(document(*flow, *plan), code, "groups");
  print(*flow, *plan, console.options().verbosity > 0, console);
  return code;
}

}  // namespace reprise::cli
