// What goes into the cache key of an attempt: digests of everything its result may depend on
// (docs/caching.md).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/cache_key.hpp"
#include "core/key_space.hpp"
#include "core/result.hpp"
#include "core/value.hpp"
#include "flow/attempt.hpp"
#include "worker/environment.hpp"
#include "worker/local_input.hpp"

namespace reprise::worker {

/// Variables of this process, read when first asked for.
[[nodiscard]] const Environment& process_environment();

/// The ingredients of the key.
///
/// A function's arguments enter under their names. A command's are:
///   "command"      argv (a list) or the script, after substitution, every file reference replaced
///                  by the file's content
///   "in:<name>"    an input the command finds in its environment (REPRISE_INPUT_…, REPRISE_ITEM)
///   "file:<path>"  a declared input file or folder, or a program of the flow's folder, by content
///   "cwd"          only when it runs in the flow's folder
/// with the variables the task sets as environment, and the platform as dependency "platform".
/// Where the code counts (`code_auto`), scripts enter by their tokens (worker/shell_tokens.hpp),
/// and the text before substitution with the program of the flow's folder as "code". Validators
/// that do not compare inputs leave the arguments out (a command then counts by its text before
/// substitution); those that compare run parameters add them as dependencies "param:<name>";
/// `custom` adds both.
///
/// @param space        whose key it is, and the operator's salts
/// @param environment  where the variables that the task declares are looked up
/// @param read         takes up the files and folders that were read; may be null
/// @error invalid_argument: an ignored, hashed or validated name does not exist, a template cannot
/// be evaluated, an input is neither file nor folder, or the version is blank; not_found, io: an
/// input file. The task then runs without the cache.
[[nodiscard]] Result<Material> material_of(const Attempt& attempt, FileHasher& files,
                                           const KeySpace& space = {},
                                           const Environment& environment = process_environment(),
                                           std::vector<LocalInput>* read = nullptr);

/// The same for a task whose key does not depend on what it is given, before that is there: its
/// arguments need not be. nullopt: it depends on them. @error as material_of
[[nodiscard]] Result<std::optional<Material>> material_without_arguments(
    const Attempt& attempt, const KeySpace& space = {},
    const Environment& environment = process_environment());

/// The name under which results of this kind are candidates for each other.
[[nodiscard]] const std::string& shared_name(const TaskKind& kind);

/// Whether a result is looked up at all. What the task says about refreshing goes before what the
/// run says.
[[nodiscard]] bool looks_up(CacheMode mode, const CachePolicy& policy);

}  // namespace reprise::worker
