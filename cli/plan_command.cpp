// `reprise plan`: what would come from the cache, run, or wait; without a trace of having asked.
#include "cli/commands.hpp"
#include "cli/flow_source.hpp"

namespace reprise::cli {

int plan_command(const PlanOptions& options, Console& console) {
  const auto source = load_source({options.flow, options.mode, options.scale, options.touches}, console);
  if (!source) return source.error();
  const auto parameters = read_parameters(source->flow, options.parameters, options.parameter_files);
  if (!parameters) return console.fail(parameters.error(), exit_invalid);
  return console.fail({ErrorCode::unavailable, "plan is not available in this version"});
}

}  // namespace reprise::cli
