#include "cli/run_ending.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/documents.hpp"
#include "cli/outputs.hpp"
#include "cli/text.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t value_columns_max = 200;

void print_outputs(const EndedRun& ended, Console& console) {
  const RunResult& result = ended.result;
  const auto& files = ended.files;
  for (const auto& [name, payload] : result.outputs) {
    const std::string shown = escape_for_terminal(name);
    if (const auto file = files.find(name); file != files.end()) {
      console.out(fmt::format("output {} → {}", shown, escape_for_terminal(file->second)));
      continue;
    }
    const Json value = value_json(payload);
    const std::string* words = value.is_string() ? value.get_ptr<const std::string*>() : nullptr;
    if (words && words->find('\n') < words->size() - 1) {  // several lines: as a block
      console.out(fmt::format("output {} =", shown));
      for (const std::string& line : lines_of(*words)) console.out("  " + escape_log_line(line));
      continue;
    }
    std::string text =
        words ? escape_for_terminal(words->ends_with('\n') ? words->substr(0, words->size() - 1)
                                                           : *words)
              : to_line(value);
    if (console.options().verbosity == 0 && is_terminal(STDOUT_FILENO))
      text = shorten(text, value_columns_max);
    console.out(fmt::format("output {} = {}", shown, text));
  }
  console.flush();
}

/// "success in 2m 04s — 8 tasks: 5 cached, 3 ran (1 retried). Slowest: align[s3] 1m 04s."
void print_end(const RunResult& result, const Progress& progress, Console& console) {
  const Style style = console.err_style();
  const journal::Summary& sum = result.summary;
  std::vector<std::string> parts;
  const auto add = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) parts.push_back(fmt::format("{} {}", grouped(count), what));
  };
  add(sum.cached, "cached");
  add(sum.executed, "ran");
  if (sum.executed > 0 && progress.retried() > 0)
    parts.back() += fmt::format(" ({} retried)", grouped(progress.retried()));
  add(sum.failed, "failed");
  add(sum.skipped, "skipped");
  add(sum.cancelled, "cancelled");
  std::string line =
      style(ink(result.state), name(result.state)) +
      fmt::format(" in {} — {}", describe(result.makespan), counted(sum.tasks, "task"));
  if (!parts.empty()) line += fmt::format(": {}", fmt::join(parts, ", "));
  if (const auto& slowest = progress.slowest();
      slowest && sum.executed > 1 && slowest->duration >= std::chrono::seconds{1})
    line += fmt::format(". Slowest: {} {}", escape_for_terminal(slowest->name),
                        describe(slowest->duration));
  console.say(line);
  if (!result.message.empty()) console.say("  " + escape_for_terminal(result.message));
  const std::string run = result.id.short_text();
  if (progress.failure_count() > progress.failures().size())
    console.say(
        fmt::format("  … {} more failures", progress.failure_count() - progress.failures().size()));
  if (result.state == RunState::failed) {
    console.say(style(
        Ink::dim, fmt::format("next: reprise status {}   ·   reprise logs {} --failed", run, run)));
  } else if (result.state == RunState::interrupted) {
    console.say(fmt::format("  the run is left interrupted; what is finished is kept\n{}",
                            style(Ink::dim, fmt::format("next: reprise resume {}", run))));
  } else if (result.state == RunState::paused) {
    if (const std::string paused = paused_text(progress.run()); !paused.empty())
      console.say("  paused: " + paused);
    console.say(style(Ink::dim, fmt::format("the run waits for a person: reprise resume {}   ·   "
                                            "reprise cancel {}",
                                            run, run)));
  } else if (is_terminal(STDERR_FILENO)) {
    console.say(style(Ink::dim, "details: reprise status last"));
  }
}

}  // namespace

int tell_ending(const EndedRun& ended, const Progress& progress, Console& console) {
  const RunResult& result = ended.result;
  int code = exit_code_of(result.state);
  if (!ended.put_status) {
    if (code == exit_ok) code = exit_failed;
    if (!console.is_json())
      console.fail(ended.put_status.error(), code);
    else
      console.warn(escape_for_terminal(ended.put_status.error().message));
  }
  const auto document = [&] {
    return run_json({result, ended.flow_name, ended.continued, ended.files, progress.failures(),
                     paused_json(progress.run())});
  };
  if (console.is_json())
    code = console.document(document(), code);
  else if (console.options().progress == ProgressChoice::json)
    console.out(to_line(document()));
  else if (!console.is_quiet())
    print_outputs(ended, console);
  print_end(result, progress, console);
  return code;
}

Status check_out_folder(const FlowSpec& flow, const std::string& out) {
  std::error_code error;
  if (!may_give_files(flow) || !std::filesystem::exists(out, error)) return {};
  if (!std::filesystem::is_directory(out, error))
    return fail(ErrorCode::invalid_argument,
                fmt::format("--out \"{}\" is no directory", escape_for_terminal(out)));
  return {};
}

Progress::Options progress_options(const FlowSpec& flow, const std::string& flow_name,
                                   const Console& console) {
  Progress::Options how;
  how.choice = resolve(console.options().progress, is_terminal(STDERR_FILENO), std::getenv("TERM"));
  const char* github = std::getenv("GITHUB_ACTIONS");
  how.github = github && std::string_view(github) == "true";
  how.flow_file = flow.source_file.empty() ? flow_name : flow.source_file;
  return how;
}

}  // namespace reprise::cli
