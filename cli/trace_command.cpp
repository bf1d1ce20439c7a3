// `reprise trace`: a run for programs that show traces.
#include "cli/commands.hpp"
#include "cli/document_out.hpp"
#include "cli/run_place.hpp"
#include "cli/run_selector.hpp"
#include "cli/run_trace.hpp"

namespace reprise::cli {

int trace_command(const TraceCommandOptions& options, Console& console) {
  const auto place = RunPlace::open(console.options());
  if (!place) return console.fail(place.error());
  journal::Journal& journal = (*place)->journal();
  auto row = find_run(options.run, journal);
  if (!row) return console.fail(row.error());
  const auto state = (*place)->state(*row);
  if (!state) return console.fail(state.error());
  const auto history = load_history(journal, *row);
  if (!history) return console.fail(history.error());
  const auto out = DocumentOut::open(options.output, console);
  if (!out) return console.fail(out.error());

  const Time until = end_of_open(history->view(), *row, *state, now());
  const auto attempts = history->attempts(until);
  const RunTrace trace{*row, *state, history->view(), attempts, until};
  const Write write = [&](std::string_view bytes) { (*out)->write(bytes); };
  if (options.format == "otlp") {
    Origins origins(journal);
    write_otlp_trace(trace, origins, write);
  } else {
    write_chrome_trace(trace, write);
  }
  return (*out)->finish_and_tell(row->id.text(), options.format);
}

}  // namespace reprise::cli
