// Parameters of type `file`: given as a path, they become the file itself, by content, before
// anything runs. From there on they are what an output file of a task is: put where a command runs,
// part of its key, and sent to where they are needed.
#pragma once

#include <filesystem>
#include <functional>

#include "core/result.hpp"
#include "core/value.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {

/// The file at a path, which is relative to the folder of the flow file unless it is absolute.
using FileAtPath = std::function<Result<FileValue>(const std::filesystem::path& path)>;

/// Puts files in the place of the paths among `parameters`.
/// @param parameters  bound
/// @error invalid_argument: there is no such file, or it cannot be read; names the parameter
Status put_files(const FlowSpec& flow, Parameters& parameters, const FileAtPath& file_at);

/// Where the file of a path lies. @error invalid_argument: the flow has no folder, or the path
/// holds a NUL or is empty
[[nodiscard]] Result<std::filesystem::path> place_of(const FlowSpec& flow,
                                                     const std::filesystem::path& path);

}  // namespace reprise
