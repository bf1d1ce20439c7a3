// `reprise report`: a run as one page of HTML.
#include <algorithm>

#include "cli/commands.hpp"
#include "cli/document_out.hpp"
#include "cli/origins.hpp"
#include "cli/recorded_outputs.hpp"
#include "cli/run_place.hpp"
#include "cli/run_report.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t failures_max = 20;
constexpr std::size_t lines_max = 20;
constexpr std::size_t bytes_max = 16 * 1024;  // of a log are looked at

/// The first lines that the last attempt of a task printed: to stderr, or else to stdout.
void add_lines(RunReport::Failure& failure, const journal::RunView& view, const RunId& run,
               RunPlace& place) {
  const std::uint32_t attempt = std::max(view.run_count(failure.task), 1u);
  for (const worker::Stream stream : {worker::Stream::err, worker::Stream::out}) {
    const auto bytes = place.read_log(run, {failure.task, attempt, stream}, 0, bytes_max);
    if (!bytes || bytes->empty()) continue;
    failure.lines = lines_of(*bytes);
    failure.has_more = bytes->size() == bytes_max || failure.lines.size() > lines_max;
    failure.lines.resize(std::min(failure.lines.size(), lines_max));
    return;
  }
}

void add_failures(RunReport& report, RunPlace& place) {
  const journal::RunView& view = report.run.view();
  for (std::uint32_t t = 0; t < view.size(); ++t) {
    const TaskId task{t};
    // What failed because something else did has nothing to tell.
    if (!view.counts_as_task(task) || !is_failed(view.state(task)) ||
        view.state(task) == TaskState::trigger_failed)
      continue;
    if (report.failures.size() == failures_max) {
      ++report.failures_left;
      continue;
    }
    report.failures.push_back({task, {}, false});
    add_lines(report.failures.back(), view, report.run.row.id, place);
  }
}

void add_savings(RunReport& report, journal::Journal& journal) {
  Origins origins(journal);
  for (const PastAttempt& attempt : report.run.attempts) {
    if (attempt.cache != journal::CacheOutcome::hit) continue;
    const Origins::Producer* producer = attempt.detail ? origins.find(*attempt.detail) : nullptr;
    if (producer != nullptr)
      report.saved += producer->duration;
    else
      ++report.saved_unknown;
  }
}

}  // namespace

int report_command(const ReportOptions& options, Console& console) {
  const auto place = RunPlace::open(console.options());
  if (!place) return console.fail(place.error());
  const auto run = load_recorded(**place, options.run, console);
  if (!run) return run.error();
  const auto out = DocumentOut::open(options.output, console);
  if (!out) return console.fail(out.error());

  RunReport report{
      .run = *run, .made = now(), .outputs = recorded_outputs(run->view(), run->row.parameters)};
  add_failures(report, **place);
  add_savings(report, (*place)->journal());
  (*out)->write(report_page(report));
  return (*out)->finish_and_tell(run->row.id.text(), "html");
}

}  // namespace reprise::cli
