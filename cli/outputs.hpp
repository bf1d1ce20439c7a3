// What a run gave back: files are put into the --out directory, values are printed.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/value.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::cli {

/// Under which name the file of an output is put: the one it was declared with ("${{
/// report.outputs['a/report.html'] }}" gives "report.html"), else the output's own. Always a plain
/// file name: no folder, no control characters, not "..".
[[nodiscard]] std::string file_name_of(const Output& output);

/// Anything as a plain file name.
[[nodiscard]] std::string safe_file_name(std::string_view name);

/// Writes the content of a file to a path that does not exist yet.
using RestoreFile = std::function<Status(const FileValue& file, const std::filesystem::path& path)>;

/// Puts the files among `outputs` into `folder`, which is made when missing; a file of the same
/// name is replaced, a link is replaced and not followed.
/// @return  by output, where its file is; outputs that are no files are absent
/// @error io, not_found, corrupt
[[nodiscard]] Result<std::map<std::string, std::string>> put_files(
    const FlowSpec& flow, const std::map<std::string, Payload>& outputs, const RestoreFile& restore,
    const std::filesystem::path& folder);

/// Some output of the flow may be a file: --out matters.
[[nodiscard]] bool may_give_files(const FlowSpec& flow);

}  // namespace reprise::cli
