// `reprise run` and `reprise resume`.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "actors/fork.hpp"
#include "actors/run_options.hpp"
#include "cache/mac_keys.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/execution.hpp"
#include "cli/flow_source.hpp"
#include "cli/follow.hpp"
#include "cli/follow_remote.hpp"
#include "cli/machine.hpp"
#include "cli/moment.hpp"
#include "cli/redis_server.hpp"
#include "cli/remote.hpp"
#include "cli/remote_runs.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"
#include "core/assignment.hpp"

#include <fmt/format.h>

namespace reprise::cli {
Status check_run_fields(const GlobalOptions& globals) {
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
                                     Durability durability, Duration grace,
                                     const std::string& secrets,
                                     const std::vector<std::string>& plugins) {
  const auto path = data_path(globals);
  if (!path) return tl::unexpected(path.error());
  EngineOptions engine;
  std::error_code error;
  engine.data = std::filesystem::absolute(*path, error);
  if (error) return fail(ErrorCode::io, "the current directory cannot be told: " + error.message());
  engine.slots = slots;
  auto machine = parse_machine(globals.machine);
  if (!machine) return tl::unexpected(machine.error());
  engine.capacity = std::move(machine->capacity);
  engine.labels = std::move(machine->labels);
  engine.policy.limits = std::move(machine->limits);
  engine.policy.weights = std::move(machine->weights);
  engine.policy.lost_limit = globals.machine.lost_limit;
  engine.live_runs_max = globals.machine.max_runs;
  engine.live_tasks_max = globals.machine.max_tasks;
  engine.durability = durability;
  engine.grace = grace;
  auto redis = redis_settings(globals);
  if (!redis) return tl::unexpected(redis.error());
  engine.redis = std::move(*redis);
  if (globals.max_value) engine.max_value_bytes = *globals.max_value;
  if (!globals.redis_mac_key_file.empty()) {
    auto keys = cache::MacKeys::read(globals.redis_mac_key_file);
    if (!keys) return tl::unexpected(keys.error());
    engine.mac_keys = std::make_shared<const cache::MacKeys>(*std::move(keys));
  }
  auto space = key_space(globals);
  if (!space) return tl::unexpected(space.error());
  engine.space = *std::move(space);
  engine.enforcement = std::make_shared<worker::Enforcement>(worker::Enforcement::own_folder());
  auto pool = function_pool(plugins, grace, engine.enforcement);
  if (!pool) return tl::unexpected(pool.error());
  engine.pool = *std::move(pool);
  engine.functions = std::make_shared<worker::FunctionTable>();
  worker::add_builtins(*engine.functions);
  if (!plugins.empty())
    if (Status added = worker::add_functions_of(engine.pool, *engine.functions); !added)
      return tl::unexpected(added.error());
  if (!secrets.empty()) engine.secrets = std::filesystem::absolute(secrets, error);
  if (error) return fail(ErrorCode::io, "the current directory cannot be told: " + error.message());
  return engine;
}

namespace {

/// "key=value", the value as JSON where it is that, else as text. A later one of a key wins.
Result<std::map<std::string, Payload>> read_context(const std::vector<std::string>& assignments) {
  std::map<std::string, Payload> context;
  for (const std::string& text : assignments) {
    const auto assignment = parse_assignment(text, "-c");
    if (!assignment) return tl::unexpected(assignment.error());
    if (!is_utf8(text))
      return fail(ErrorCode::invalid_argument,
                  fmt::format("-c \"{}\" is no UTF-8 text", escape_for_terminal(text)));
    const auto json = from_json(assignment->value);
    auto payload = Payload::of(json ? *json : Value(assignment->value));
    if (!payload) return tl::unexpected(payload.error());
    context.insert_or_assign(assignment->name, *std::move(payload));
  }
  return context;
}

Result<std::map<std::string, std::string>> read_labels(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> labels;
  for (const std::string& text : texts) {
    auto label = parse_assignment(text, "--label");
    if (!label) return tl::unexpected(label.error());
    if (!is_utf8(text))
      return fail(ErrorCode::invalid_argument,
                  fmt::format("--label \"{}\" is no UTF-8 text", escape_for_terminal(text)));
    labels.insert_or_assign(std::move(label->name), std::move(label->value));
  }
  return labels;
}

Status check_start_tasks(const FlowSpec& flow, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    std::vector<std::string> known;
    for (const Node& node : flow.nodes) known.push_back(node.name);
    if (std::ranges::find(known, name) == known.end())
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("--start-task \"{}\" is no task of flow \"{}\"{}", escape_for_terminal(name),
                      escape_for_terminal(flow.name), did_you_mean(name, known)));
  }
  return {};
}

/// On --server instead of here.
int run_there(FollowOptions how, Console& console) {
  RemoteFollowOptions there;
  there.flow = how.flow;
  there.flow_name = std::move(how.flow_name);
  there.out = std::move(how.out);
  there.start = [flow = std::move(how.flow), run = std::move(how.run)](
                    cluster::Client& client) -> Result<RemoteFollowOptions::Started> {
    const auto submitted = submit_to(client, flow, run, {});
    if (!submitted) return tl::unexpected(submitted.error());
    return RemoteFollowOptions::Started{submitted->run, false};
  };
  return follow_remote(there, console);
}

}  // namespace

int run_command(const RunCommandOptions& options, Console& console) {
  if (const auto status = check_run_fields(console.options()); !status)
    return console.fail(status.error(), exit_invalid);
  SourceOptions from{options.flow, options.mode, options.scale, options.touches};
  if (!options.plugins.empty() && !console.options().server.empty())
    return console.fail({ErrorCode::invalid_argument,
                         "--plugin is for what runs here; on a server the workers have the "
                         "functions: give it to \"reprise worker start\""},
                        exit_invalid);
  std::optional<EngineOptions> engine;  // none: a server has it
  if (console.options().server.empty()) {
    auto made = engine_options(console.options(), options.slots, options.durability, options.grace,
                               options.secrets, options.plugins);
    if (!made) return console.fail(made.error(), exit_invalid);
    from.functions = worker::known_functions(*made->functions);
    engine = *std::move(made);
  } else {
    if (const auto client = connect_client(console.options()))
      from.functions = offered_functions(**client);
    from.missing_function = FlowFileOptions::Missing::waits;
  }
  from.only = options.only;
  auto source = load_source(from, console);
  if (!source) return source.error();
  const auto flow = std::make_shared<const FlowSpec>(std::move(source->flow));
  const auto parameters = read_parameters(*flow, options.parameters, options.parameter_files);
  if (!parameters) return console.fail(parameters.error(), exit_invalid);
  auto context = read_context(options.context);
  if (!context) return console.fail(context.error(), exit_invalid);
  auto labels = read_labels(options.labels);
  if (!labels) return console.fail(labels.error(), exit_invalid);
  if (const auto known = check_start_tasks(*flow, options.start_tasks); !known)
    return console.fail(known.error(), exit_invalid);
  FollowOptions how;
  how.flow = flow;
  how.flow_name = options.flow;
  how.run.parameters = *parameters;
  how.run.cache = options.no_cache ? CacheMode::off : options.cache;
  how.run.always_new = options.always_new;
  how.run.priority = options.priority;
  if (!options.as_of.empty()) {
    if (how.run.cache != CacheMode::normal && how.run.cache != CacheMode::read_only &&
        how.run.cache != CacheMode::only)
      return console.fail({ErrorCode::invalid_argument,
                           "--as-of reads the cache as it was; it goes with --cache normal, "
                           "read-only or only"},
                          exit_invalid);
    const auto moment = moment_of(options.as_of, console.options());
    if (!moment) return console.fail(moment.error());
    how.run.as_of = *moment;
  }
  how.run.context = *std::move(context);
  how.run.labels = *std::move(labels);
  how.run.shape.start_tasks = options.start_tasks;
  how.run.shape.single_pass = options.single_pass;
  how.out = options.out;
  if (!engine) return run_there(std::move(how), console);
  how.engine = std::move(*engine);
  return follow(std::move(how), console);
}

namespace {

/// What it takes to go on with a run that nobody runs.
/// @param tasks  only these of its paused ones; empty = all
Result<FollowOptions> continuation_of(const std::string& run, const std::vector<std::string>& tasks,
                                      const GlobalOptions& globals) {
  FollowOptions how;
  const auto reading = open_for_reading(globals);
  if (!reading) return tl::unexpected(reading.error());
  const auto row = find_run(run, *reading->journal);
  if (!row) return tl::unexpected(row.error());
  if (is_finished(row->state))
    return fail(ErrorCode::conflict,
                fmt::format("run {} is finished ({}); start a new one with `reprise run`",
                            row->id.short_text(), name(row->state)));
  if (reading->folder.is_owned(row->id))
    return fail(ErrorCode::conflict,
                fmt::format("run {} is being run by another process", row->id.short_text()));
  if (!tasks.empty()) {
    const auto view = journal::load_run(*reading->journal, *row);
    if (!view) return tl::unexpected(view.error());
    if (Status paused = check_resume(*row, *view, tasks); !paused)
      return tl::unexpected(paused.error());
  }
  auto flow = flow_of(*reading->journal, *row);
  if (!flow) return tl::unexpected(flow.error());
  how.flow = std::move(*flow);
  how.flow_name = how.flow->source_file;
  how.run.parameters = row->parameters;
  how.run.resume = row->id;
  how.run.resume_tasks = tasks;
  return how;
}

int resume_one(const std::string& run, const ResumeOptions& options, const EngineOptions& engine,
               Console& console) {
  auto how = continuation_of(run, options.tasks, console.options());
  if (!how) return console.fail(how.error());
  how->engine = engine;
  how->out = options.out;
  return follow(std::move(*how), console);
}

/// Ids of the runs whose process died or was stopped, the oldest first.
Result<std::vector<std::string>> interrupted_runs(const GlobalOptions& globals) {
  std::vector<std::string> ids;
  auto reading = open_for_reading(globals);
  if (!reading && reading.error().code == ErrorCode::not_found) return ids;
  if (!reading) return tl::unexpected(reading.error());
  for (const RunState state :
       {RunState::queued, RunState::running, RunState::cancelling, RunState::interrupted}) {
    journal::RunQuery query;
    query.state = state;
    query.limit = UINT32_MAX;
    auto rows = reading->journal->runs(query);
    if (!rows) return tl::unexpected(rows.error());
    for (journal::RunRow& row : *rows) {
      // What is nested goes on with the run that it is nested in.
      const auto began = actors::decode_options(row.options);
      if (began && began->nested_in) continue;
      const auto current = current_state(*reading, row);
      if (current && *current == RunState::interrupted) ids.push_back(row.id.text());
    }
  }
  std::ranges::sort(ids);  // ids sort by time
  return ids;
}

int resume_all(const ResumeOptions& options, const EngineOptions& engine, Console& console) {
  const auto ids = interrupted_runs(console.options());
  if (!ids) return console.fail(ids.error());
  if (ids->empty()) console.say("no run is interrupted");
  int code = exit_ok;
  std::vector<Json> documents;
  if (console.is_json()) console.collect(&documents);
  for (const std::string& id : *ids) {
    const int each = resume_one(id, options, engine, console);
    if (code == exit_ok) code = each;
    if (each < 128) continue;
    code = each;  // a signal is for all of them
    break;
  }
  console.collect(nullptr);
  if (!console.is_json()) return code;
  return console.document({{"schema", "reprise.resume/1"}, {"runs", std::move(documents)}}, code,
                          "runs");
}

int resume_there(const ResumeOptions& options, Console& console) {
  if (options.all)
    return console.fail({ErrorCode::invalid_argument,
                         "a server goes on with interrupted runs by itself; name a paused one"},
                        exit_invalid);
  cluster::wire::AskAgain question;
  question.tasks = options.tasks;
  return go_on_there({options.run, "resume", options.out}, question, console);
}

}  // namespace

int resume_command(const ResumeOptions& options, Console& console) {
  if (!console.options().server.empty()) return resume_there(options, console);
  if (options.all == !options.run.empty())
    return console.fail({ErrorCode::invalid_argument,
                         "resume takes either a run or --all; `reprise ps` lists the runs that "
                         "can go on"},
                        exit_invalid);
  if (const auto status = check_run_fields(console.options()); !status)
    return console.fail(status.error(), exit_invalid);
  const auto engine = engine_options(console.options(), options.slots, options.durability,
                                     options.grace, options.secrets);
  if (!engine) return console.fail(engine.error(), exit_invalid);
  return options.all ? resume_all(options, *engine, console)
                     : resume_one(options.run, options, *engine, console);
}

}  // namespace reprise::cli
