// `reprise graph`: a flow, or a run with its states, as a graph.
#include <filesystem>

#include "cli/commands.hpp"
#include "cli/document_out.hpp"
#include "cli/flow_picture.hpp"
#include "cli/flow_source.hpp"
#include "cli/run_place.hpp"
#include "cli/run_selector.hpp"

namespace reprise::cli {
namespace {

/// "last" is a run even beside a file of that name, which can be given as "./last"; else what is
/// there as a file is a flow.
bool is_flow(const std::string& what) {
  if (what == "last" || what.starts_with("last:")) return false;
  std::error_code error;
  return what == "-" || what.find('/') != std::string::npos ||
         std::filesystem::exists(what, error) || !RunSelector::parse(what);
}

struct Drawn {
  FlowPicture picture;
  Json run;  // its id; null: it is a flow
  Json state;
};

tl::expected<Drawn, int> load(const GraphOptions& options, Console& console) {
  if (is_flow(options.what)) {
    auto functions = plugin_functions(options.plugins);
    if (!functions) return tl::unexpected(console.fail(functions.error(), exit_invalid));
    const auto source = load_source({options.what, "", {}, {}, *std::move(functions)}, console);
    if (!source) return tl::unexpected(source.error());
    return Drawn{picture_of(source->flow), nullptr, nullptr};
  }
  const auto place = RunPlace::open(console.options());
  if (!place) return tl::unexpected(console.fail(place.error()));
  auto row = find_run(options.what, (*place)->journal());
  if (!row) return tl::unexpected(console.fail(row.error()));
  const auto view = journal::load_run((*place)->journal(), *row);
  if (!view) return tl::unexpected(console.fail(view.error()));
  const auto state = (*place)->state(*row);
  if (!state) return tl::unexpected(console.fail(state.error()));
  return Drawn{picture_of(*view), row->id.text(), name(*state)};
}

}  // namespace

int graph_command(const GraphOptions& options, Console& console) {
  const auto drawn = load(options, console);
  if (!drawn) return drawn.error();
  const FlowPicture& picture = drawn->picture;
  const auto document = [&] { return graph_json(picture, drawn->run, drawn->state); };
  // --json asks for a document; that of the graph is what `--format json` gives.
  if (console.is_json() && options.output.empty())
    return console.document(document(), exit_ok, "groups");
  const auto out = DocumentOut::open(options.output, console);
  if (!out) return console.fail(out.error());
  (*out)->write(options.format == "json"  ? to_line(document())
                : options.format == "svg" ? to_svg(picture)
                                          : to_dot(picture));
  (*out)->write("\n");
  return (*out)->finish_and_tell(
      drawn->run.is_null() ? std::string() : drawn->run.get<std::string>(), options.format);
}

}  // namespace reprise::cli
