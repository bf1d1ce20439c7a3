// Local files that the commands of a flow read, as far as they are known before it runs: they go to
// the server with the flow, so that no folder has to be shared.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/result.hpp"
#include "core/value.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::cluster {

struct InputFiles {
  std::map<std::string, FileValue> files;          // by path, as RunContext::files
  std::map<Digest, std::filesystem::path> places;  // where the contents are
};

/// Files among `inputs`, programs of the flow's folder, and files given as parameters. A path may
/// depend on parameters and on elements of constant or given lists; others, and those of commands
/// that run in the flow's folder, are not found. Reads every file.
/// @param parameters  bound; files are put in the place of paths
/// @error not_found, denied, io, invalid_argument: a file that cannot be read
[[nodiscard]] Result<InputFiles> find_input_files(const FlowSpec& flow, Parameters& parameters);

}  // namespace reprise::cluster
