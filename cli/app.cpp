#include "cli/app.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "cli/command_tree.hpp"
#include "cli/commands.hpp"
#include "cli/remote.hpp"
#include "cli/settings.hpp"
#include "cli/signals.hpp"
#include "cli/version.hpp"
#include "core/fail_point.hpp"
#include "core/text.hpp"
#include "worker/function_server.hpp"
#include "worker/plugin.hpp"
#include "worker/process_tree.hpp"

namespace reprise::cli {
namespace {

constexpr const char* completing = "__complete";

/// The innermost command that was recognised.
const CLI::App& chosen(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return *command;
}

std::string command_path(const CLI::App& command) {
  if (!command.get_parent()) return "reprise";
  return command_path(*command.get_parent()) + " " + command.get_name();
}

std::string help_of(const CLI::App& command) {
  return command.help(command.get_parent() ? command_path(*command.get_parent()) : std::string());
}

UsageError usage_error(const CLI::ParseError& error, const CLI::App& app,
                       const std::vector<std::string>& arguments) {
  UsageError result{{ErrorCode::invalid_argument, error.what()}, {}, false};
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    result.wants_json = result.wants_json || argument == "--json";
  }
  const CLI::App& command = chosen(app);
  const std::string path = command_path(command);
  const std::vector<std::string> rest = app.remaining(true);
  const auto expects_command = [&] { return !names_of_commands(command).empty(); };
  if (!rest.empty()) {
    const std::string& word = rest.front();
    const std::string shown = escape_for_terminal(word);
    const std::string flag = word.substr(0, word.find('='));
    if (word.size() > 1 && word[0] == '-') {
      result.error.message =
          fmt::format("`{}` has no flag \"{}\"{}", path, escape_for_terminal(flag),
                      did_you_mean(flag, names_of_flags(command)));
    } else if (expects_command()) {
      result.error.message = fmt::format(
          "\"{}\" is no command{}{}", shown, &command == &app ? "" : " of `" + path + "`",
          word == "rerun" ? "; did you mean \"retry\", or \"fork\"?"
                          : did_you_mean(word, names_of_commands(command)));
    } else {
      result.error.message = fmt::format("`{}` takes no further argument \"{}\"", path, shown);
    }
  } else {
    std::string text = escape_for_terminal(result.error.message);
    result.error.message = text;
  }
  result.hint = fmt::format("see `{} --help`", path);
  return result;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (const auto part = text.substr(0, comma); !part.empty()) parts.emplace_back(part);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return parts;
}

/// The page of a command, or of an error code.
tl::expected<Invocation, UsageError> help(CLI::App& app, const std::shared_ptr<CommandLine>& s) {
  Invocation invocation{s->globals, {}, {}};
  if (s->help_topic.size() == 1 && s->help_topic[0].starts_with("RP")) {
    invocation.action = [s](Console& c) { return error_page_command(s->help_topic[0], c); };
    return invocation;
  }
  CLI::App* command = &app;
  for (const std::string& word : s->help_topic) {
    CLI::App* next = nullptr;
    for (CLI::App* candidate : command->get_subcommands([](CLI::App*) { return true; }))
      if (candidate->get_name() == word) next = candidate;
    if (!next)
      return tl::unexpected(UsageError{
          {ErrorCode::invalid_argument,
           fmt::format("\"{}\" is no command and no error code{}", escape_for_terminal(word),
                       did_you_mean(word, names_of_commands(*command)))},
          "see `reprise --help`",
          s->globals.json});
    command = next;
  }
  invocation.text = help_of(*command);
  return invocation;
}

/// Where a command looks for the project's settings: beside its flow, or here.
std::string project_folder(const CLI::App& command, const CommandLine& line) {
  std::string flow;
  if (command.get_name() == "run") flow = line.run.flow;
  if (command.get_name() == "submit") flow = line.submit.flow;
  if (command.get_name() == "plan") flow = line.plan.flow;
  if (command.get_name() == "check" && !line.check.files.empty()) flow = line.check.files.front();
  if (flow.empty() || flow == "-") return ".";
  const auto folder = std::filesystem::path(flow).parent_path();
  return folder.empty() ? "." : folder.string();
}

SettingsUse settings_use(const CLI::App& command) {
  const std::string path = command_path(command);
  for (const char* name :
       {"reprise version", "reprise completion", "reprise config path", "reprise signal"})
    if (path == name) return SettingsUse::none;
  return path == "reprise doctor" ? SettingsUse::if_sound : SettingsUse::required;
}

/// What the scripts of `reprise completion` call: the words so far are not to be parsed.
Invocation completing_invocation(std::vector<std::string> arguments) {
  arguments.erase(arguments.begin());
  if (!arguments.empty() && arguments.front() == "--") arguments.erase(arguments.begin());
  Invocation invocation;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--data=")) invocation.globals.data = arguments[i].substr(7);
    if (arguments[i] == "--data" && i + 2 < arguments.size())
      invocation.globals.data = arguments[i + 1];
  }
  invocation.settings = SettingsUse::if_sound;
  invocation.apply = [globals = invocation.globals](const Configuration& configuration) {
    GlobalOptions made = globals;
    if (const SettingValue* data = configuration.find("data"); data && made.data.empty())
      made.data = data->text;
    return made;
  };
  invocation.action = [words = std::move(arguments)](Console& console) {
    return complete_command(words, console);
  };
  return invocation;
}

/// Reads the settings and applies them. @return an exit code when the command cannot go on
std::optional<int> configure(Invocation& invocation) {
  if (invocation.settings == SettingsUse::none || !invocation.apply) return std::nullopt;
  const auto configuration = load_configuration(invocation.globals);
  if (configuration) {
    invocation.globals = invocation.apply(*configuration);
    if (invocation.settings == SettingsUse::if_sound) return std::nullopt;
    Console console(invocation.globals);
    for (const SettingsFile& file : configuration->files())
      if (!file.ignored_because.empty())
        console.warn(fmt::format("settings in \"{}\" are ignored: {}",
                                 escape_for_terminal(file.path.string()), file.ignored_because));
    return std::nullopt;
  }
  if (invocation.settings == SettingsUse::if_sound) return std::nullopt;
  Console console(invocation.globals);
  return fail_for_settings(configuration.error(), console);
}

}  // namespace

tl::expected<Invocation, UsageError> parse_command_line(std::vector<std::string> arguments) {
  if (!arguments.empty() && arguments.front() == completing)
    return completing_invocation(arguments);
  auto settings = std::make_shared<CommandLine>();
  const std::shared_ptr<CLI::App> app = make_app(*settings);
  const std::vector<std::string> given = arguments;
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app->parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    const CLI::App& command = chosen(*app);
    return Invocation{settings->globals, {}, help_of(command)};
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(usage_error(error, *app, given));
  } catch (const CLI::Error& error) {
    return tl::unexpected(
        UsageError{{ErrorCode::invalid_argument, error.what()}, "see `reprise --help`", false});
  }
  settings->globals.fields = split(settings->fields);
  if (!settings->fields.empty() && !settings->globals.json)
    return tl::unexpected(
        UsageError{{ErrorCode::invalid_argument,
                    "--fields selects from the document that --json prints; add --json"},
                   {},
                   false});
  if (app->get_subcommands().empty())
    return tl::unexpected(
        UsageError{{ErrorCode::invalid_argument, "what shall it be? no command was given"},
                   "see `reprise --help`",
                   settings->globals.json});
  if (app->get_subcommands().front()->get_name() == "help") return help(*app, settings);
  const CLI::App& command = chosen(*app);
  settings->globals.project_from = project_folder(command, *settings);
  for (const CommandLine::Bound& bound : settings->bound)
    if (bound.option->count() > 0)
      settings->globals.given[std::string(bound.key)] = bound.option->results().back();
  // The action refers to the storage, and that to the app: they live as long as it does.
  Invocation invocation{
      settings->globals, [settings](Console& console) { return settings->action(console); }, {}};
  invocation.path = command_path(command);
  invocation.waits = invocation.path == "reprise wait" || settings->status.watch;
  invocation.settings = settings_use(command);
  invocation.apply = [settings, app](const Configuration& configuration) {
    apply_settings(configuration, *settings);
    return settings->globals;
  };
  return invocation;
}

namespace {

/// What a process that only runs functions serves: the built-in ones, and those of the plugins.
Result<std::shared_ptr<worker::FunctionTable>> functions_with(std::span<char*> plugins) {
  auto table = std::make_shared<worker::FunctionTable>();
  worker::add_builtins(*table);
  for (const char* path : plugins)
    if (Status loaded = worker::load_plugin(path, *table); !loaded)
      return tl::unexpected(loaded.error());
  return table;
}

}  // namespace

int main_program(int argc, char** argv) {
  worker::serve_functions_if_asked(argc, argv, functions_with);
  ignore_broken_pipes();
  worker::adopt_orphans();  // a task's background processes stay ours to end
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  auto invocation = parse_command_line(arguments);
  if (!invocation) {
    GlobalOptions globals;
    globals.json = invocation.error().wants_json;
    Console console(globals);
    console.fail(invocation.error().error, exit_invalid);
    if (!invocation.error().hint.empty()) console.say(invocation.error().hint);
    return exit_invalid;
  }
  if (const auto code = configure(*invocation)) return *code;
  Console console(invocation->globals);
  if (const Status understood = fail_points::check(); !understood)
    return console.fail(understood.error(), exit_invalid);
  int code = exit_ok;
  try {
    if (!invocation->globals.server.empty() && is_remote_command(invocation->path) &&
        !invocation->waits)
      code = ask_server(arguments, console);
    else if (invocation->action)
      code = invocation->action(console);
    else if (console.is_json())
      code = console.document({{"schema", "reprise.help/1"}, {"text", invocation->text}});
    else
      console.raw(invocation->text);
  } catch (const std::exception& exception) {
    code = console.fail({ErrorCode::internal, fmt::format("internal error: {}", exception.what())},
                        exit_internal);
    std::string line;
    for (int i = 0; i < argc; ++i) line += (i == 0 ? "" : " ") + escape_for_terminal(argv[i]);
    console.say(
        fmt::format("this is a bug; please report it with these lines:\n  version  {}\n  command  "
                    "{}\n  error    {}",
                    version_text, line, escape_for_terminal(exception.what())));
  }
  console.flush();
  if (!console.is_open() && code == exit_ok) return 128 + 13;  // as if SIGPIPE had ended it
  return code;
}

}  // namespace reprise::cli
