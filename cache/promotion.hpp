// Taking results of one account over into another: what was tried out becomes what all rely on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cache/store.hpp"

namespace reprise::cache {

struct Promotion {
  std::vector<Record> records;  // that were taken over, as they are in the account they are from
  std::uint64_t added = 0;      // of these, new there; the others had the same value already
};

/// Keeps the current results among `chosen` whose account is `from` under the key of the same work
/// in `to`, as made by the run that made them and committed now; they expire there when they would
/// have. What has expired, was removed or is a failure is passed over. Signed anew where the store
/// signs.
/// @param chosen   with their materials
/// @param dry_run  only tells what there is to take over
/// @error invalid_argument: `from` and `to` are the same; unavailable, exhausted, io. Blocks.
[[nodiscard]] Result<Promotion> promote(Store& store, std::span<const Record> chosen,
                                        const std::string& from, const std::string& to, Time now,
                                        bool dry_run);

}  // namespace reprise::cache
