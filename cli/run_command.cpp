// `reprise run` and `reprise resume`.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>

#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/flow_source.hpp"
#include "cli/follow.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"

#include <fmt/format.h>

namespace reprise::cli {
namespace {

/// --fields names something the document of `run` has: said before anything is started.
Status check_fields(const GlobalOptions& globals) {
  for (const std::string& field : globals.fields) {
    const auto& known = run_fields();
    if (std::find(known.begin(), known.end(), field) == known.end())
      return fail(ErrorCode::invalid_argument,
                  fmt::format("there is no field \"{}\"{}; fields: {}", escape_for_terminal(field),
                              did_you_mean(field, known), fmt::join(known, ", ")));
  }
  return {};
}

Result<EngineOptions> engine_options(const GlobalOptions& globals, unsigned slots,
                                     Durability durability, Duration grace) {
  const auto path = data_path(globals);
  if (!path) return tl::unexpected(path.error());
  EngineOptions engine;
  std::error_code error;
  engine.data = std::filesystem::absolute(*path, error);
  if (error) return fail(ErrorCode::io, "the current directory cannot be told: " + error.message());
  engine.slots = slots;
  engine.durability = durability;
  engine.grace = grace;
  return engine;
}

}  // namespace

int run_command(const RunCommandOptions& options, Console& console) {
  if (const auto status = check_fields(console.options()); !status)
    return console.fail(status.error(), exit_invalid);
  auto source = load_source({options.flow, options.mode, options.scale, options.touches}, console);
  if (!source) return source.error();
  const auto flow = std::make_shared<const FlowSpec>(std::move(source->flow));
  const auto parameters = read_parameters(*flow, options.parameters, options.parameter_files);
  if (!parameters) return console.fail(parameters.error(), exit_invalid);
  auto engine = engine_options(console.options(), options.slots, options.durability, options.grace);
  if (!engine) return console.fail(engine.error(), exit_invalid);

  FollowOptions how;
  how.flow = flow;
  how.flow_name = options.flow;
  how.engine = std::move(*engine);
  how.run.parameters = *parameters;
  how.run.cache = options.no_cache ? CacheMode::off : options.cache;
  how.run.always_new = options.always_new;
  how.out = options.out;
  return follow(std::move(how), console);
}

int resume_command(const ResumeOptions& options, Console& console) {
  if (const auto status = check_fields(console.options()); !status)
    return console.fail(status.error(), exit_invalid);
  auto engine = engine_options(console.options(), options.slots, options.durability, options.grace);
  if (!engine) return console.fail(engine.error(), exit_invalid);
  FollowOptions how;
  {
    const auto reading = open_for_reading(console.options());
    if (!reading) return console.fail(reading.error());
    const auto row = find_run(options.run, *reading->journal);
    if (!row) return console.fail(row.error());
    if (is_finished(row->state))
      return console.fail(
          {ErrorCode::conflict,
           fmt::format("run {} is finished ({}); start a new one with `reprise run`",
                       row->id.short_text(), name(row->state))});
    if (reading->folder.is_owned(row->id))
      return console.fail(
          {ErrorCode::conflict,
           fmt::format("run {} is being run by another process", row->id.short_text())});
    auto flow = flow_of(*reading->journal, *row);
    if (!flow) return console.fail(flow.error());
    how.flow = std::move(*flow);
    how.run.parameters = row->parameters;
    how.run.resume = row->id;
  }
  how.flow_name = how.flow->source_file;
  how.engine = std::move(*engine);
  how.out = options.out;
  return follow(std::move(how), console);
}

}  // namespace reprise::cli
