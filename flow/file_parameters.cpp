#include "flow/file_parameters.hpp"

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {

Status put_files(const FlowSpec& flow, Parameters& parameters, const FileAtPath& file_at) {
  for (const Parameter& parameter : flow.parameters) {
    const auto bound = parameters.find(parameter.name);
    if (parameter.type != "file" || bound == parameters.end()) continue;
    const auto value = bound->second.value();
    if (!value) return tl::unexpected(value.error());
    const auto* path = value->get_if<std::string>();
    if (path == nullptr) continue;  // a file already
    const auto file = file_at(*path);
    if (!file)
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("parameter \"{}\": {}", shorten(escape_for_terminal(parameter.name), 80),
                      file.error().message));
    auto payload = Payload::of(file->to_value());
    if (!payload) return tl::unexpected(payload.error());
    bound->second = *std::move(payload);
  }
  return {};
}

Result<std::filesystem::path> place_of(const FlowSpec& flow, const std::filesystem::path& path) {
  const std::string shown = escape_for_terminal(path.string());
  if (path.empty() || path.native().find('\0') != std::string::npos)
    return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is no path", shown));
  if (path.is_absolute()) return path;
  if (flow.folder.empty())
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\": the flow has no folder; give the whole path", shown));
  return std::filesystem::path(flow.folder) / path;
}

}  // namespace reprise
