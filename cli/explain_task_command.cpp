// `reprise explain`: why a task waits, or what became of it, on one page.
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/run_selector.hpp"
#include "cli/style.hpp"
#include "core/text.hpp"
#include "journal/waiting.hpp"

namespace reprise::cli {
namespace {

std::string in_quotes(std::string_view task) {
  return fmt::format("'{}'", escape_for_terminal(task));
}

/// What to do about it, or look at next.
std::string hint_of(const journal::Waiting& waiting, const std::string& run) {
  switch (waiting.reason) {
    case WaitingReason::upstream:
      return fmt::format("reprise status {}", run);
    case WaitingReason::slots:
      return "more slots, or workers, let more tasks run at once";
    case WaitingReason::resources:
      return "reprise worker ls   shows what each worker has; --resource, --gpus and --memory of "
             "`worker start` say more";
    case WaitingReason::no_worker_for_task:
      return "start a worker that has it, or change what the task asks for";
    case WaitingReason::retry_backoff:
      return "it is tried again by itself";
    case WaitingReason::paused:
      return fmt::format("reprise resume {}", run);
    case WaitingReason::concurrency_limit:
      return "the limit is set where the run is run: --limit, or the setting limits";
    case WaitingReason::when_false:
      return {};
    case WaitingReason::cache:
      return "it is served from there, or runs itself when the other run fails";
  }
  return {};
}

Json waiting_json(const std::optional<journal::Waiting>& waiting) {
  if (!waiting) return nullptr;
  return {{"reason", name(waiting->reason)},
          {"text", waiting->text},
          {"since", waiting->since ? Json(to_rfc3339(*waiting->since)) : Json(nullptr)}};
}

}  // namespace

int explain_task_command(const TaskExplainOptions& options, Console& console) {
  const auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  const auto row = find_run(options.run, *reading->journal);
  if (!row) return console.fail(row.error());
  const auto view = journal::load_run(*reading->journal, *row);
  if (!view) return console.fail(view.error());
  const auto task = find_task(options.task, *row, *view);
  if (!task) return console.fail(task.error());
  const RunState run_state = reading->folder.effective_state(*row);
  const auto [state, stored] = shown_state(view->state(*task), view->cache(*task));
  const std::string name_shown = escape_for_terminal(view->task_name(*task));
  const std::string run = row->id.short_text();
  const bool is_over = is_finished(run_state) || run_state == RunState::interrupted;
  std::optional<journal::Waiting> waiting = journal::why_waiting(*view, *task);
  if (is_over && waiting && waiting->reason != WaitingReason::when_false) waiting.reset();
  const std::string message(view->message(*task));
  const std::string hint =
      waiting            ? hint_of(*waiting, run)
      : is_failed(state) ? fmt::format("reprise logs {} {}", run, in_quotes(view->task_name(*task)))
      : is_success(state)
          ? fmt::format("reprise cache explain {} {}", run, in_quotes(view->task_name(*task)))
      : run_state == RunState::interrupted ? fmt::format("reprise resume {}", run)
                                           : std::string();
  if (console.is_json())
    return console.document({{"schema", "reprise.explain/1"},
                             {"run", row->id.text()},
                             {"run_state", name(run_state)},
                             {"task", view->task_name(*task)},
                             {"state", name(state)},
                             {"stored", stored},
                             {"attempts", view->run_count(*task)},
                             {"waiting", waiting_json(waiting)},
                             {"message", message.empty() ? Json(nullptr) : Json(message)},
                             {"hint", hint.empty() ? Json(nullptr) : Json(hint)}});
  if (waiting && waiting->reason == WaitingReason::when_false) {
    console.out(fmt::format("{} was skipped: {}", name_shown, name(waiting->reason)));
    console.out("  when    " + escape_for_terminal(waiting->text));
    return exit_ok;
  }
  if (waiting) {
    console.out(fmt::format("{} is waiting: {}", name_shown, name(waiting->reason)));
    console.out("  why     " + escape_for_terminal(waiting->text));
    if (waiting->since)
      console.out(fmt::format("  since   {} ({})", to_rfc3339(*waiting->since),
                              describe(std::max(now() - *waiting->since, Duration{0}))));
  } else {
    console.out(fmt::format("{} is {}{}", name_shown, name(state),
                            is_over && !is_finished(state)
                                ? fmt::format("; the run is {}", name(run_state))
                                : std::string()));
    if (!message.empty()) console.out("  why     " + escape_for_terminal(message));
    if (view->run_count(*task) > 1)
      console.out(fmt::format("  tries   {}", view->run_count(*task)));
  }
  if (!hint.empty()) console.out("  hint    " + hint);
  return exit_ok;
}

}  // namespace reprise::cli
