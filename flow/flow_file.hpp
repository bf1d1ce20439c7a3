// Flow files: YAML or JSON in, FlowSpec or a list of mistakes with their places out
// (docs/flow-files.md).
//
// Three passes over one tree: decoding by tables of keys (types, ranges, words), checking (names,
// expressions, cycles), and building. All mistakes of a file are reported at once; what is broken
// in one place is not complained about again in others.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cache_key.hpp"
#include "flow/diagnostics.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {

/// The files beside a flow file, of which its tasks may run some as flows of their own.
struct FilesBeside {
  /// The content of the file of this name. @error what the file system says
  std::function<Result<std::string>(const std::string& name)> read;
  // Names of the files that are being read now, each for a task of the one before; at the beginning
  // the flow file itself.
  std::vector<std::string> way;
  std::size_t count = 0;  // of files read so far
};

struct FlowFileOptions {
  /// Absolute folder of the file: what relative input files refer to. Empty = unknown.
  std::string folder;
  /// Functions that `call` may name, by "name@version". nullopt = not known here; then calls are
  /// not checked and positional arguments are named "0", "1" …
  std::optional<std::map<std::string, Signature, std::less<>>> functions;
  /// What it means that a called function is not among them.
  enum class Missing : std::uint8_t {
    mistake,    // nobody will ever have it
    waits,      // its task waits until a worker has it; a warning
    elsewhere,  // whoever runs the flow may have it; a warning
  };
  Missing missing_function = Missing::mistake;
  /// Complain about input files that do not exist in `folder`.
  bool check_files = true;
  /// Null: there are none, and a task that runs one is a mistake.
  std::shared_ptr<FilesBeside> beside;
};

struct FlowFile {
  std::optional<FlowSpec> flow;         // nothing when there is an error
  std::vector<Diagnostic> diagnostics;  // by position
};

/// Decodes a whole flow file. Never throws; takes time in proportion to the text, whose size is
/// limited (flow/yaml.hpp).
///
/// @param file_name  as the user typed it: for messages, and the flow's name when it has none of
/// its own
[[nodiscard]] FlowFile decode_flow_file(std::string_view text, std::string_view file_name,
                                        const FlowFileOptions& options = {});

/// A draft-07 JSON schema of flow files, for editors, made of the tables that decode them.
[[nodiscard]] std::string print_schema();

}  // namespace reprise
