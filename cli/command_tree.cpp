#include "cli/command_tree.hpp"

#include <array>

#include "cli/commands.hpp"
#include "cli/flags.hpp"
#include "flow/signal.hpp"

namespace reprise::cli {

namespace {

const Choices<ColorChoice> colors{{"auto", ColorChoice::automatic},
                                  {"always", ColorChoice::always},
                                  {"never", ColorChoice::never}};
const Choices<ProgressChoice> progresses{{"auto", ProgressChoice::automatic},
                                         {"bar", ProgressChoice::bar},
                                         {"counter", ProgressChoice::counter},
                                         {"json", ProgressChoice::json},
                                         {"none", ProgressChoice::none}};

const Choices<std::string> graph_formats{{"dot", "dot"}, {"svg", "svg"}, {"json", "json"}};

void add_globals(CLI::App& app, CommandLine& s) {
  GlobalOptions& g = s.globals;
  const std::string group = "Global flags, before or after the command";
  app.add_flag("--json", g.json, "One JSON document on stdout")->group(group);
  app.add_option("--fields", s.fields, "Only these fields of the document: a,b")
      ->type_name("FIELDS")
      ->group(group);
  bind(s,
       app.add_option("--data", g.data, "Data directory (default: $XDG_DATA_HOME/reprise)")
           ->type_name("DIR")
           ->group(group),
       "data");
  bind(s, add_choice(app, "--color", g.color, colors, "Colours")->group(group), "color");
  bind(s, add_choice(app, "--progress", g.progress, progresses, "How a run is shown")->group(group),
       "progress");
  bind(s,
       app.add_option("--redis", g.redis, "Server that keeps cached results for several nodes, too")
           ->type_name("URL")
           ->group(group),
       "redis.url");
  bind(s,
       app.add_option("--redis-password-file", g.redis_password_file,
                      "Its password: a file's first line")
           ->type_name("FILE")
           ->group(group),
       "redis.password_file");
  bind(s,
       app.add_option("--redis-mac-key-file", g.redis_mac_key_file,
                      "Keys that sign results there, and without which none is taken")
           ->type_name("FILE")
           ->group(group),
       "redis.mac_key_file");
  bind(s,
       add_bytes(app, "--max-value", g.max_value, "Largest result that is cached (default: 1GiB)")
           ->group(group),
       "max_value");
  bind(s,
       app.add_option("--account", g.account, "Whose results the cache's keys speak of")
           ->type_name("NAME")
           ->group(group),
       "account");
  bind(s,
       app.add_option("--also-read", g.also_read,
                      "Accounts whose results are taken, too, with commas between")
           ->type_name("NAMES")
           ->group(group),
       "also_read");
  bind(s,
       app.add_option("--salt", g.salt, "The operator's part of every key: another disowns results")
           ->type_name("TEXT")
           ->group(group),
       "salt");
  bind(s,
       app.add_option("--task-salts", g.task_salts, "The same for single tasks: TASK=SALT,…")
           ->type_name("SALTS")
           ->group(group),
       "task_salts");
  app.add_option("--config", g.config, "Read this file of settings and no other")
      ->type_name("FILE")
      ->envname("REPRISE_CONFIG")
      ->group(group);
  app.add_flag("-q,--quiet", g.quiet, "Ids only")->group(group);
  app.add_flag("-v,--verbose", g.verbosity, "More; -vv: most")->group(group);
  app.add_flag("--no-input", g.no_input, "Never ask")->group(group);
  app.add_flag("-y,--yes", g.yes, "Do not ask, do it")->group(group);
}

void add_output(CLI::App& app, std::string& target) {
  app.add_option("-o,--output", target, "Into this file (default: stdout)")->type_name("FILE");
}

CLI::App* add_command(CLI::App& app, CommandLine& s, const char* name, const char* description,
                      std::function<int(Console&)> action) {
  CLI::App* command = app.add_subcommand(name, description);
  command->fallthrough();
  command->parse_complete_callback([&s, action = std::move(action)] { s.action = action; });
  return command;
}

void add_running_commands(CLI::App& app, CommandLine& s) {
  CLI::App* run =
      add_command(app, s, "run", "Run a flow and follow it; the exit code is the run's result",
                  [&s](Console& c) { return run_command(s.run, c); });
  run->add_option("FLOW", s.run.flow, "Flow file, WfFormat trace or STG graph; - is stdin")
      ->required();
  add_source(*run, s.run.parameters, s.run.parameter_files, s.run.mode, s.run.scale, s.run.touches);
  add_only(*run, s.run.only);
  add_execution(*run, s, s.run.slots, s.run.out, s.run.durability, s.run.grace, s.run.secrets);
  add_priority(*run, s.run.priority);
  bind(s, add_choice(*run, "--cache", s.run.cache, cache_modes, "How the cache is used"), "cache");
  add_plugins(*run, s.run.plugins);
  run->add_flag("--no-cache", s.run.no_cache, "The same as --cache off");
  add_moment(*run, s.run.as_of);
  run->add_flag("--new", s.run.always_new,
                "Do not continue an interrupted run of the same flow and parameters");
  add_server(*run, s);

  add_list(*run, "-c,--context", s.run.context, "KEY=VALUE",
           "An entry of the context, as JSON or else text; may be repeated");
  add_list(*run, "--label", s.run.labels, "NAME=TEXT",
           "A label of the run, to find it and its results by; may be repeated");
  run->add_option(
         "--start-task", s.run.start_tasks,
         "Only these tasks and what is downstream of them, without asking what is upstream")
      ->type_name("TASK");
  run->add_flag("--single-pass", s.run.single_pass,
                "End when nothing can run now, instead of waiting for a retry or a pause");

  CLI::App* resume =
      add_command(app, s, "resume", "Continue a paused or interrupted run, or all interrupted ones",
                  [&s](Console& c) { return resume_command(s.resume, c); });
  resume->add_option("RUN", s.resume.run, "Id, beginning of an id, last or last:FLOW");
  resume->add_option("TASK", s.resume.tasks, "Of what is paused, only these tasks go on");
  resume->add_flag("--all", s.resume.all, "All interrupted runs, one after the other");
  add_execution(*resume, s, s.resume.slots, s.resume.out, s.resume.durability, s.resume.grace,
                s.resume.secrets);
  add_server(*resume, s);

  CLI::App* fork = add_command(
      app, s, "fork", "Start a run that takes another one's results and does only some tasks again",
      [&s](Console& c) { return fork_command(s.fork, c); });
  fork->add_option("RUN", s.fork.run, "Id, beginning of an id, last or last:FLOW")->required();
  add_list(*fork, "--at", s.fork.at, "TASK",
           "Do this task again, and what depends on it; may be repeated");
  add_list(*fork, "-p,--param", s.fork.parameters, "NAME=VALUE",
           "Another value of a parameter; what reads it is done again");
  add_list(*fork, "--param-file", s.fork.parameter_files, "FILE",
           "Parameters from a YAML or JSON file; -p wins");
  add_list(*fork, "--touch", s.fork.touches, "TASK=TEXT",
           "Change the input of one task of a trace; may be repeated");
  bind(s, add_choice(*fork, "--cache", s.fork.cache, cache_modes, "How the cache is used"),
       "cache");
  add_execution(*fork, s, s.fork.slots, s.fork.out, s.fork.durability, s.fork.grace,
                s.fork.secrets);
  add_server(*fork, s);

  CLI::App* retry = add_command(
      app, s, "retry",
      "Try tasks of a finished run again that failed or were cancelled, in the same run",
      [&s](Console& c) { return retry_command(s.retry, c); });
  retry->add_option("RUN", s.retry.run, "Id, beginning of an id, last or last:FLOW")->required();
  retry->add_flag("--failed", s.retry.failed, "Only those that failed");
  retry->add_flag("--cancelled", s.retry.cancelled, "Only those that were cancelled");
  add_list(*retry, "--task", s.retry.tasks, "TASK", "Only this one; may be repeated");
  add_execution(*retry, s, s.retry.slots, s.retry.out, s.retry.durability, s.retry.grace,
                s.retry.secrets);
  add_server(*retry, s);

  CLI::App* replay =
      add_command(app, s, "replay", "Show a run as it happened, or do it again and compare",
                  [&s](Console& c) { return replay_command(s.replay, c); });
  replay->add_option("RUN", s.replay.run, "Id, beginning of an id, last or last:FLOW")->required();
  replay->add_flag("--verify", s.replay.verify,
                   "Do everything again from what the run was given, keep nothing, and exit with "
                   "10 at the first task that differs");
  bind(s,
       add_number(*replay, "--slots", s.replay.slots, 1, 65536,
                  "Tasks at once (default: number of processors)"),
       "slots");
  add_machine(*replay, s, "--worker-label");
  add_limits(*replay, s);

  CLI::App* check = add_command(app, s, "check", "Find the mistakes in flow files; runs nothing",
                                [&s](Console& c) { return check_command(s.check, c); });
  check->add_option("FLOW", s.check.files, "Files; - is stdin");
  add_plugins(*check, s.check.plugins);
  check->add_flag("--print-schema", s.check.print_schema,
                  "Print the JSON schema of flow files, for editors, and check nothing");

  CLI::App* plan = add_command(app, s, "plan",
                               "Tell what would come from the cache, run or wait; changes nothing",
                               [&s](Console& c) { return plan_command(s.plan, c); });
  plan->add_option("FLOW", s.plan.flow, "Flow file, WfFormat trace or STG graph; - is stdin")
      ->required();
  add_source(*plan, s.plan.parameters, s.plan.parameter_files, s.plan.mode, s.plan.scale,
             s.plan.touches);
  add_only(*plan, s.plan.only);
  add_moment(*plan, s.plan.as_of);
  add_plugins(*plan, s.plan.plugins);
  add_choice<std::string>(*plan, "--graph", s.plan.graph, graph_formats,
                          "Draw the flow with what would come from the cache and what would run");
  plan->add_flag("--exit-code", s.plan.exit_code, "Exit with 10 when something would run");
}

void add_looking_commands(CLI::App& app, CommandLine& s) {
  CLI::App* diff =
      add_command(app, s, "diff", "Tell in what two runs differ; exits with 10 when they do",
                  [&s](Console& c) { return diff_command(s.diff, c); });
  add_server(*diff, s);
  diff->add_option("RUN_A", s.diff.left, "Id, beginning of an id, last or last:FLOW")->required();
  diff->add_option("RUN_B", s.diff.right, "The other one")->required();
  diff->add_option("--task", s.diff.task, "Only this task, or its elements")->type_name("TASK");
  add_choice<std::string>(
      *diff, "--only", s.diff.only,
      {{"state", "state"}, {"key", "key"}, {"time", "time"}, {"output", "output"}},
      "Only differences of this kind");

  CLI::App* explain = add_command(app, s, "explain", "Tell why a task waits, or what became of it",
                                  [&s](Console& c) { return explain_task_command(s.explain, c); });
  add_server(*explain, s);
  explain->add_option("RUN", s.explain.run, "Id, beginning of an id, last or last:FLOW")
      ->required();
  explain->add_option("TASK", s.explain.task, "Name of the task, such as align[s3]")->required();

  CLI::App* ps = add_command(app, s, "ps", "List runs that are not finished",
                             [&s](Console& c) { return ps_command(s.ps, c); });
  add_server(*ps, s);
  ps->add_flag("--all", s.ps.all, "Finished ones too");
  std::vector<std::string> states;
  for (int i = 0; i <= static_cast<int>(RunState::interrupted); ++i)
    states.emplace_back(name(static_cast<RunState>(i)));
  Choices<std::string> state_choices;
  for (const std::string& state : states) state_choices.emplace_back(state, state);
  add_choice(*ps, "--state", s.ps.state, state_choices, "Only runs in this state");
  ps->add_option("--flow", s.ps.flow, "Only runs of this flow")->type_name("NAME");
  ps->add_option("--since", s.ps.since, "Only runs since then: 2h, or a time")->type_name("WHEN");
  add_number(*ps, "--limit", s.ps.limit, 1, 1'000'000, "At most so many (default: 20)");

  CLI::App* status = add_command(app, s, "status", "Show one run, group by group",
                                 [&s](Console& c) { return status_command(s.status, c); });
  add_server(*status, s);
  status->add_option("RUN", s.status.run,
                     "Id, beginning of an id, last or last:FLOW (default: last)");
  status->add_flag("--watch", s.status.watch,
                   "Show it anew whenever it changes, until the run is at rest");
  status->add_flag("--ready", s.status.ready, "Only tell whether runs can be started here");
  status->add_flag("--live", s.status.live, "Only tell whether the server answers");

  CLI::App* history = add_command(app, s, "history", "Look across runs: of a flow, or of one task",
                                  [&s](Console& c) { return history_command(s.history, c); });
  add_server(*history, s);
  history->add_option(
      "FLOW", s.history.flow,
      "Name of a flow (default: all) or of a task, or a value sha256:…: where it comes "
      "from");
  history->add_option("--task", s.history.task, "One task over the runs")->type_name("TASK");
  history->add_option("--since", s.history.since, "Only runs since then: 2h, or a time")
      ->type_name("WHEN");
  add_number(*history, "--limit", s.history.limit, 1, 1'000'000,
             "At most so many runs (default: 20)");

  CLI::App* events = add_command(app, s, "events", "Print a run's changes of state, in order",
                                 [&s](Console& c) { return events_command(s.events, c); });
  add_server(*events, s);
  events->add_option("RUN", s.events.run, "Id, beginning of an id, last or last:FLOW")->required();
  events->add_flag("-f,--follow", s.events.follow, "Go on until the run is finished");
  events->add_flag("--jsonl", s.events.lines, "One JSON object a line");
  add_number(*events, "--after", s.events.after, 0, UINT64_MAX, "Only what follows this offset")
      ->type_name("OFFSET");

  CLI::App* logs = add_command(app, s, "logs", "Print what the commands of a run printed",
                               [&s](Console& c) { return logs_command(s.logs, c); });
  add_server(*logs, s);
  logs->add_option("RUN", s.logs.run, "Id, beginning of an id, last or last:FLOW")->required();
  logs->add_option("TASK", s.logs.task, "One task: align[s3], or align for all of its elements");
  logs->add_flag("-f,--follow", s.logs.follow, "Go on until the run is finished");
  logs->add_option("--attempt", s.logs.attempt, "Attempt number, or all (default: the last)")
      ->type_name("N|all");
  add_choice<std::string>(*logs, "--stream", s.logs.stream, {{"out", "out"}, {"err", "err"}},
                          "Only this stream");
  logs->add_flag("--failed", s.logs.failed, "Only of tasks that failed");
  logs->add_option("--grep", s.logs.pattern, "Only lines that match this regular expression")
      ->type_name("RE");
  logs->add_flag("--jsonl", s.logs.lines, "One JSON object a line");
  logs->add_flag("--raw", s.logs.raw, "Control characters as they are, not made visible");
}

/// What makes something of a run for people or other programs to look at.
void add_picturing_commands(CLI::App& app, CommandLine& s) {
  CLI::App* graph =
      add_command(app, s, "graph", "Draw a flow, or a run with its states, as a graph",
                  [&s](Console& c) { return graph_command(s.graph, c); });
  add_server(*graph, s);
  graph
      ->add_option("RUN|FLOW", s.graph.what,
                   "Id, beginning of an id, last or last:FLOW; or a flow file, - is stdin")
      ->required();
  add_choice<std::string>(*graph, "--format", s.graph.format, graph_formats,
                          "What to make (default: dot)");
  add_output(*graph, s.graph.output);
  add_plugins(*graph, s.graph.plugins);

  CLI::App* trace =
      add_command(app, s, "trace", "Write a run as a trace: when which attempt ran, in which slot",
                  [&s](Console& c) { return trace_command(s.trace, c); });
  add_server(*trace, s);
  trace->add_option("RUN", s.trace.run, "Id, beginning of an id, last or last:FLOW")->required();
  add_choice<std::string>(*trace, "--format", s.trace.format,
                          {{"chrome", "chrome"}, {"otlp", "otlp"}},
                          "For chrome://tracing and Perfetto (default), or for OpenTelemetry");
  add_output(*trace, s.trace.output);

  CLI::App* top =
      add_command(app, s, "top", "Show runs and tasks on the whole screen, as they change",
                  [](Console& c) { return top_command(c); });
  add_server(*top, s);

  CLI::App* report = add_command(app, s, "report", "Make one page of a run, to keep or to send",
                                 [&s](Console& c) { return report_command(s.report, c); });
  add_server(*report, s);
  report->add_option("RUN", s.report.run, "Id, beginning of an id, last or last:FLOW")->required();
  add_output(*report, s.report.output);
}

void add_steering_commands(CLI::App& app, CommandLine& s) {
  CLI::App* wait = add_command(
      app, s, "wait",
      "Wait until runs are finished; the exit code is that of the first without success",
      [&s](Console& c) { return wait_command(s.wait, c); });
  add_server(*wait, s);
  wait->add_option("RUN", s.wait.runs, "Ids, beginnings of ids, last or last:FLOW")->required();
  add_duration(*wait, "--timeout", s.wait.timeout,
               "Give up after this long, with exit code 7; the runs go on");
  add_choice<std::string>(*wait, "--for", s.wait.until,
                          {{"finished", "finished"}, {"succeeded", "succeeded"}},
                          "What to wait for");

  CLI::App* cancel =
      add_command(app, s, "cancel", "Stop a run, or tasks of it and what depends on them",
                  [&s](Console& c) { return cancel_command(s.cancel, c); });
  add_server(*cancel, s);
  cancel->add_option("RUN", s.cancel.run, "Id, beginning of an id, last or last:FLOW")->required();
  cancel->add_option("TASK", s.cancel.tasks, "Only these tasks");
  cancel->add_option("--reason", s.cancel.reason, "Kept with the run")->type_name("TEXT");

  CLI::App* pause =
      add_command(app, s, "pause",
                  "Let nothing more of a run begin, or of some tasks; `reprise resume` goes on",
                  [&s](Console& c) { return pause_command(s.pause, c); });
  add_server(*pause, s);
  pause->add_option("RUN", s.pause.run, "Id, beginning of an id, last or last:FLOW")->required();
  pause->add_option("TASK", s.pause.tasks, "Only these tasks");
  pause->add_option("--reason", s.pause.reason, "Kept with the tasks")->type_name("TEXT");

  CLI::App* signal = add_command(app, s, "signal", "Within a task: say how its attempt is to end",
                                 [&s](Console& c) { return signal_command(s.signal, c); });
  Choices<std::string> kinds;
  for (const std::string& kind : signal_names()) kinds.emplace_back(kind, kind);
  add_choice<std::string>(*signal, "KIND", s.signal.kind, kinds, "The signal")->required();
  signal->add_option("--message", s.signal.message, "Shown with the state")->type_name("TEXT");
  add_duration(*signal, "--in", s.signal.in, "Of retry and pause: not before this has passed");
  signal->add_option("--value", s.signal.value, "Of skip, fail, success and loop: the result")
      ->type_name("JSON");

  CLI::App* runs =
      app.add_subcommand("runs", "Remove runs, or move them to another data directory");
  runs->fallthrough()->require_subcommand(1, 1);
  CLI::App* remove = add_command(*runs, s, "rm", "Forget runs: their rows, changes and logs",
                                 [&s](Console& c) { return runs_remove_command(s.remove, c); });
  remove->add_option("RUN", s.remove.runs, "Ids, beginnings of ids, last or last:FLOW")->required();
  CLI::App* collect = add_command(*runs, s, "gc", "Forget old runs",
                                  [&s](Console& c) { return runs_collect_command(s.collect, c); });
  add_number(*collect, "--keep", s.collect.keep, 0, 1'000'000, "Keep the newest N of each flow");
  add_duration(*collect, "--older-than", s.collect.older_than, "Only runs that ended longer ago");
  collect->add_flag("--dry-run", s.collect.dry_run, "Only tell what would go");
  CLI::App* give =
      add_command(*runs, s, "export", "Write runs and what they refer to into one file",
                  [&s](Console& c) { return runs_export_command(s.runs_export, c); });
  give->add_option("RUN… FILE", s.runs_export.arguments,
                   "Ids, beginnings of ids, last or last:FLOW; then a new file, or - for stdout")
      ->required()
      ->expected(2, 1 << 20);
  CLI::App* take = add_command(*runs, s, "import", "Take in what `runs export` wrote",
                               [&s](Console& c) { return runs_import_command(s.runs_import, c); });
  add_import(*take, s.runs_import);
}

void add_cache_commands(CLI::App& app, CommandLine& s) {
  CLI::App* cache = app.add_subcommand("cache", "Look into the cache");
  cache->fallthrough()->require_subcommand(1, 1);
  CLI::App* list = add_command(*cache, s, "ls", "List entries, newest first",
                               [&s](Console& c) { return cache_list_command(s.cache_list, c); });
  list->add_option("--task", s.cache_list.task, "Only entries whose task's name begins so")
      ->type_name("NAME");
  add_moment(*list, s.cache_list.as_of);
  add_choice<std::string>(*list, "--sort", s.cache_list.sort,
                          {{"age", "age"}, {"size", "size"}, {"saved", "saved"}}, "Order");
  add_number(*list, "--limit", s.cache_list.limit, 1, 1'000'000, "At most so many (default: 1000)");
  CLI::App* get = add_command(*cache, s, "get", "Print a cached value, or a file of it",
                              [&s](Console& c) { return cache_get_command(s.cache_get, c); });
  get->add_option("KEY", s.cache_get.key,
                  "Key or its beginning; KEY:PATH is a file among the outputs")
      ->required();
  add_moment(*get, s.cache_get.as_of);
  get->add_option("-o,--output", s.cache_get.output, "Into this file")->type_name("FILE");
  CLI::App* show = add_command(*cache, s, "show", "All versions under a key and what went into it",
                               [&s](Console& c) { return cache_show_command(s.cache_show, c); });
  show->add_option("KEY", s.cache_show.key, "Key or its beginning")->required();
  add_moment(*show, s.cache_show.as_of);
  show->add_flag("--provenance", s.cache_show.provenance,
                 "What the result was made of, back to the sources");
  show->add_flag("--dot", s.cache_show.dot, "The provenance as a graph for dot");
  CLI::App* explain = add_command(
      *cache, s, "explain", "Tell why a task of a run was served from the cache, or was not",
      [&s](Console& c) { return cache_explain_command(s.cache_explain, c); });
  explain->add_option("RUN", s.cache_explain.run, "Id, beginning of an id, last or last:FLOW")
      ->required();
  explain->add_option("TASK", s.cache_explain.task, "Name of the task, such as align[s3]")
      ->required();
  add_server(*explain, s);
  add_command(*cache, s, "init-redis", "Load what the cache needs into the Redis server (--redis)",
              [](Console& c) { return cache_init_redis_command(c); });
  CLI::App* remove =
      add_command(*cache, s, "rm", "Remove results, so that their tasks run again; history stays",
                  [&s](Console& c) { return cache_remove_command(s.cache_remove, c); });
  add_selection(*remove, s.cache_remove.select);
  add_list(*remove, "--label", s.cache_remove.labels, "NAME=TEXT",
           "Made by runs with this label; may be repeated: with all of them");
  remove->add_flag("--downstream", s.cache_remove.downstream, "And everything made of them");
  remove->add_flag("--dry-run", s.cache_remove.dry_run, "Only tell what would go");
  CLI::App* promote = add_command(
      *cache, s, "promote", "Take results of another account over into the own one (--account)",
      [&s](Console& c) { return cache_promote_command(s.cache_promote, c); });
  add_selection(*promote, s.cache_promote.select);
  promote->add_option("--from", s.cache_promote.from, "Account that has them")
      ->required()
      ->type_name("NAME");
  promote->add_flag("--dry-run", s.cache_promote.dry_run, "Only tell what would be taken over");
  CLI::App* erase =
      add_command(*cache, s, "erase", "Erase results for good, with their history, everywhere",
                  [&s](Console& c) { return cache_erase_command(s.cache_erase, c); });
  add_selection(*erase, s.cache_erase.select);
  add_list(*erase, "--value", s.cache_erase.values, "DIGEST",
           "This value or file, under whichever keys; may be repeated");
  erase->add_flag("--downstream", s.cache_erase.downstream, "And everything made of them");
  erase->add_flag("--dry-run", s.cache_erase.dry_run, "Only tell what would go");
  CLI::App* pin = add_command(*cache, s, "pin",
                              "Keep a result, or all of a run, whatever gc would do; list pins",
                              [&s](Console& c) { return cache_pin_command(s.cache_pin, c); });
  pin->add_option("KEY", s.cache_pin.key, "Key or its beginning, or the digest of a value");
  pin->add_option("--run", s.cache_pin.run, "All results of this run")->type_name("RUN");
  pin->add_option("--why", s.cache_pin.why, "Kept with the pin")->type_name("TEXT");
  pin->add_flag("--rm", s.cache_pin.remove, "Take the pin away");
  CLI::App* collect = add_command(
      *cache, s, "gc", "Remove old history, results beyond a budget, and blobs nobody needs",
      [&s](Console& c) { return cache_collect_command(s.cache_collect, c); });
  add_number(*collect, "--versions", s.cache_collect.versions, 1, 1'000'000,
             "Superseded results of a key that stay (default: 16)");
  add_number(*collect, "--days", s.cache_collect.days, 0, 36'500,
             "And those younger than so many days (default: 30)");
  add_duration(*collect, "--max-age", s.cache_collect.max_age,
               "Remove results that were neither made nor used for so long");
  add_bytes(*collect, "--max-size", s.cache_collect.max_bytes,
            "Remove results, those of least worth first, until the rest takes no more");
  add_duration(*collect, "--grace", s.cache_collect.grace,
               "Blobs younger than this stay (default: 2h)");
  collect->add_flag("--dry-run", s.cache_collect.dry_run, "Only tell what would go");
  CLI::App* verify =
      add_command(*cache, s, "verify", "Look at every result and blob; exits with 10 for problems",
                  [&s](Console& c) { return cache_verify_command(s.cache_verify, c); });
  verify->add_flag("--repair", s.cache_verify.repair,
                   "Set aside what is damaged and remove what nothing needs");
  CLI::App* give =
      add_command(*cache, s, "export", "Write results, with all their versions, into one file",
                  [&s](Console& c) { return cache_export_command(s.cache_export, c); });
  give->add_option("FILE", s.cache_export.file, "New file, or - for stdout")->required();
  add_selection(*give, s.cache_export.select);
  CLI::App* take =
      add_command(*cache, s, "import", "Take in what `cache export` wrote",
                  [&s](Console& c) { return cache_import_command(s.cache_import, c); });
  add_import(*take, s.cache_import);
  CLI::App* stats = add_command(*cache, s, "stats", "Entries, sizes, hits and misses",
                                [&s](Console& c) { return cache_stats_command(s.cache_stats, c); });
  stats->add_flag("--zero", s.cache_stats.zero, "Count from zero again; what is kept stays");
}

void add_cluster_commands(CLI::App& app, CommandLine& s) {
  CLI::App* submit = add_command(app, s, "submit", "Give a flow to a server and print the run's id",
                                 [&s](Console& c) { return submit_command(s.submit, c); });
  submit->add_option("FLOW", s.submit.flow, "Flow file, WfFormat trace or STG graph; - is stdin")
      ->required();
  add_source(*submit, s.submit.parameters, s.submit.parameter_files, s.submit.mode, s.submit.scale,
             s.submit.touches);
  add_only(*submit, s.submit.only);
  bind(s, add_choice(*submit, "--cache", s.submit.cache, cache_modes, "How the cache is used"),
       "cache");
  submit
      ->add_option("--id-key", s.submit.key,
                   "Name of this submission: the same again is the same run, not a second one")
      ->type_name("KEY");
  add_priority(*submit, s.submit.priority);
  submit
      ->add_option("--namespace", s.submit.ns,
                   "What it counts for: namespaces share the workers by their weights")
      ->type_name("NAME");
  submit->add_flag("--wait", s.submit.wait,
                   "Stay until the run is finished; the exit code is its result");
  add_duration(*submit, "--timeout", s.submit.timeout,
               "With --wait: give up after this long, with exit code 7; the run goes on");
  add_server(*submit, s);

  for (const char* role : {"server", "scheduler"}) {
    CLI::App* group =
        app.add_subcommand(role, role == std::string_view("server") ? "Serve workers and clients"
                                                                    : "The same as server");
    group->fallthrough()->require_subcommand(1, 1);
    CLI::App* start =
        add_command(*group, s, "start", "Listen, and run what clients submit on the workers",
                    [&s](Console& c) { return server_start_command(s.server_start, c); });
    bind(s,
         start
             ->add_option("--listen", s.server_start.listen,
                          "Where to listen (default: 127.0.0.1:4747); port 0: any that is free")
             ->type_name("HOST:PORT"),
         "listen");
    start->add_option("--name", s.server_start.name, "Of this node (default: the host's)")
        ->type_name("NAME");
    start
        ->add_option("--port-file", s.server_start.port_file,
                     "Write the port into this file once it is open")
        ->type_name("FILE");
    bind(s,
         add_choice(*start, "--durability", s.server_start.durability, durabilities,
                    "What has to be on disk before anybody is told"),
         "durability");
    bind(s,
         add_duration(*start, "--suspect-after", s.server_start.suspect_after,
                      "A worker silent so long gets nothing new (default: 3s)"),
         "suspect_after");
    bind(s,
         add_duration(*start, "--lost-after", s.server_start.lost_after,
                      "A worker silent so long is given up (default: 10s)"),
         "lost_after");
    bind(s,
         add_duration(*start, "--reconcile-window", s.server_start.reconcile_window,
                      "How long runs that go on wait, after the start, for workers that still have "
                      "their attempts (default: 3s)"),
         "reconcile_window");
    add_limits(*start, s);
    MachineOptions& machine = s.globals.machine;
    bind(s,
         add_list(*start, "--weight", machine.weights, "NAMESPACE=NUMBER",
                  "Share of a namespace beside the others' (default: 1); may be repeated"),
         "weights");
    bind(s,
         add_number(*start, "--lost-limit", machine.lost_limit, 1, 1000,
                    "A task that so many workers in a row were lost with fails (default: 5)"),
         "lost_limit");
    bind(s,
         add_number(*start, "--max-runs", machine.max_runs, 1, 1'000'000,
                    "Refuse what is submitted while so many runs are under way"),
         "max_runs");
    bind(s,
         add_number(*start, "--max-tasks", machine.max_tasks, 1, 1'000'000'000,
                    "Refuse what would bring more tasks than this under way"),
         "max_tasks");
    bind(s,
         start
             ->add_option("--journal", s.server_start.journal,
                          "Share the journal with other servers through this Redis server; one of "
                          "them leads, the others stand by")
             ->type_name("URL"),
         "journal.url");
    bind(s,
         start
             ->add_option("--journal-password-file", s.server_start.journal_password_file,
                          "Its password: a file's first line")
             ->type_name("FILE"),
         "journal.password_file");
    bind(s,
         add_duration(*start, "--lead-term", s.server_start.lead_term,
                      "A leader that is gone is replaced after this time (default: 5s)"),
         "journal.lead_term");
    add_credentials(*start, s);
    add_log(*start, s.server_start.log);
  }

  CLI::App* worker = app.add_subcommand("worker", "Run tasks for a server, or list who does");
  worker->fallthrough()->require_subcommand(1, 1);
  CLI::App* start =
      add_command(*worker, s, "start", "Run what a server sends, until SIGTERM",
                  [&s](Console& c) { return worker_start_command(s.worker_start, c); });
  start->add_option("--name", s.worker_start.name, "Of this node (default: the host's)")
      ->type_name("NAME");
  bind(s,
       add_number(*start, "--slots", s.worker_start.slots, 1, 65536,
                  "Tasks at once (default: number of processors)"),
       "slots");
  bind(s,
       start
           ->add_option("--secrets", s.worker_start.secrets,
                        "Folder of the secrets that tasks ask for")
           ->type_name("DIR"),
       "secrets_dir");
  bind(s,
       add_duration(*start, "--grace", s.worker_start.grace,
                    "Time a task gets to stop before it is killed (default: 10s)"),
       "grace");
  add_machine(*start, s, "--label");
  add_duration(*start, "--link-patience", s.worker_start.link_patience,
               "A cut link that does not come back so long is over, and another one begins "
               "(default: 30s)");
  bind(s,
       add_duration(*start, "--orphan-after", s.worker_start.orphan_after,
                    "What runs is ended when nothing was heard of a server so long (default: 60s)"),
       "orphan_after");
  add_plugins(*start, s.worker_start.plugins);
  bind(s,
       add_choice<bool>(
           *start, "--isolation", s.worker_start.isolates, {{"process", true}, {"task", false}},
           "Functions run in processes of their own: users' all, or as their tasks ask"),
       "isolation");
  add_server(*start, s);
  add_log(*start, s.worker_start.log);
  CLI::App* list = add_command(*worker, s, "ls", "List the workers of a server",
                               [](Console& c) { return worker_list_command(c); });
  add_server(*list, s);
  constexpr std::array<std::pair<const char*, const char*>, 3> steering{
      {{"drain", "Give a worker nothing new; it finishes what it has, and stays"},
       {"undrain", "Give a worker work again"},
       {"stop", "Have a worker finish what it has, and end"}}};
  for (const auto& [verb, help] : steering) {
    CLI::App* steer =
        add_command(*worker, s, verb, help, [&s, what = std::string(verb)](Console& c) {
          return worker_steer_command(what, s.worker_steer, c);
        });
    steer->add_option("NAME", s.worker_steer.name, "Of the worker")->required();
    add_server(*steer, s);
  }

  CLI::App* cluster = app.add_subcommand("cluster", "Make the certificates of a cluster");
  cluster->fallthrough()->require_subcommand(1, 1);
  CLI::App* init = add_command(*cluster, s, "init", "Make the authority that certifies the nodes",
                               [&s](Console& c) { return cluster_init_command(s.cluster, c); });
  init->add_option("DIR", s.cluster.folder, "Folder of the authority")->required();
  CLI::App* add = add_command(*cluster, s, "add-node", "Make the certificates of a node",
                              [&s](Console& c) { return cluster_add_node_command(s.cluster, c); });
  add->add_option("NAME", s.cluster.name, "Of the node")->required();
  add_choice<std::string>(*add, "--role", s.cluster.role,
                          {{"worker", "worker"}, {"client", "client"}, {"scheduler", "scheduler"}},
                          "What it may do")
      ->required();
  add->add_option("--dir", s.cluster.folder, "Folder of the authority (default: here)")
      ->type_name("DIR");
}

void add_other_commands(CLI::App& app, CommandLine& s) {
  CLI::App* config = app.add_subcommand("config", "Show the settings and where they come from");
  config->fallthrough()->require_subcommand(1, 1);
  CLI::App* show = add_command(*config, s, "show", "Print every setting that holds",
                               [&s](Console& c) { return config_show_command(s.config_show, c); });
  show->add_flag("--origin", s.config_show.origin,
                 "And who set it: flag, variable, or file and line");
  show->add_flag("--sample", s.config_show.sample,
                 "Print a file with every setting, explained and commented out, instead");
  add_command(*config, s, "path", "List the files that are looked for, the strongest first",
              [](Console& c) { return config_path_command(c); });
  CLI::App* completion =
      add_command(app, s, "completion", "Print the script that completes commands in a shell",
                  [&s](Console& c) { return completion_command(s.shell, c); });
  add_choice<std::string>(*completion, "SHELL", s.shell,
                          {{"bash", "bash"}, {"zsh", "zsh"}, {"fish", "fish"}}, "Which shell")
      ->required();
  add_command(app, s, "doctor", "Find out what is wrong here",
              [](Console& c) { return doctor_command(c); });
  add_command(app, s, "version", "Print the version",
              [](Console& c) { return version_command(c); });
  CLI::App* help =
      add_command(app, s, "help", "Explain a command, or an error code such as RP1203", {});
  help->add_option("TOPIC", s.help_topic, "Command or error code");
}

}  // namespace

std::unique_ptr<CLI::App> make_app(CommandLine& s) {
  auto app =
      std::make_unique<CLI::App>("Runs flows of tasks, remembers what they gave.", "reprise");
  app->set_help_flag("-h,--help", "Print this and exit");
  app->require_subcommand(
      0, 1);  // at most one: a flow called "status" is an argument of run, not a command
  add_globals(*app, s);
  add_running_commands(*app, s);
  add_looking_commands(*app, s);
  add_picturing_commands(*app, s);
  add_steering_commands(*app, s);
  add_cache_commands(*app, s);
  add_cluster_commands(*app, s);
  add_other_commands(*app, s);
  app->footer(
      "RUN is an id, the beginning of one, last, or last:FLOW.\n"
      "Exit codes: 0 done, 1 failed, 2 invalid, 3 not reachable, 5 not found, 6 conflict, 7 "
      "timeout,\n"
      "            8 cancelled, 9 waits for a person, 10 differences, 70 internal error, 130 "
      "Ctrl-C.");
  return app;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(app)) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> names_of_flags(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* app = &command; app; app = app->get_parent())
    for (const CLI::Option* option : app->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

}  // namespace reprise::cli
