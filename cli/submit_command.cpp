// `reprise submit`, and `wait`, `cancel` and `pause` of a server's runs.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cli/commands.hpp"
#include "cli/documents.hpp"
#include "cli/flow_source.hpp"
#include "cli/remote.hpp"
#include "cli/steering.hpp"
#include "cli/text.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

Json ended_json(const cluster::wire::RunEnded& ended) {
  Json outputs = Json::object();
  for (const auto& [name, value] : ended.outputs) outputs[name] = value_json(value);
  Json document{{"schema", "reprise.ended/1"},
                {"run", ended.run.text()},
                {"state", name(ended.state)},
                {"summary", summary_json(ended.summary)},
                {"outputs", std::move(outputs)}};
  if (!ended.message.empty()) document["message"] = ended.message;
  return document;
}

void say_ended(const cluster::wire::RunEnded& ended, Console& console) {
  const Style style = console.err_style();
  const journal::Summary& sum = ended.summary;
  console.say(fmt::format(
      "run {}  {}: {} tasks, {} cached, {} ran, {} failed", ended.run.short_text(),
      style(ink(ended.state), fmt::format("{} {}", glyph(ended.state), name(ended.state))),
      sum.tasks, sum.cached, sum.executed, sum.failed));
  if (!ended.message.empty()) console.say("  " + escape_for_terminal(ended.message));
}

int fail_waiting(const Error& error, const RunId& run, Console& console) {
  const int code = console.fail(error);
  if (error.code == ErrorCode::unavailable)
    console.say(fmt::format("the run goes on; ask again: reprise wait {} --server {}",
                            run.short_text(), escape_for_terminal(console.options().server)));
  return code;
}

/// Waits for one run. @return its end, or the exit code
tl::expected<cluster::wire::RunEnded, int> await(cluster::Client& client, const RunId& run,
                                                 std::optional<Duration> timeout,
                                                 Console& console) {
  auto ended = client.wait(run, timeout);
  if (!ended) return tl::unexpected(fail_waiting(ended.error(), run, console));
  if (!*ended)
    return tl::unexpected(
        console.fail({ErrorCode::unavailable,
                      fmt::format("run {} is not finished yet; it goes on", run.short_text())},
                     exit_timeout));
  return **std::move(ended);
}

}  // namespace

int submit_command(const SubmitOptions& options, Console& console) {
  if (console.options().server.empty())
    return console.fail({ErrorCode::invalid_argument,
                         "submit gives the flow to a server: name it with --server HOST:PORT, or "
                         "use `reprise run`"},
                        exit_invalid);
  if (options.key.size() > 64)
    return console.fail({ErrorCode::invalid_argument, "--id-key has more than 64 bytes"},
                        exit_invalid);
  // What is wrong with the flow is of more use than that the server cannot be asked.
  auto client = connect_client(console.options());
  SourceOptions from{options.flow, options.mode, options.scale, options.touches};
  if (client) from.functions = offered_functions(**client);
  from.missing_function = FlowFileOptions::Missing::waits;
  from.only = options.only;
  auto source = load_source(from, console);
  if (!source) return source.error();
  const auto flow = std::make_shared<const FlowSpec>(std::move(source->flow));
  const auto parameters = read_parameters(*flow, options.parameters, options.parameter_files);
  if (!parameters) return console.fail(parameters.error(), exit_invalid);
  if (!client) return console.fail(client.error());
  RunOptions run;
  run.cache = options.cache;
  run.priority = options.priority;
  run.ns = options.ns;
  run.parameters = *parameters;
  const auto begin = std::chrono::steady_clock::now();
  const auto left = [&]() -> std::optional<Duration> {
    if (!options.timeout) return std::nullopt;
    const Duration passed = std::chrono::steady_clock::now() - begin;
    return std::max(*options.timeout - passed, Duration{0});
  };
  const auto submitted =
      submit_to(**client, flow, run, options.key, options.wait ? left() : std::nullopt);
  if (!submitted)
    return options.wait && left() == Duration{0} ? console.fail(submitted.error(), exit_timeout)
                                                 : console.fail(submitted.error());
  const std::string id = submitted->run.text();
  if (!options.wait) {
    if (console.is_json())
      return console.document({{"schema", "reprise.submit/1"},
                               {"run", id},
                               {"continued", submitted->continued},
                               {"durability", submitted->stable ? "stable" : "accepted"}});
    console.out(id);
    if (!submitted->stable)
      console.warn("the server keeps no journal: the run is accepted, and lost if it ends");
    return exit_ok;
  }
  if (!console.is_json()) console.out(id);
  console.flush();
  const auto ended = await(**client, submitted->run, left(), console);
  if (!ended) return ended.error();
  const int code = exit_code_of(ended->state);
  if (console.is_json()) return console.document(ended_json(*ended), code);
  for (const auto& [name, value] : ended->outputs)
    console.out(
        fmt::format("output {} = {}", escape_for_terminal(name), to_line(value_json(value))));
  say_ended(*ended, console);
  return code;
}

// Waiting is the link's business; what is printed afterwards is what `wait` prints there.
int wait_for_remote(const WaitOptions& options, Console& console) {
  auto client = connect_client(console.options());
  if (!client) return console.fail(client.error());
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::string> words{"wait", "--for=" + options.until};
  for (const std::string& text : options.runs) {
    const auto run = find_remote_run(text, **client);
    if (!run) return console.fail(run.error());
    words.push_back(run->text());
    std::optional<Duration> left;
    if (options.timeout)
      left = std::max<Duration>(*options.timeout - std::chrono::duration_cast<Duration>(
                                                       std::chrono::steady_clock::now() - begin),
                                Duration{0});
    const auto ended = (*client)->wait(*run, left);
    if (!ended) return fail_waiting(ended.error(), *run, console);
  }
  const GlobalOptions& globals = console.options();
  if (globals.json) words.emplace_back("--json");
  if (globals.quiet) words.emplace_back("--quiet");
  if (!globals.fields.empty())
    words.push_back(fmt::format("--fields={}", fmt::join(globals.fields, ",")));
  return carry_out_there(std::move(words), **client, console);
}

int steer_remote(Steering what, const CancelOptions& options, Console& console) {
  auto client = connect_client(console.options());
  if (!client) return console.fail(client.error());
  const auto run = find_remote_run(options.run, **client);
  if (!run) return console.fail(run.error());
  const Status done = what == Steering::cancel
                          ? (*client)->cancel(*run, options.tasks, options.reason)
                          : (*client)->pause(*run, options.tasks, options.reason);
  if (!done) return console.fail(done.error());
  const std::string_view verb = what == Steering::cancel ? "cancel" : "pause";
  if (console.is_json())
    return console.document(
        {{"schema", fmt::format("reprise.{}/1", verb)},
         {"run", run->text()},
         {"tasks", options.tasks},
         {"state", name(what == Steering::cancel && options.tasks.empty() ? RunState::cancelling
                                                                          : RunState::running)}});
  console.say(fmt::format("run {}: {} asked for", run->short_text(), verb));
  return exit_ok;
}

}  // namespace reprise::cli
