// Targets: results that are kept as plain files where the user wants them, beside the cache. A file
// that is there stands for the task's result (docs/semantics.md, "Targets").
//
// Of a function it is the result as JSON, of a command its one declared output.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cache/blob_store.hpp"
#include "core/payload.hpp"
#include "core/result.hpp"
#include "flow/attempt.hpp"

namespace reprise::worker {

inline constexpr std::size_t target_json_bytes_max = std::size_t{256} << 20;

[[nodiscard]] inline bool has_target(const Attempt& attempt) {
  return !attempt.question && !attempt.context->flow->kind_of(attempt.node).target.text.empty();
}

/// Where the attempt's target is, absolute: the template's text, relative to the flow's folder.
/// @error invalid_argument: the template cannot be evaluated, or what it evaluates adds ".." parts,
/// which its author did not write
[[nodiscard]] Result<std::filesystem::path> target_path(const Attempt& attempt);

/// The result that the file stands for; nullopt: there is no such file.
/// @param take_file  of a command: takes in the file, or only tells its digest
/// @error invalid_argument: a folder, or no JSON; exhausted: larger than target_json_bytes_max; io
[[nodiscard]] Result<std::optional<Payload>> read_target(
    const Attempt& attempt, const std::filesystem::path& path,
    const std::function<Result<FileValue>(const std::filesystem::path&)>& take_file);

/// Writes a success's result there, aside and renamed; missing folders are made. A nil result is
/// written nowhere.
/// @error invalid_argument: it has no JSON form; io, denied, exhausted
[[nodiscard]] Status write_target(const Attempt& attempt, const std::filesystem::path& path,
                                  const Payload& value, cache::BlobStore* blobs);

}  // namespace reprise::worker
