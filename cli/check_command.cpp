// `reprise check`: the mistakes in flow files, all at once.
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/flow_source.hpp"
#include "cli/text.hpp"
#include "flow/flow_file.hpp"

namespace reprise::cli {

int check_command(const CheckOptions& options, Console& console) {
  if (options.print_schema) {
    console.raw(print_schema());
    return exit_ok;
  }
  if (options.files.empty())
    return console.fail({ErrorCode::invalid_argument, "check: which file? give a FLOW"},
                        exit_invalid);
  int code = exit_ok;
  Json files = Json::array();
  auto functions = plugin_functions(options.plugins);
  if (!functions) return console.fail(functions.error(), exit_invalid);
  SourceOptions source;
  source.functions = *std::move(functions);
  source.missing_function = FlowFileOptions::Missing::elsewhere;
  auto how = load_options(source);
  if (!how) return console.fail(how.error(), exit_invalid);
  for (const std::string& path : options.files) {
    const auto loaded = load_flow(path, *how);
    if (!loaded) {
      code = exit_invalid;
      const LoadFailure& failure = loaded.error();
      console.complain(
          render(failure.mistakes, failure.file_name, failure.text, console.err_style().colored));
      files.push_back({{"file", path},
                       {"valid", false},
                       {"kind", nullptr},
                       {"name", nullptr},
                       {"tasks", nullptr},
                       {"errors", mistakes_of(failure, path).errors}});
      continue;
    }
    if (!loaded->warnings.empty())
      console.complain(render(loaded->warnings, path, loaded->text, console.err_style().colored));
    files.push_back({{"file", path},
                     {"valid", true},
                     {"kind", name(loaded->kind)},
                     {"name", loaded->flow.name},
                     {"tasks", loaded->flow.nodes.size()},
                     {"errors", Json::parse(to_json(loaded->warnings, path), nullptr, false)}});
    if (!console.is_json())
      console.say(fmt::format("{} {}: {}, {}", console.err_style()(Ink::green, "✓"),
                              escape_for_terminal(path), name(loaded->kind),
                              counted(loaded->flow.nodes.size(), "task")));
  }
  if (console.is_json())
    return console.document(
        {{"schema", "reprise.check/1"}, {"valid", code == exit_ok}, {"files", std::move(files)}},
        code, "files");
  return code;
}

}  // namespace reprise::cli
