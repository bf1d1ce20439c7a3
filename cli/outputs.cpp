#include "cli/outputs.hpp"

#include <set>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "core/text.hpp"
#include "core/value.hpp"

namespace reprise::cli {
namespace {

/// The last quoted text of a template: the path in "outputs['…']".
std::string_view last_quoted(std::string_view text) {
  const std::size_t end = text.find_last_of("'\"");
  if (end == std::string_view::npos || end == 0) return {};
  const std::size_t begin = text.find_last_of(text[end], end - 1);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin + 1, end - begin - 1);
}

Error with_path(const Error& error, const std::filesystem::path& path) {
  return {error.code,
          fmt::format("output file \"{}\": {}", escape_for_terminal(path.string()), error.message)};
}

/// Puts one file at `path` in one step: people see the old one or the new one.
Status put(const FileValue& file, const RestoreFile& restore, const std::filesystem::path& path) {
  std::filesystem::path temporary = path;
  temporary.replace_filename(
      fmt::format(".{}.{}.tmp", path.filename().string().substr(0, 100), ::getpid()));
  std::error_code error;
  std::filesystem::remove(temporary, error);
  if (auto restored = restore(file, temporary); !restored)
    return tl::unexpected(with_path(restored.error(), path));
  std::filesystem::rename(temporary, path, error);
  if (!error) return {};
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  return tl::unexpected(with_path({ErrorCode::io, error.message()}, path));
}

}  // namespace

std::string safe_file_name(std::string_view name) {
  if (const std::size_t slash = name.find_last_of('/'); slash != std::string_view::npos)
    name.remove_prefix(slash + 1);
  std::string result;
  for (const char c : escape_for_terminal(name.substr(0, 200)))
    result += c == '/' || c == '\\' ? '_' : c;
  if (result.empty() || result == "." || result == "..") return "output";
  return result;
}

std::string file_name_of(const Output& output) {
  const std::string_view declared = last_quoted(output.text.text);
  return safe_file_name(declared.empty() || declared.ends_with('/') ? std::string_view(output.name)
                                                                    : declared);
}

bool may_give_files(const FlowSpec& flow) {
  for (const Output& output : flow.outputs)
    if (output.kind != Output::Kind::chain_digest) return true;
  return false;
}

Result<std::map<std::string, std::string>> put_files(const FlowSpec& flow,
                                                     const std::map<std::string, Payload>& outputs,
                                                     const RestoreFile& restore,
                                                     const std::filesystem::path& folder) {
  std::map<std::string, std::string> places;
  std::set<std::string> taken;
  for (const Output& output : flow.outputs) {
    const auto given = outputs.find(output.name);
    if (given == outputs.end() || !given->second.is_at_hand() || given->second.is_none()) continue;
    const auto value = given->second.value();
    if (!value || !is_file(*value)) continue;
    const auto file = as_file(*value);
    if (!file) return tl::unexpected(file.error());
    std::string file_name = file_name_of(output);
    if (!taken.insert(file_name)
             .second) {  // two outputs called alike: the second is told apart by its own name
      file_name = safe_file_name(output.name) + "-" + file_name;
      if (!taken.insert(file_name).second) continue;
    }
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
      return fail(ErrorCode::io,
                  fmt::format("make the folder \"{}\": {}", escape_for_terminal(folder.string()),
                              error.message()));
    const std::filesystem::path path = folder / file_name;
    if (auto status = put(*file, restore, path); !status) return tl::unexpected(status.error());
    places[output.name] = path.string();
  }
  return places;
}

}  // namespace reprise::cli
