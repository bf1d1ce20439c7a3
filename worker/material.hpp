// What goes into the cache key of an attempt: digests of everything its result may depend on
// (docs/caching.md).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/cache_key.hpp"
#include "core/result.hpp"
#include "core/value.hpp"
#include "flow/attempt.hpp"
#include "worker/environment.hpp"

namespace reprise::worker {

/// Digests of local files; implementations remember them.
class FileHasher {
 public:
  virtual ~FileHasher() = default;
  /// @error not_found, io, invalid_argument: not a regular file
  [[nodiscard]] virtual Result<FileValue> hash(const std::filesystem::path& path) = 0;
};

/// Variables of this process, read when first asked for.
[[nodiscard]] const Environment& process_environment();

/// The ingredients of the key.
///
/// A function's arguments enter under their names. A command's are:
///   "command"      argv (a list) or the script, after substitution, every file reference replaced
///   by the file's content "in:<name>"    an input the command finds in its environment
///   (REPRISE_INPUT_…, REPRISE_ITEM) "file:<path>"  a declared input file, or a program of the
///   flow's folder, by content "cwd"          only when it runs in the flow's folder
/// with the variables the task sets as environment, and the platform as dependency "platform".
/// Validators that do not compare inputs leave the arguments out (a command then counts by its text
/// before substitution); those that compare run parameters add them as dependencies "param:<name>".
///
/// @param environment  where the variables that the task declares are looked up
/// @error invalid_argument: an ignored or validated name does not exist, a template cannot be
/// evaluated, or the version is
///        blank; not_found, io: an input file. The task then runs without the cache.
[[nodiscard]] Result<Material> material_of(const Attempt& attempt, FileHasher& files,
                                           std::string_view account = "default",
                                           const Environment& environment = process_environment());

/// Whether a result is looked up at all. What the task says about refreshing goes before what the
/// run says.
[[nodiscard]] bool looks_up(CacheMode mode, const CachePolicy& policy);

}  // namespace reprise::worker
