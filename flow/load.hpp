// From a path to a flow: reads the file, recognises by its content what it is, and calls the
// decoder for that.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "flow/diagnostics.hpp"
#include "flow/flow_file.hpp"
#include "flow/flow_spec.hpp"
#include "flow/input_file.hpp"
#include "flow/json_text.hpp"
#include "flow/trace.hpp"

namespace reprise {

enum class FileKind : std::uint8_t {
  flow_file,  // YAML or JSON written by a person
  wfformat,   // a recorded workflow
  stg,        // a standard task graph
};

/// "flow file", "WfFormat trace", "standard task graph".
[[nodiscard]] std::string_view name(FileKind kind);

struct LoadOptions {
  TraceOptions trace;
  bool trace_options_given =
      false;  // by the user: they are refused for a flow file, which has no use for them
  FlowFileOptions flow_file;  // `folder` and `beside` are set here
  InputLimits limits;
};

struct LoadedFlow {
  FlowSpec flow;  // with folder and source_file
  FileKind kind = FileKind::flow_file;
  std::vector<Diagnostic> warnings;
  std::string text;  // of the file, inflated: to show warnings with their lines
};

struct LoadFailure {
  std::vector<Diagnostic> mistakes;  // at least one; warnings may be among them
  std::string file_name;             // for render()
  std::string text;                  // empty when the file could not be read
};

/// What recognise() found. WfFormat has been parsed on the way.
struct Recognised {
  FileKind kind = FileKind::flow_file;
  ParsedJson json;
};

/// What a text is: WfFormat is an object with 'schemaVersion' or 'workflow', a flow file has
/// 'tasks' or 'version', a standard task graph begins with a row that is one number. The name
/// decides only where the content does not tell.
/// @error  what the text looks like, and what is accepted
[[nodiscard]] Checked<Recognised> recognise(std::string_view text, std::string_view file_name);

/// Reads a flow or trace. Nothing is written. @param path  "-" = standard input
[[nodiscard]] tl::expected<LoadedFlow, LoadFailure> load_flow(const std::string& path,
                                                              const LoadOptions& options = {});

}  // namespace reprise
