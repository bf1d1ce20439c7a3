#include "cli/flags.hpp"

#include <cstdlib>
#include <set>

#include "core/setting.hpp"

namespace reprise::cli {

CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& target,
                       std::string help) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name](const std::string& text) {
            const auto bytes = parse_bytes(text);
            if (!bytes) throw CLI::ValidationError(name, bytes.error().message);
            target = *bytes;
          },
          std::move(help))
      ->type_name("SIZE");
}

CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& target,
                      std::string type, std::string help) {
  // One value per flag: what follows is the next argument, not a second value.
  return app.add_option(name, target, std::move(help))
      ->allow_extra_args(false)
      ->type_name(std::move(type));
}

void bind(CommandLine& line, CLI::Option* option, std::string_view key) {
  for (const Setting& setting : known_settings())
    if (setting.key == key)
      option->description(fmt::format("{} [setting {}]", option->get_description(), setting.key));
  line.bound.push_back({key, option});
}

void apply_settings(const Configuration& configuration, CommandLine& line) {
  // Commands share what a flag is kept in: what was given to one of them is not overwritten through
  // the same flag of another.
  std::set<std::string_view> given;
  for (const CommandLine::Bound& bound : line.bound)
    if (bound.option->count() > 0) given.insert(bound.key);
  for (const CommandLine::Bound& bound : line.bound) {
    const SettingValue* value = configuration.find(bound.key);
    if (value == nullptr || given.contains(bound.key)) continue;
    bound.option->add_result(value->text);
    bound.option->run_callback();
  }
}

const Choices<CacheMode> cache_modes{{"normal", CacheMode::normal},
                                     {"refresh", CacheMode::refresh},
                                     {"read-only", CacheMode::read_only},
                                     {"write-only", CacheMode::write_only},
                                     {"off", CacheMode::off},
                                     {"only", CacheMode::only}};
const Choices<Durability> durabilities{
    {"none", Durability::none}, {"group", Durability::group}, {"sync", Durability::sync}};

CLI::Option* add_priority(CLI::App& app, std::int32_t& target) {
  return app
      .add_option("--priority", target, "Added to the priorities of its tasks, -1000 to 1000")
      ->check(CLI::Range(priority_least, priority_most))
      ->type_name("N");
}

void add_machine(CLI::App& app, CommandLine& s, const char* label_flag) {
  MachineOptions& machine = s.globals.machine;
  bind(s,
       app.add_option("--cpus", machine.cpus,
                      "Processors that tasks may take (default: one for each slot)")
           ->type_name("NUMBER"),
       "cpus");
  bind(s,
       add_bytes(app, "--memory", machine.memory,
                 "Memory that tasks may take (default: what there is)"),
       "memory");
  bind(s,
       add_number(app, "--gpus", machine.gpus, 0, 1024,
                  "GPUs; each task that asks for some is told which are its own"),
       "gpus");
  bind(s,
       add_list(app, "--resource", machine.resources, "NAME=COUNT",
                "Something else that tasks may ask for; may be repeated"),
       "resources");
  bind(s,
       add_list(app, label_flag, machine.labels, "NAME=VALUE",
                "A label that tasks may require; may be repeated"),
       "labels");
}

void add_limits(CLI::App& app, CommandLine& s) {
  bind(s,
       add_list(app, "--limit", s.globals.machine.limits, "NAME=COUNT",
                "So many tasks that count against this limit run at once; may be repeated"),
       "limits");
}

void add_selection(CLI::App& app, CacheSelectOptions& select) {
  app.add_option("KEY", select.keys, "Keys or their beginnings");
  app.add_option("--task", select.task, "Of this task")->type_name("TASK");
  app.add_option("--task-version", select.version, "Of tasks of this version")
      ->type_name("VERSION");
  app.add_option("--run", select.run, "Made by this run")->type_name("RUN");
}

void add_import(CLI::App& app, ImportOptions& import) {
  app.add_option("FILE", import.file, "The file, or - for stdin")->required();
  add_bytes(app, "--max-size", import.max_bytes, "Refuse files that hold more");
  app.add_flag("--dry-run", import.dry_run, "Only check it, and tell what would be new");
}

void add_only(CLI::App& app, std::vector<std::string>& tasks) {
  add_list(app, "--only", tasks, "TASK",
           "Only this task and what it needs, which is upstream; may be repeated");
}

void add_source(CLI::App& app, std::vector<std::string>& parameters,
                std::vector<std::string>& files, std::string& mode, std::optional<double>& scale,
                std::vector<std::string>& touches) {
  add_list(app, "-p,--param", parameters, "NAME=VALUE", "A parameter of the flow; may be repeated");
  add_list(app, "--param-file", files, "FILE", "Parameters from a YAML or JSON file; -p wins");
  add_choice<std::string>(
      app, "--mode", mode,
      {{"hash", "hash"}, {"sleep", "sleep"}, {"noop", "noop"}, {"timed", "timed"}},
      "What the tasks of a recorded trace do");
  app.add_option_function<std::string>(
         "--scale",
         [&scale](const std::string& text) {
           char* end = nullptr;
           const double number = std::strtod(text.c_str(), &end);
           if (text.empty() || *end != '\0' || !(number >= 0) || number > 1e9)
             throw CLI::ValidationError("--scale", fmt::format("\"{}\" is no number from 0 to 1e9",
                                                               escape_for_terminal(text)));
           scale = number;
         },
         "Seconds slept for each recorded second (--mode sleep)")
      ->type_name("S");
  add_list(app, "--touch", touches, "TASK=TEXT",
           "Change the input of one task of a trace (--mode hash); may be repeated");
}

void add_execution(CLI::App& app, CommandLine& s, unsigned& slots, std::string& out,
                   Durability& durability, Duration& grace, std::string& secrets) {
  bind(s,
       app.add_option("--secrets", secrets, "Folder of the secrets that tasks ask for")
           ->type_name("DIR"),
       "secrets_dir");
  bind(s,
       add_number(app, "--slots,--local", slots, 1, 65536,
                  "Tasks at once (default: number of processors)"),
       "slots");
  bind(s,
       app.add_option("--out", out, "Where files among the outputs go (default: here)")
           ->type_name("DIR"),
       "out");
  bind(s,
       add_choice(app, "--durability", durability, durabilities,
                  "What has to be on disk before anybody is told"),
       "durability");
  bind(s,
       add_duration(app, "--grace", grace,
                    "Time a task gets to stop before it is killed (default: 10s)"),
       "grace");
  add_machine(app, s, "--worker-label");  // --label: of the run
  add_limits(app, s);
}

void add_plugins(CLI::App& app, std::vector<std::string>& target) {
  add_list(app, "--plugin", target, "FILE",
           "Shared object with functions that flow files may call; may be repeated");
}

void add_moment(CLI::App& app, std::string& target) {
  app.add_option("--as-of", target,
                 "The cache as it was then: 2h for two hours ago, a time, or the end of a run")
      ->type_name("TIME|RUN");
}

void add_credentials(CLI::App& app, CommandLine& s) {
  bind(s,
       app.add_option("--secret-file", s.globals.secret_file,
                      "Secret that all nodes share (default: link.secret in the data directory)")
           ->type_name("FILE"),
       "link.secret_file");
  bind(s,
       app.add_option("--certs", s.globals.certificates,
                      "This node's certificates, made by `reprise cluster add-node`")
           ->type_name("DIR"),
       "link.certs");
}

void add_server(CLI::App& app, CommandLine& s) {
  bind(s,
       app.add_option("--server", s.globals.server, "Of this server, not of the data directory")
           ->type_name("HOST:PORT"),
       "server");
  add_credentials(app, s);
}

void add_log(CLI::App& app, ServiceLogOptions& log) {
  static const Choices<LogFormat> formats{
      {"text", LogFormat::text}, {"logfmt", LogFormat::logfmt}, {"json", LogFormat::json}};
  static const Choices<LogLevel> levels{{"debug", LogLevel::debug},
                                        {"info", LogLevel::info},
                                        {"warning", LogLevel::warning},
                                        {"error", LogLevel::error}};
  add_choice(app, "--log-format", log.format, formats, "How it tells of itself on stderr");
  add_choice(app, "--log-level", log.least, levels, "The least that is told");
}

}  // namespace reprise::cli
