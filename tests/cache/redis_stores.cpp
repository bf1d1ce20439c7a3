// One server for the whole program; every set of stores has a prefix of its own.
#include <boost/test/unit_test.hpp>

#include "cache/redis_functions.hpp"
#include "cache/redis_leases.hpp"
#include "cache/redis_store.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/tiered_store.hpp"
#include "tests/cache/contract_stores.hpp"
#include "tests/cache/redis_fixture.hpp"

namespace reprise::cache::testing {

reprise::testing::RedisServer& common_server() {
  static reprise::testing::RedisServer server;
  return server;
}

std::shared_ptr<redis::Client> new_client(const redis::Settings& settings) {
  return std::make_shared<redis::Client>(settings, redis_functions());
}

redis::Settings fresh_prefix() {
  static int count = 0;
  redis::Settings settings = common_server().settings();
  settings.prefix = "test" + std::to_string(++count);
  return settings;
}

std::shared_ptr<BlobStore> blobs_in(const std::filesystem::path& folder) {
  auto blobs = BlobStore::open({.folder = folder / "blobs", .sync = false});
  if (!blobs) BOOST_FAIL(blobs.error().message);
  return std::move(*blobs);
}

std::unique_ptr<RedisStore> open_redis(const redis::Settings& settings,
                                       std::shared_ptr<BlobStore> blobs) {
  RedisStore::Options options;
  options.client = new_client(settings);
  options.blobs = std::move(blobs);
  return std::make_unique<RedisStore>(std::move(options));
}

std::vector<NamedStore> make_stores(const std::filesystem::path& folder) {
  const auto open = [settings = fresh_prefix(), folder]() -> std::unique_ptr<Store> {
    return open_redis(settings, blobs_in(folder));
  };
  // The server behind a store of this node, as it is used.
  const auto open_tiered = [settings = fresh_prefix(), folder]() -> std::unique_ptr<Store> {
    TieredStore::Options options;
    auto local = SqliteStore::open({.path = folder / "cache.db", .blobs = blobs_in(folder)});
    if (!local) BOOST_FAIL(local.error().message);
    options.local = std::move(*local);
    options.remote = open_redis(settings, blobs_in(folder));
    return std::make_unique<TieredStore>(std::move(options));
  };
  std::vector<NamedStore> stores;
  stores.push_back({"redis", open(), open, false});
  stores.push_back({"sqlite before redis", open_tiered(), open_tiered, false});
  return stores;
}

std::vector<NamedLeases> make_leases(const std::filesystem::path& folder) {
  const redis::Settings settings = fresh_prefix();
  const auto open = [&] {
    return std::make_shared<RedisLeases>(
        RedisLeases::Options{.client = new_client(settings), .by_callers_clock = true});
  };
  std::vector<NamedLeases> all;
  all.push_back({"redis", open_redis(settings, blobs_in(folder)), open(), open()});
  return all;
}

std::vector<Place> make_places() {
  return {{"redis", fresh_prefix().prefix}};
}

Sharer open_sharer(const std::filesystem::path& folder, const Place& place) {
  redis::Settings settings = common_server().settings();
  settings.prefix = place.prefix;
  const auto client = new_client(settings);
  return {std::make_unique<RedisStore>(
              RedisStore::Options{.client = client, .blobs = blobs_in(folder)}),
          std::make_unique<RedisLeases>(RedisLeases::Options{.client = client})};
}

}  // namespace reprise::cache::testing
