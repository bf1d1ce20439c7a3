// Which entries of the cache a person means by what was typed.
#pragma once

#include "cache/upkeep.hpp"
#include "cli/data_access.hpp"
#include "cli/options.hpp"

namespace reprise::cli {

/// The one key that begins so, whether it has a current result or not.
/// @error not_found: none or several; else what the store says
[[nodiscard]] Result<Key> one_key(cache::Store& store, const std::string& prefix);

/// @param journal  finds the run; null: there are no runs yet. @error not_found
[[nodiscard]] Result<cache::Selection> selection_of(const CacheSelectOptions& options,
                                                    cache::Store& store, journal::Journal* journal);

}  // namespace reprise::cli
