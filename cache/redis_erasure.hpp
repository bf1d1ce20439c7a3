// Erasing results in the server that nodes share. See cache/erasure.hpp.
#pragma once

#include <cstdint>
#include <set>

#include "cache/erasure.hpp"
#include "core/result.hpp"
#include "redis/client.hpp"

namespace reprise::cache {

struct ErasedInRedis {
  std::set<Key> keys;  // of which something went, or would
  std::uint64_t entries = 0;
  std::uint64_t versions = 0;
  std::uint64_t materials = 0;
  std::uint64_t values = 0;     // that lay apart
  std::uint64_t set_aside = 0;  // damaged copies
};

/// Looks at every entry of the server unless keys are all that is asked for; in pages, by plain
/// reads and writes, so that a user without the right to run scripts may do it. A result that
/// somebody publishes under one of the keys at the same moment may be lost, and is made again.
/// @param content  values that are known to go from elsewhere: their bytes go here, too
/// @param dry_run  only counts
/// @error unavailable: the server did not answer; what was done until then stays done. denied, io
Result<ErasedInRedis> erase_in_redis(redis::Client& client, const ErasureRequest& request,
                                     const std::set<Digest>& content, bool dry_run);

}  // namespace reprise::cache
