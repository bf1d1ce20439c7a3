// Redis as the tests of the cache use it.
#pragma once

#include <filesystem>
#include <memory>

#include "cache/blob_store.hpp"
#include "cache/redis_store.hpp"
#include "tests/support/redis_server.hpp"

namespace reprise::cache::testing {

/// One for the whole program, without limits. Tests that harm their server start one of their own.
[[nodiscard]] reprise::testing::RedisServer& common_server();
/// Of the common server, with a prefix that nobody else uses.
[[nodiscard]] redis::Settings fresh_prefix();

[[nodiscard]] std::shared_ptr<redis::Client> new_client(const redis::Settings& settings);
[[nodiscard]] std::shared_ptr<BlobStore> blobs_in(const std::filesystem::path& folder);
[[nodiscard]] std::unique_ptr<RedisStore> open_redis(const redis::Settings& settings,
                                                     std::shared_ptr<BlobStore> blobs = nullptr);

}  // namespace reprise::cache::testing
