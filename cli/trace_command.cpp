// `reprise trace`: a run for programs that show traces.
#include "cli/commands.hpp"
#include "cli/document_out.hpp"
#include "cli/run_trace.hpp"

namespace reprise::cli {

int trace_command(const TraceCommandOptions& options, Console& console) {
  const auto place = RunPlace::open(console.options());
  if (!place) return console.fail(place.error());
  const auto run = load_recorded(**place, options.run, console);
  if (!run) return run.error();
  const auto out = DocumentOut::open(options.output, console);
  if (!out) return console.fail(out.error());

  const Write write = [&](std::string_view bytes) { (*out)->write(bytes); };
  if (options.format == "otlp") {
    Origins origins((*place)->journal());
    write_otlp_trace(*run, origins, write);
  } else {
    write_chrome_trace(*run, write);
  }
  return (*out)->finish_and_tell(run->row.id.text(), options.format);
}

}  // namespace reprise::cli
