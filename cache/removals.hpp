// Removals, numbered, so that what is being computed while something is removed is not kept.
//
// Nobody knows which computations are under way: not all of them hold a lease, and of a key that
// was never kept nothing is known at all. So nobody looks for them. Each removal gets the next
// number and says what it was about; a computation notes the newest number when it begins, and
// presents it with its commit (cache::Commit::since). A commit is refused when a later removal was
// about it. Keys that had something to remove are told by their tombstones (version.generation),
// so that removing many of them writes no more rows here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cache/store.hpp"
#include "cache/upkeep.hpp"
#include "sqlite/database.hpp"

namespace reprise::cache {

/// Later removals than this many are remembered; what began before the first of them and is done
/// only now is not kept, whatever it is.
inline constexpr std::int64_t removals_remembered = 10'000;

/// What a removal was about: everything that is given has to hold. Nothing given: about nothing.
struct Removal {
  std::optional<Key> key{};
  std::optional<std::string> name{};     // as in Selection
  std::optional<std::string> version{};  // of the task
  std::optional<RunId> run{};            // that computes it
  std::optional<Digest> value{};         // of the result, or of a file that it names
};

/// Whether a name in a selection means this task: by its name in the key, as it is shown, or as the
/// mapped task that it is an element of.
[[nodiscard]] bool is_meant(std::string_view wanted, std::string_view name, std::string_view task);

/// Within a transaction. @return its number. @error unavailable, io, exhausted
[[nodiscard]] Result<std::int64_t> add_removal(sqlite::Database& database, const Removal& removal,
                                               Time now);
/// One removal for each key of a selection, or one for all of it.
Status add_removals(sqlite::Database& database, const Selection& selection, Time now);

/// Whether a removal after `since` was about what is to be committed. @error unavailable, io
[[nodiscard]] Result<bool> is_removed_since(sqlite::Database& database, const Commit& commit,
                                            std::int64_t since);

}  // namespace reprise::cache
